"""Frames' segmentations as videos: an overlay to look at, and label maps to compute with."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ...images import encode_label_map
from ..options import VideoOptions
from ..segmentation import Segmentation
from ..sinks import LABEL_VIDEO, OVERLAY_VIDEO, Claim, FileSink
from ..sources import Item
from .clip import Clip
from .segments import FFV1, H264, Encoder, Encoding, Segments
from .smoothing import SmoothedEngine
from .source import FrameItem


class VideoSink:
    """Takes the frames of one clip in their order and makes its videos; a run that is killed goes on.

    Args:
        files: the folder of the results, entered already.
        item: of the clip.
        clip: that the frames are of.
        segments: what is done of it.
        length: of a segment, in frames.
        options: what is written.
        smoothed: the engine whose state is kept at the end of each segment.
    """

    needs_confidence = False

    def __init__(
        self,
        files: FileSink,
        item: Item,
        clip: Clip,
        segments: Segments,
        length: int,
        options: VideoOptions,
        smoothed: SmoothedEngine | None = None,
    ) -> None:
        self._files, self._item, self._clip, self._segments = files, item, clip, segments
        self._length, self._options, self._smoothed = length, options, smoothed
        self._encoders: dict[str, Encoder] = {}
        self._held = 0
        self._taken = 0

    def check(self, items: Iterable[Item]) -> None:
        """See `Sink`; a clip's results are checked for as a whole, before."""

    def claim(self, item: Item) -> Claim:
        """See `Sink`: frames that are done already are not asked for."""
        return Claim.OURS

    def give_up(self, item: Item, reason: str) -> None:
        """See `Sink`; the clip is given up, not a frame."""

    def write(self, item: Item, segmentation: Segmentation) -> None:
        """Encode a frame, and end the segment where it is the last of it.

        Raises:
            UserError: a file cannot be written.
        """
        assert isinstance(item, FrameItem)
        try:
            if self._options.label_maps == "png":
                with self._files.put(f"{self._item.name}/{item.name}.png", self._item.version) as temporary:
                    temporary.write_bytes(encode_label_map(segmentation.labels, segmentation.classes))
            elif self._options.label_maps == "mkv":
                self._encode(LABEL_VIDEO, FFV1, segmentation.labels, item.time)
            self._encode(OVERLAY_VIDEO, H264, self._options.draw(segmentation), item.time)
        except OSError as error:
            raise UserError(f"cannot write in {self._segments.folder}: {error.strerror}; check the disk") from error
        self._held += 1
        self._taken += 1
        if self._held == self._length:
            self.end_segment()

    def _encode(self, output: str, encoding: Encoding, image: NDArray[np.uint8], time: int) -> None:
        if output not in self._encoders:
            clip = self._clip
            path = self._segments.path(self._segments.done, output)
            self._encoders[output] = Encoder(path, encoding, clip.time_base, clip.rate, clip.pixel_aspect)
        self._encoders[output].add(image, time)

    def end_segment(self) -> None:
        """Finish the segment that is being made, if there is one.

        Raises:
            UserError: the disk is full.
        """
        if self._held:
            for encoder in self._encoders.values():
                encoder.close()
            whole = self._held == self._length
            state = self._smoothed.take_state(self._taken) if self._smoothed is not None and whole else None
            self._segments.finish(self._held, state)
        self._encoders, self._held = {}, 0

    def close(self) -> None:
        """Let go of what is half done."""
        for encoder in self._encoders.values():
            with suppress(Exception):
                encoder.close()

    def join(self, sound: bool) -> bool:
        """Make the files of the clip from its segments, and note them as done.

        Returns:
            whether all sound could be kept.

        Raises:
            UserError: a file cannot be written.
        """
        complete = True
        if self._options.label_maps == "mkv":
            with self._files.put(self._item.name + LABEL_VIDEO, self._item.version) as temporary:
                self._segments.join(LABEL_VIDEO, temporary)
        with self._files.put(self._item.name + OVERLAY_VIDEO, self._item.version) as temporary:
            complete = self._segments.join(OVERLAY_VIDEO, temporary, self._clip.place if sound else None)
        return complete
