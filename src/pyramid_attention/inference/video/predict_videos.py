"""The loop over videos: each becomes one of overlays and, on request, one of label maps."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...files import InUse, owned
from ...images import MAX_PIXELS
from ..addresses import is_address
from ..options import VideoOptions
from ..predict import PredictSummary, group_size, is_hopeless, predict
from ..segmenter import Segmenter
from ..sinks import LABEL_VIDEO, OVERLAY_VIDEO, Claim, FileSink
from ..sources import Failure, FileSource, Item
from .clip import Clip
from .segments import Segments
from .sink import VideoSink
from .smoothing import SmoothedEngine
from .source import VideoSource

SEGMENT = 96
"""Frames that a kill costs at most, and some that go through the network with the last."""
FOLDER = ".pan-video-"
"""Before the name of a clip: the hidden folder of what is done of it."""


def predict_videos(
    segmenter: Segmenter,
    source: FileSource,
    sink: FileSink,
    options: VideoOptions,
    *,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment videos one after the other into the folder of a sink; one that is broken does not stop the rest.

    A video is done by segments. Where a run was killed, the next that is asked for the same goes on with the segment
    it was at, and ends with the same labels. A camera is watched until it goes away or the keyboard interrupts, which
    keeps what was seen.

    Args:
        segmenter: the model.
        source: whose items are all videos.
        sink: with the outputs of `video_outputs`, checked and entered already.
        options: what is written.
        on_done: called after each frame.

    Raises:
        UserError: the disk is full.
    """
    summary = PredictSummary()
    waiting = list(source)
    while waiting:
        elsewhere: list[Item] = []
        for item in waiting:
            if is_address(item.place):
                _rescue(sink, item)
            try:
                clip = Clip(item.place, source.max_pixels or MAX_PIXELS)
            except UserError as error:
                summary.failed.append((item.place, str(error)))
                continue
            claim: Claim | None = None
            try:
                if clip.live:
                    item = replace(item, name=f"{item.name}_{time.strftime('%Y-%m-%dT%H-%M-%S')}")
                claim = sink.claim(item)
                if claim is Claim.ELSEWHERE:
                    elsewhere.append(item)
                    continue
                if claim is Claim.OURS:
                    summary.cut_off += _predict_one(segmenter, item, clip, sink, options, on_done)
                    summary.notes += clip.notes
                    sink.finish(item)
                summary.done += 1
            except UserError as error:
                if claim is Claim.OURS:
                    sink.give_up(item, str(error))
                if is_hopeless(error):
                    raise
                summary.failed.append((item.place, str(error)))
            finally:
                clip.close()
        waiting = elsewhere
        time.sleep(1 if waiting else 0)  # the process that has them may end without them
    return summary


def frames_expected(source: FileSource, options: VideoOptions) -> int | None:
    """How many frames of videos there are to segment, as far as the files say; None where one does not."""
    total = 0
    for item in source:
        if is_address(item.place):
            return None
        try:
            clip = Clip(item.place)
        except UserError:
            continue  # it will be said
        clip.close()
        if clip.count is None:
            return None
        total += -(-clip.count // options.every)
    return total


def _predict_one(
    segmenter: Segmenter,
    item: Item,
    clip: Clip,
    files: FileSink,
    options: VideoOptions,
    on_done: Callable[[], None] | None,
) -> list[Failure]:
    """Segment a clip.

    Returns:
        what it lacks, if anything; what is readable is done all the same.
    """
    segmenter.info.bands.refuse_others(np.empty((1, 1, 3), np.uint8))  # before anything is written
    plan = segmenter.plan(clip.height, clip.width)
    if options.smooth and plan.tiled:
        raise UserError(
            f"smooth=True wants frames that go through the network whole, and those of {clip.name} go by tiles; shrink"
            " them for it with max_size="
        )
    about: dict[str, Any] = {
        "video": clip.name if is_address(item.place) else str(Path(item.place).resolve()),
        "version": item.version,
        "made_by": segmenter.identity,
        "label_maps": options.label_maps,
        "every": options.every,
        "smooth": options.smooth,
    }
    group = group_size(plan)
    length = -(-SEGMENT // group) * group  # so that the same frames go together wherever a run begins
    with owned(_folder_of(files, item), "video") as place:
        segments = Segments(place / "segments", about)
        done = segments.frames
        smoothed = SmoothedEngine(segmenter.engine, segments.state, length) if options.smooth else None
        if smoothed is not None:
            segmenter = Segmenter(smoothed, replace(segmenter.options, tta=False))  # the engine has it
        for _ in range(done if on_done is not None else 0):
            assert on_done is not None
            on_done()
        source = VideoSource(clip, options.every, done * options.every)
        video = VideoSink(files, item, clip, segments, length, options, smoothed)
        lacking: list[Failure] = []
        try:
            try:
                lacking = predict(segmenter, source, video, on_done=on_done).failed
            except KeyboardInterrupt:
                if not clip.live:
                    raise
            video.end_segment()
        finally:
            video.close()
        if not segments.frames:
            raise UserError(lacking[0][1] if lacking else f"{clip.name} showed nothing yet")
        if source.left_out:
            clip.notes.append(
                f"{clip.name}: {source.left_out} frames came while the network was busy, and are left out"
            )
        if not video.join(sound=not clip.live):
            clip.notes.append(f"{clip.name}: a sound track that .mp4 cannot hold is left out")
        segments.remove()
    with suppress(OSError):
        _folder_of(files, item).rmdir()  # where an earlier call made it
    return lacking


def _folder_of(files: FileSink, item: Item) -> Path:
    return files.folder / f"{FOLDER}{item.name.replace('/', '_')[:150]}"


def _rescue(files: FileSink, camera: Item) -> None:
    """Make videos of what a killed run had of a camera: what it showed does not come again."""
    for folder in sorted(files.folder.glob(f"{FOLDER}{camera.name}_*")):
        name = folder.name.removeprefix(FOLDER)
        try:
            with owned(folder, "video") as place:
                segments = Segments(place / "segments")
                if segments.done:
                    for ending in (OVERLAY_VIDEO, LABEL_VIDEO):
                        if segments.path(0, ending).exists():
                            with files.put(name + ending) as temporary:
                                segments.join(ending, temporary)
                segments.remove()
            with suppress(OSError):
                folder.rmdir()
        except InUse:
            continue
