"""Dynamic batching: images come one by one, and those of one size go through a network together.

While the network works, images gather; when it is free, those that came with the oldest go next, if they have its size
and want its model. Where there is nothing else to do, an image waits a little for others of its size.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..inference import Segmentation, Segmenter
from .metrics import COUNTS, Metrics

CPU_PIXELS, GPU_PIXELS = 1 << 17, 1 << 22
"""Pixels, as the network sees them, that go through it together. More of them a processor does not segment faster: of
pan-street's time an image, eight together take 0.63 at 64×64, 0.77 at 96×128, and 1.07 at 352×480 pixels."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    """An image that waits for its turn; those of one `kind` may go together, one of kind None goes alone."""

    model: str
    image: NDArray[np.uint8]
    with_confidence: bool
    kind: tuple[str, int, int] | None
    arrived: float = field(default_factory=time.monotonic)
    result: Future[Segmentation] = field(default_factory=Future)


class Batcher:
    """Runs models in a thread of its own, on as many images at once as came together.

    Args:
        segmenters: by name.
        largest: images that go together at most.
        wait: seconds that an image waits for others while nothing else is to be done.
        metrics: where sizes of batches and times are counted.
    """

    def __init__(self, segmenters: Mapping[str, Segmenter], largest: int, wait: float, metrics: Metrics) -> None:
        self._segmenters = segmenters
        self._largest = largest
        self._wait = wait
        self._metrics = metrics
        self._pending: list[_Waiting] = []
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    async def segment(self, model: str, image: NDArray[np.uint8], with_confidence: bool) -> Segmentation:
        """Segment one image (H×W×3 uint8) by a model; a caller that is cancelled gives its place away.

        Raises:
            UserError: memory does not hold it, or the network gives no finite numbers.
        """
        height, width = image.shape[:2]
        kind = None if self._segmenters[model].plan(height, width).tiled else (model, height, width)
        waiting = _Waiting(model, image, with_confidence, kind)
        with self._changed:
            self._pending.append(waiting)
            self._changed.notify()
        return await asyncio.wrap_future(waiting.result)

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while group := self._next():
            running = [waiting for waiting in group if waiting.result.set_running_or_notify_cancel()]
            if running:
                self._run(running)

    def _next(self) -> list[_Waiting]:
        """Wait for images, and take those that go next; none at the end."""
        with self._changed:
            while True:
                if not self._pending:
                    if self._closing:
                        return []
                    self._changed.wait()
                    continue
                oldest = self._pending[0]
                group = [
                    other for other in self._pending if other is oldest or (other.kind and other.kind == oldest.kind)
                ]
                left = oldest.arrived + self._wait - time.monotonic()
                alone = len(group) == len(self._pending) and not self._closing
                room = self._room(oldest)
                if len(group) < room and alone and left > 0:
                    self._changed.wait(left)
                    continue
                group = group[:room]
                self._pending = [waiting for waiting in self._pending if waiting not in group]
                return group

    def _room(self, waiting: _Waiting) -> int:
        if waiting.kind is None:
            return 1
        segmenter = self._segmenters[waiting.model]
        most = CPU_PIXELS if segmenter.engine.device == "cpu" else GPU_PIXELS
        height, width = waiting.image.shape[:2]
        return max(1, min(self._largest, most // math.prod(segmenter.plan(height, width).padded)))

    def _run(self, group: list[_Waiting]) -> None:
        model, began = group[0].model, time.monotonic()
        segmenter = self._segmenters[model]
        try:
            if len(group) > 1:
                found = segmenter.batch([waiting.image for waiting in group])
            else:
                found = [segmenter(group[0].image, with_confidence=group[0].with_confidence)]
        except BaseException as error:
            if isinstance(error, UserError) and len(group) > 1:  # memory may hold them one by one
                for waiting in group:
                    self._run([waiting])
                return
            for waiting in group:
                waiting.result.set_exception(error)
            return
        for waiting, segmentation in zip(group, found, strict=True):
            waiting.result.set_result(segmentation)
            self._metrics.observe("pan_queue_seconds", began - waiting.arrived, model=model)
        self._metrics.observe("pan_batch_images", len(group), COUNTS, model=model)
        self._metrics.observe("pan_network_seconds", time.monotonic() - began, model=model)
        self._metrics.count("pan_images_total", len(group), model=model)
