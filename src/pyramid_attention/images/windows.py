"""An image that is read by windows: in memory as an array, or in RGB as Pillow decoded it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .raster import Span

BAND = 1 << 22
"""Pixels that are copied out of Pillow's memory at a time."""


@runtime_checkable
class ImageReader(Protocol):
    """An image of B bands that is read by windows, whether it lies in memory or in a file of any size."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    def read(self, rows: Span, columns: Span) -> NDArray[Any]:
        """The values of a window, h×w×B; of an image in RGB h×w×3 uint8.

        Raises:
            UserError: this part of the file is damaged.
        """

    def resized(self, height: int, width: int) -> NDArray[Any]:
        """The whole image at another size, height×width×B: each pixel a weighted mean of those it stands for.

        Raises:
            UserError: the file is damaged.
        """


@dataclass(frozen=True)
class ArrayImage:
    """An array H×W×B as an `ImageReader`."""

    array: NDArray[Any]

    @property
    def height(self) -> int:
        """See `ImageReader`."""
        return len(self.array)

    @property
    def width(self) -> int:
        """See `ImageReader`."""
        return int(self.array.shape[1])

    def read(self, rows: Span, columns: Span) -> NDArray[Any]:
        """See `ImageReader`; a view of the array."""
        return self.array[slice(*rows), slice(*columns)]

    def resized(self, height: int, width: int) -> NDArray[Any]:
        """See `ImageReader`."""
        if self.array.shape[2] == 3 and self.array.dtype == np.uint8:
            return PillowImage(Image.fromarray(self.array)).resized(height, width)
        return resize_bands(self.array, height, width, self.array.dtype)


@dataclass(frozen=True)
class PillowImage:
    """A decoded image of Pillow's, of the mode RGB, as an `ImageReader`: only windows of it become arrays."""

    image: Image.Image

    @property
    def height(self) -> int:
        """See `ImageReader`."""
        return self.image.height

    @property
    def width(self) -> int:
        """See `ImageReader`."""
        return self.image.width

    def read(self, rows: Span, columns: Span) -> NDArray[np.uint8]:
        """See `ImageReader`; a copy."""
        (top, bottom), (left, right) = rows, columns
        pixels = np.empty((bottom - top, right - left, 3), np.uint8)
        step = max(1, BAND // (right - left))
        for row in range(top, bottom, step):  # Pillow makes two copies of what becomes an array
            band = self.image.crop((left, row, right, min(bottom, row + step)))
            pixels[row - top : row - top + step] = np.asarray(band)
        return pixels

    def resized(self, height: int, width: int) -> NDArray[np.uint8]:
        """See `ImageReader`: bilinear, antialiased."""
        return np.asarray(self.image.resize((width, height), Image.Resampling.BILINEAR))


def read_whole(image: ImageReader) -> NDArray[Any]:
    """All values of an image, H×W×B."""
    return image.read((0, image.height), (0, image.width))


def resize_bands(
    values: NDArray[Any], height: int, width: int, dtype: np.dtype[Any], covered: tuple[float, float] | None = None
) -> NDArray[Any]:
    """An image H×W×B at another size and in a type, height×width×B: bilinear, antialiased, whole numbers rounded.

    Args:
        values, height, width, dtype: what becomes what.
        covered: rows and columns, from the first on, that are the image; all by default.
    """
    down, across = covered or values.shape[:2]
    resized = np.stack(
        [
            np.asarray(Image.fromarray(band).resize((width, height), Image.Resampling.BILINEAR, (0, 0, across, down)))
            for band in np.moveaxis(values.astype(np.float32), 2, 0)
        ],
        axis=2,
    )
    return resized if dtype == np.float32 else np.rint(resized).astype(dtype)
