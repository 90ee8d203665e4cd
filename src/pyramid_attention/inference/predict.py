"""The one loop of prediction: images from a source go through a Segmenter to a sink; a broken one does not stop it."""

from __future__ import annotations

import errno
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from ..errors import SomeFailed, UserError, check_failures
from ..images import ImageReader
from .plan import Plan
from .prefetch import prefetch
from .segmentation import Segmentation
from .segmenter import Segmenter
from .sinks import Claim, Sink
from .sources import Failure, Item, Source

AHEAD = 4
"""Images that wait to be segmented, and results that wait to be written."""
GROUP, GROUP_PIXELS = 16, 1 << 19
"""Images go through the network together up to so many, and so many pixels."""
WAIT = 0.2
"""Seconds until another process is asked again whether it has done what it was at."""
HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
"""Faults in writing that the next result would meet as well."""


def is_hopeless(error: UserError) -> bool:
    """Whether what comes after an item that failed would fail as well, as on a full disk."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in HOPELESS


@dataclass
class PredictSummary:
    """What became of a source's items.

    Attributes:
        done: how many have their results, those that had them before and those that another process made too.
        failed: each that failed, with one line why.
        cut_off: videos of which what is readable is done, counted in `done`, with one line on the rest.
        videos: how many of those that are done are videos.
        notes: what a user should know of how something was done.
    """

    done: int = 0
    failed: list[Failure] = field(default_factory=list)
    cut_off: list[Failure] = field(default_factory=list)
    videos: int = 0
    notes: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise where something failed.

        Raises:
            SomeFailed: some inputs failed, or a part of a video, and the rest were done.
            UserError: every one of them failed.
        """
        check_failures([reason for _, reason in self.failed], self.done, "inputs")
        if self.cut_off:
            raise SomeFailed("; ".join(reason for _, reason in self.cut_off))


def predict(
    segmenter: Segmenter, source: Source, sink: Sink, *, on_done: Callable[[], None] | None = None
) -> PredictSummary:
    """Segment the images of a source and give the results to a sink.

    While the network works on some images, the next are read and the results of those before are written, each in a
    thread; a few of each wait in memory, however many there are. Neighbours of one size go through the network
    together. Where other processes share the work, this one goes on until all of it is done.

    Args:
        segmenter: the model.
        source: the images.
        sink: entered already, where it is to be.
        on_done: called after each image, broken ones and those left out too.

    Raises:
        UserError: a result of one of the images cannot be taken, which is found before the first is read, or the disk
            is full. What was written before stays.
    """
    if source.count is not None:
        sink.check(source)
    summary = PredictSummary(failed=list(source.failed))

    def advance() -> None:
        if on_done is not None:
            on_done()

    def fail(item: Item, error: UserError) -> None:
        if is_hopeless(error):
            raise error
        summary.failed.append((item.place, str(error)))
        advance()

    def ours(items: Iterable[Item], elsewhere: list[Item]) -> Iterator[Item]:
        for item in items:
            try:
                claim = sink.claim(item)
            except UserError as error:
                fail(item, error)
                continue
            if claim is Claim.OURS:
                yield item
            elif claim is Claim.ELSEWHERE:
                elsewhere.append(item)
            else:
                summary.done += 1
                advance()

    def finish(item: Item, result: Future[None] | UserError) -> None:
        try:
            if isinstance(result, UserError):  # an image that cannot be read, or is too large for the memory
                raise result
            result.result()
        except UserError as error:
            sink.give_up(item, str(error))
            fail(item, error)
        else:
            summary.done += 1
            advance()

    def work(items: Iterable[Item]) -> list[Item]:
        """Do what is ours of some items, and return what other processes are at."""
        elsewhere: list[Item] = []
        written: deque[tuple[Item, Future[None] | UserError]] = deque()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="write") as pool:
            for group in _groups(segmenter, prefetch(source.read, ours(items, elsewhere), AHEAD)):
                for item, segmentation in _segmented(segmenter, group, sink.needs_confidence):
                    if isinstance(segmentation, UserError):
                        written.append((item, segmentation))
                    else:
                        written.append((item, pool.submit(sink.write, item, segmentation)))
                while len(written) > AHEAD:
                    finish(*written.popleft())
            while written:
                finish(*written.popleft())
        return elsewhere

    items: Iterable[Item] = source
    while elsewhere := work(items):
        if items == elsewhere:  # they are still at it; if one dies, what it was at becomes ours
            time.sleep(WAIT)
        items = elsewhere
    return summary


Read = tuple[Item, ImageReader | UserError]
"""An item as it was read, or why it could not be."""


def group_size(plan: Plan) -> int:
    """How many images of a plan go through the network together at most."""
    return 1 if plan.tiled else min(GROUP, max(1, GROUP_PIXELS // math.prod(plan.resized)))


def _groups(segmenter: Segmenter, readings: Iterable[tuple[Item, Future[ImageReader]]]) -> Iterator[list[Read]]:
    """Images as they come, neighbours of one size together, as many as `GROUP_PIXELS` allows."""
    group: list[Read] = []
    room = 0
    size: tuple[int, int] | None = None
    for item, reading in readings:
        one: Read
        own: tuple[int, int] | None = None
        try:
            image = reading.result()
            one = item, image
            plan = segmenter.plan(image.height, image.width)
            if not plan.tiled:
                own = plan.size
        except UserError as error:
            one = item, error
        if group and (own is None or own != size or room < 1):
            yield group
            group = []
        if not group:
            size = own
            room = 1 if own is None else group_size(plan)
        group.append(one)
        room -= 1
    if group:
        yield group


def _segmented(
    segmenter: Segmenter, group: list[Read], with_confidence: bool
) -> Iterator[tuple[Item, Segmentation | UserError]]:
    """Each image of a group with its segmentation, or with what went wrong."""
    images = [image for _, image in group if not isinstance(image, UserError)]
    if len(images) > 1:
        try:
            yield from zip((item for item, _ in group), segmenter.batch(images), strict=True)
            return
        except UserError:  # memory may hold them one by one
            pass
    for item, image in group:
        if isinstance(image, UserError):
            yield item, image
            continue
        try:
            yield item, segmenter(image, with_confidence=with_confidence)
        except UserError as error:
            yield item, error
