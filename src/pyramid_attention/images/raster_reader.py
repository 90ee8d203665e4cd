"""A raster as the network is to see it: some of its bands, and what is damaged or holds no data in place of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .bands import fill
from .raster import Raster, Span
from .windows import resize_bands

SMALLEST = 64
"""Rows of the smallest window of a damaged part that is read on its own."""


@dataclass
class RasterReader:
    """Some bands of a raster, read by windows for the Segmenter.

    Where the file is damaged, or holds no data, the values are what `fill` says; which windows were damaged is
    remembered.

    Attributes:
        raster: which.
        bands: their places from 0; all by default.
        nodata: the value that the model knows for no data, or None.
        holes: rows, columns and what was said of each damaged window.
    """

    raster: Raster
    bands: Sequence[int] | None = None
    nodata: float | None = None
    holes: list[tuple[Span, Span, str]] = field(default_factory=list)

    @property
    def height(self) -> int:
        """Rows."""
        return self.raster.height

    @property
    def width(self) -> int:
        """Columns."""
        return self.raster.width

    def read(self, rows: Span, columns: Span) -> NDArray[Any]:
        """The values of a window, h×w×B."""
        values = self._values(rows, columns)
        return fill(values, self.valid(rows, columns), self.nodata)

    def _values(self, rows: Span, columns: Span) -> NDArray[Any]:
        try:
            return self.raster.read(rows, columns, self.bands)
        except UserError as error:
            if rows[1] - rows[0] > 1 and columns[1] - columns[0] > 1 and (rows[1] - rows[0]) > SMALLEST:
                middle, centre = sum(rows) // 2, sum(columns) // 2
                halves = [(rows[0], middle), (middle, rows[1])]
                sides = [(columns[0], centre), (centre, columns[1])]
                parts = [[self._values(some, side) for side in sides] for some in halves]
                return np.concatenate([np.concatenate(row, axis=1) for row in parts])
            self.holes.append((rows, columns, str(error)))
            count = len(self.raster.bands) if self.bands is None else len(self.bands)
            return np.zeros((rows[1] - rows[0], columns[1] - columns[0], count), self.raster.dtype)

    def valid(self, rows: Span, columns: Span) -> NDArray[np.bool_] | None:
        """Where a window holds data, h×w; None where all of it does."""
        try:
            mask = self.raster.valid(rows, columns)
        except UserError as error:
            self.holes.append((rows, columns, str(error)))
            mask = None
        inside = [hole for hole in self.holes if _meet(hole[0], rows) and _meet(hole[1], columns)]
        if inside and mask is None:
            mask = np.ones((rows[1] - rows[0], columns[1] - columns[0]), bool)
        for down, across, _ in inside:
            assert mask is not None
            mask[_part(down, rows), _part(across, columns)] = False
        return mask

    def resized(self, height: int, width: int) -> NDArray[Any]:
        """The whole image at a smaller size: means of equal squares first, then bilinear, antialiased.

        Where the last squares stand out over the image, its last row and column are repeated in them.
        """
        step = max(1, min(self.height // (2 * height), self.width // (2 * width)))
        strips = []
        for top in range(0, self.height, step * 64):
            strip = self.read((top, min(top + step * 64, self.height)), (0, self.width)).astype(np.float32)
            strip = np.pad(strip, ((0, -len(strip) % step), (0, -self.width % step), (0, 0)), mode="edge")
            squares = strip.reshape(-1, step, strip.shape[1] // step, step, strip.shape[2])
            strips.append(squares.mean(axis=(1, 3)))
        covered = self.height / step, self.width / step
        return resize_bands(np.concatenate(strips), height, width, self.raster.dtype, covered)


def _meet(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _part(inner: Span, outer: Span) -> slice:
    return slice(max(0, inner[0] - outer[0]), max(0, inner[1] - outer[0]))
