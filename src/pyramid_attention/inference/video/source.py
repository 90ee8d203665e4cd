"""The frames of a clip as a source: decoded in a thread of their own, a few ahead of the network."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...images import ArrayImage, ImageReader
from ..sources import Failure, Item
from .clip import Clip, Frame

AHEAD = 8
"""Decoded frames that wait in memory."""


@dataclass(frozen=True)
class FrameItem(Item):
    """A frame of a clip.

    Attributes:
        index: how many frames come before it.
        time: when it is shown, in units of the clip's `time_base`.
    """

    index: int = 0
    time: int = 0


class VideoSource:
    """The frames of a clip; the last item may be no frame, where reading says what the clip lacks.

    The frames of a file wait until the network is ready for them. Those of a camera do not: the oldest are left out.

    Args:
        clip: just opened.
        every: one of so many frames.
        begin: the first of them.

    Attributes:
        left_out: how many frames of a camera came too fast.
    """

    failed: Sequence[Failure] = ()
    count = None  # what a file says need not be true

    def __init__(self, clip: Clip, every: int = 1, begin: int = 0) -> None:
        self.clip, self._every, self._begin = clip, every, begin
        self._queue: queue.Queue[Frame | Exception | None] = queue.Queue(AHEAD)
        self._read: dict[str, Frame | Exception] = {}
        self._stopped = threading.Event()
        self.left_out = 0

    def __iter__(self) -> Iterator[FrameItem]:
        decoder = threading.Thread(target=self._decode, name="decode", daemon=True)
        decoder.start()
        try:
            while (frame := self._queue.get()) is not None:
                if isinstance(frame, Exception):
                    item = FrameItem("end", self.clip.name)
                else:
                    name = f"{frame.index:06}"
                    item = FrameItem(name, f"{self.clip.name}, frame {frame.index}", None, frame.index, frame.time)
                self._read[item.name] = frame
                yield item
        finally:
            self._stopped.set()

    def read(self, item: Item) -> ImageReader:
        """See `Source`; each item once."""
        frame = self._read.pop(item.name)
        if isinstance(frame, Exception):
            raise frame
        return ArrayImage(frame.image)

    def _decode(self) -> None:
        try:
            for frame in self.clip.frames(self._begin, self._every):
                if not self._put(frame):
                    return
        except Exception as error:  # comes out where it is read
            self._put(error)
        self._put(None)

    def _put(self, frame: Frame | Exception | None) -> bool:
        """Whether somebody still wants it."""
        while not self._stopped.is_set():
            try:
                self._queue.put(frame, timeout=0.1)
                return True
            except queue.Full:
                if self.clip.live:
                    self._queue.get_nowait()
                    self.left_out += 1
        return False
