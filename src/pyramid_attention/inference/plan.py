"""One plan of an image: how its pixels become the network's input, and the network's logits pixels again.

An image is first resized to `max_size`, where that is smaller. Then it goes through the network whole or by overlapping
tiles, each padded by repeating its right and lower edge, until the network's smallest size and its size divisor are
met. The logits lie on a grid that is coarser than the padded pixels; `Plan.axes` says where in it the image's pixels
are. The Segmenter, tiling and test-time augmentation all follow this plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images import ArrayImage, ImageReader, Span, read_whole
from .options import MIN_SIDE, STEP, WHOLE_PIXELS, SegmenterOptions
from .upsample import Axis

Size = tuple[int, int]
"""Height and width, in pixels."""


@dataclass(frozen=True)
class Plan:
    """How an image of one size goes through a network.

    Attributes:
        size: height and width of the image, in pixels.
        resized: height and width of what the network is given, before padding.
        size_divisor: heights and widths of what the network is given are multiples of this.
        align_corners: how logits lie over pixels, see `upsample.Axis`.
        rows, columns: where the tiles begin and end in the resized image; one of each where it goes through whole.
        overlap: of neighbouring tiles, at least, in pixels.
    """

    size: Size
    resized: Size
    size_divisor: int = 1
    align_corners: bool = False
    rows: tuple[Span, ...] = ()
    columns: tuple[Span, ...] = ()
    overlap: int = 0

    @property
    def tiled(self) -> bool:
        """Whether the image goes through the network by tiles."""
        return len(self.rows) * len(self.columns) > 1

    @cached_property
    def padded(self) -> Size:
        """Height and width of the resized image once it is padded as a whole."""
        height, width = (max(MIN_SIDE, -(-side // self.size_divisor) * self.size_divisor) for side in self.resized)
        return height, width

    def resize(self, image: ImageReader) -> ImageReader:
        """The image at the size `resized`: each new pixel a weighted mean of those it stands for (antialiased)."""
        return image if (image.height, image.width) == self.resized else ArrayImage(image.resized(*self.resized))

    def prepare(self, image: ImageReader) -> NDArray[Any]:
        """The whole image resized and padded: h×w×B."""
        padded: NDArray[Any] = pad(read_whole(self.resize(image))[None], self.size_divisor)[0]
        return padded

    def axes(self, grid: Sequence[int], pixels: Sequence[int] | None = None) -> tuple[Axis, Axis]:
        """Where the pixels of the image lie in a grid of h×w logits that covers the padded image, in height and width.

        Args:
            grid: h and w.
            pixels: how many pixels the image is taken to have in height and width; its own by default.
        """
        height, width = (self._axis(places, axis, (pixels or self.size)[axis]) for axis, places in enumerate(grid))
        return height, width

    def _axis(self, grid: int, axis: int, pixels: int) -> Axis:
        resized, padded, aligned = self.resized[axis], self.padded[axis], self.align_corners
        if resized == pixels:  # the same as below, and a whole number of pixels a place stays one
            return Axis.between(grid, padded, aligned).part(0, pixels)
        return Axis.between(grid, pixels, aligned, covered=(resized - aligned) / max(padded - aligned, 1))


def plan_image(
    height: int,
    width: int,
    options: SegmenterOptions,
    *,
    max_size: int | None = None,
    size_divisor: int = 1,
    align_corners: bool = False,
) -> Plan:
    """Plan an image.

    Args:
        height, width: of the image, in pixels.
        options: whose `tile` and `overlap` count.
        max_size: images with a longer side are resized to this one; None never resizes.
        size_divisor, align_corners: of the network, see `Plan`.
    """
    resized = height, width
    if max_size is not None and max(resized) > max_size:
        factor = max_size / max(resized)
        resized = max(1, round(height * factor)), max(1, round(width * factor))
    if resized[0] * resized[1] <= WHOLE_PIXELS if options.tile is None else max(resized) <= options.tile_size:
        spans = [[(0, side)] for side in resized]
    else:
        spans = [tile_spans(side, options.tile_size, options.tile_overlap) for side in resized]
    rows, columns = map(tuple, spans)
    return Plan((height, width), resized, size_divisor, align_corners, rows, columns, options.tile_overlap)


def pad(images: NDArray[Any], size_divisor: int = 1) -> NDArray[Any]:
    """Repeat the right and lower edge of images N×H×W×B up to `MIN_SIDE` and a multiple of `size_divisor`."""
    height, width = images.shape[1:3]
    wanted = Plan((height, width), (height, width), size_divisor).padded
    if wanted == (height, width):
        return np.ascontiguousarray(images)
    return np.pad(images, ((0, 0), (0, wanted[0] - height), (0, wanted[1] - width), (0, 0)), mode="edge")


def tile_spans(length: int, tile: int, overlap: int) -> list[Span]:
    """The tiles along a side, as few as will do, as small as these may be, all but the last equally large.

    Args:
        length: of the side, in pixels.
        tile: the largest tile; a multiple of 32 (the last may be up to 31 pixels larger).
        overlap: of neighbours at least; a multiple of 32, at most half a tile.
    """
    if length <= tile:
        return [(0, length)]
    lap = overlap + STEP  # rounding a beginning down to a multiple may cost as much
    count = -(-(length - tile) // (tile - lap)) + 1
    size = -(-(length + (count - 1) * lap) // count)
    size = min(tile, -(-size // STEP) * STEP)
    begins = [index * (length - size) // (count - 1) // STEP * STEP for index in range(count)]
    return [*((begin, begin + size) for begin in begins[:-1]), (begins[-1], length)]
