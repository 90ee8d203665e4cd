"""What all protocols of a server share: its models, its limits, and the way of an image through them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, nearest
from ..images import NoImage, TooManyPixels, as_reader, decode_image, image_size
from ..inference import Segmentation, Segmenter
from ..inference.explanation import attention_of
from ..inference.threads import usable_cores
from .batching import Batcher
from .fetching import Fetcher
from .limits import Limits, Refused
from .metrics import Metrics

Result = TypeVar("Result")


@dataclass(frozen=True)
class Attention:
    """What a model attends to in an image.

    Attributes:
        maps: by the names of `models.attention.attention_maps`: 1×h×w for places, C for channels.
        class_of_channels: the class for which each channel counts most.
        covered: the part of a map's height and width that the image covers; the rest is what it was padded by.
    """

    maps: Mapping[str, NDArray[np.float32]]
    class_of_channels: Sequence[int]
    covered: tuple[float, float]


class Service:
    """Models that are being served.

    Args:
        segmenters: by name; the first is the one that is meant where none is named.
        limits: what is taken.
        fetcher: gets images by address, from where it may.

    Attributes:
        draining: the server is about to end: it finishes what it has and wants no more.
    """

    def __init__(self, segmenters: Mapping[str, Segmenter], limits: Limits, fetcher: Fetcher) -> None:
        self.segmenters = dict(segmenters)
        self.default = next(iter(segmenters))
        self.limits = limits
        self.fetcher = fetcher
        self.metrics = Metrics()
        self.draining = False
        self.busy = 0
        self._pixels = 0
        self._released = asyncio.Condition()
        self._threads = ThreadPoolExecutor(usable_cores(), thread_name_prefix="codec")
        self._batcher = Batcher(self.segmenters, limits.batch, limits.wait, self.metrics)
        self.metrics.gauge("pan_requests_busy", lambda: self.busy)
        self.metrics.gauge("pan_pixels_held", lambda: self._pixels)

    def close(self) -> None:
        """End the threads, the work done."""
        self._batcher.close()
        self._threads.shutdown()

    def model(self, name: str | None) -> str:
        """The name of the model that a request means.

        Raises:
            Refused: 404, there is none of this name.
        """
        if name is None or name in self.segmenters:
            return name or self.default
        raise Refused(404, f"there is no model '{name}'.{nearest(name, self.segmenters)}")

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Run what takes long in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @asynccontextmanager
    async def decoded(self, content: bytes, name: str = "the image") -> AsyncIterator[NDArray[np.uint8]]:
        """Decode an image (H×W×3 uint8); until it is given back, it counts as being in memory.

        Raises:
            Refused: 413 for too many pixels, 415 for no image, 422 for a damaged one.
        """
        most = self.limits.max_pixels

        async def read(work: Callable[[], Result]) -> Result:
            try:
                return await self.in_thread(work)
            except TooManyPixels:
                raise Refused(413, f"{name} has more than {most:,} pixels, the limit here; scale it down") from None
            except NoImage:
                known = "JPEG, PNG, WebP, TIFF, BMP, GIF"
                raise Refused(415, f"{name} is not an image in a known format ({known})") from None
            except UserError as error:
                raise Refused(422, str(error)) from None

        height, width = await read(lambda: image_size(name, content, most))
        async with self.room(height * width):
            yield await read(lambda: decode_image(content, name, most))

    @asynccontextmanager
    async def room(self, pixels: int) -> AsyncIterator[None]:
        """Wait until so many pixels more may be in memory."""
        async with self._released:
            await self._released.wait_for(
                lambda: not self._pixels or self._pixels + pixels <= 2 * self.limits.max_pixels
            )
            self._pixels += pixels
        try:
            yield
        finally:
            self._pixels -= pixels
            async with self._released:
                self._released.notify_all()

    async def segment(self, model: str, image: NDArray[np.uint8], with_confidence: bool = False) -> Segmentation:
        """Segment an image (H×W×3 uint8) with a model, together with others of its size.

        Raises:
            Refused: 503, memory does not hold it.
        """
        try:
            return await self._batcher.segment(model, image, with_confidence)
        except UserError as error:
            raise Refused(503, str(error)) from None

    async def attention(self, model: str, image: NDArray[np.uint8]) -> Attention:
        """What a model attends to in an image (H×W×3 uint8).

        Raises:
            Refused: 400, the model keeps no attention; 413, the image does not go through it whole; 503, memory does
                not hold it.
        """
        segmenter = self.segmenters[model]
        plan = segmenter.plan(*image.shape[:2])
        if not segmenter.info.attention:
            raise Refused(400, f"the model '{model}' keeps no attention; export it with: pan export M --explain")
        if plan.tiled:
            raise Refused(413, "attention is shown of images that go through the network whole; scale it down")
        try:
            found = await self.in_thread(lambda: attention_of(segmenter, plan.prepare(as_reader(image))))
        except UserError as error:
            raise Refused(503, str(error)) from None
        if found is None:
            raise Refused(400, f"the model '{model}' is run by an engine that gives no attention; use onnxruntime")
        maps, owners = found
        return Attention(maps, owners, (plan.resized[0] / plan.padded[0], plan.resized[1] / plan.padded[1]))

    @contextmanager
    def slot(self) -> Iterator[None]:
        """A place among the requests that are being worked on.

        Raises:
            Refused: 503, there is none.
        """
        if self.busy >= self.limits.queue:
            raise Refused(
                503, f"{self.busy} requests are being worked on, as many as may wait; try again", {"Retry-After": "1"}
            )
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
