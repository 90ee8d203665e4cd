"""Prediction on many images: one broken file is told at the end, the rest is done."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, check_failures
from ..files import make_folder
from ..images import read_image
from .prefetch import prefetch
from .segmentation import Segmentation
from .segmenter import Segmenter
from .sources import Failure, Source, Sources, find_sources
from .writers import Render, write_results

AHEAD = 4
"""Images that wait to be segmented, and results that wait to be written."""
GROUP, GROUP_PIXELS = 16, 1 << 19
"""Images go through the network together up to so many, and so many pixels."""


@dataclass
class PredictSummary:
    """What became of the inputs: the label maps that were written, and what failed with one line why."""

    done: list[Path] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def check(self) -> None:
        """Raise where something failed.

        Raises:
            SomeFailed: some inputs failed and the rest were done.
            UserError: every one of them failed.
        """
        check_failures([reason for _, reason in self.failed], len(self.done), "inputs")


def predict_files(
    segmenter: Segmenter,
    inputs: Iterable[str | Path],
    out: str | Path,
    *,
    overlay: Render | None = None,
    confidence: bool = False,
    resume: bool = False,
    max_pixels: int | None = None,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment images and write the results (see `find_sources` for the inputs, `write_results` for the files).

    Args:
        segmenter: the model.
        inputs: image files, folders and glob patterns.
        out: the folder of the results; made if need be.
        overlay: draws the overlay; without it there is none.
        confidence: write the confidence as well.
        resume: leave out images whose label map is there.
        max_pixels: larger images count as broken, see `read_image`.
        on_done: called after each image, broken ones too.

    Raises:
        UserError: nothing is found, a result would overwrite an image, or a result cannot be written. What was
            written before stays.
    """

    def write(segmentation: Segmentation, source: Source) -> None:
        write_results(segmentation, source, overlay, confidence)

    sources = find_sources(inputs, out)
    make_folder(out)
    return predict_sources(
        segmenter,
        sources,
        write,
        resume=resume,
        with_confidence=confidence,
        max_pixels=max_pixels,
        on_done=on_done,
    )


def predict_sources(
    segmenter: Segmenter,
    sources: Sources,
    write: Callable[[Segmentation, Source], None],
    *,
    resume: bool = False,
    with_confidence: bool = False,
    max_pixels: int | None = None,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment images that have been found and have `write` put the results in their places.

    While the network works on some images, the next are decoded and the results of those before are written, each
    in a thread; a few of each wait in memory, however many there are. Neighbours of one size go through the network
    together.

    `write` leaves the label map for last: since files appear whole or not at all, an image that has one is done.

    Args:
        segmenter: the model.
        sources: the images and the places of their results.
        write: given each segmentation; called in a thread.
        resume: leave out images whose label map is there.
        with_confidence: `write` uses the confidence.
        max_pixels: larger images count as broken, see `read_image`.
        on_done: called after each image, broken ones and those left out too.

    Raises:
        UserError: a result cannot be written. What was written before stays.
    """

    def read(source: Source) -> NDArray[np.uint8]:
        return read_image(source.path, max_pixels)

    summary = PredictSummary(failed=list(sources.failed))
    missing = []
    for source in sources.found:
        if not (resume and source.labels.is_file()):
            missing.append(source)
            continue
        summary.done.append(source.labels)
        if on_done is not None:
            on_done()

    def finish(source: Source, result: Future[None] | UserError) -> None:
        if isinstance(result, UserError):  # an image that cannot be read, or is too large for the memory
            summary.failed.append((source.path, str(result)))
        else:
            result.result()
            summary.done.append(source.labels)
        if on_done is not None:
            on_done()

    written: deque[tuple[Source, Future[None] | UserError]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="write") as pool:
        for group in _groups(segmenter, prefetch(read, missing, AHEAD)):
            for source, segmentation in _segmented(segmenter, group, with_confidence):
                if isinstance(segmentation, UserError):
                    written.append((source, segmentation))
                else:
                    written.append((source, pool.submit(write, segmentation, source)))
            while len(written) > AHEAD:
                finish(*written.popleft())
        while written:
            finish(*written.popleft())
    return summary


Read = tuple[Source, NDArray[np.uint8] | UserError]
"""An image, or why it could not be read."""


def _groups(segmenter: Segmenter, readings: Iterable[tuple[Source, Future[NDArray[np.uint8]]]]) -> Iterator[list[Read]]:
    """Images as they come, neighbours of one size together, as many as `GROUP_PIXELS` allows."""
    group: list[Read] = []
    room = 0
    shape: tuple[int, ...] | None = None
    for source, reading in readings:
        one: Read
        own: tuple[int, ...] | None = None
        try:
            image = reading.result()
            one = source, image
            plan = segmenter.plan(*image.shape[:2])
            own = None if plan.tiled else image.shape
        except UserError as error:
            one = source, error
        if group and (own is None or own != shape or room < 1):
            yield group
            group = []
        if not group:
            shape = own
            room = 1 if own is None else min(GROUP, max(1, GROUP_PIXELS // math.prod(segmenter.plan(*own[:2]).resized)))
        group.append(one)
        room -= 1
    if group:
        yield group


def _segmented(
    segmenter: Segmenter, group: list[Read], with_confidence: bool
) -> Iterator[tuple[Source, Segmentation | UserError]]:
    """Each image of a group with its segmentation, or with what went wrong."""
    images = [image for _, image in group if not isinstance(image, UserError)]
    if len(images) > 1:
        try:
            yield from zip((source for source, _ in group), segmenter.batch(images), strict=True)
            return
        except UserError:  # memory may hold them one by one
            pass
    for source, image in group:
        if isinstance(image, UserError):
            yield source, image
            continue
        try:
            yield source, segmenter(image, with_confidence=with_confidence)
        except UserError as error:
            yield source, error
