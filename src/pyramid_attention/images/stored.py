"""Arrays on disk that are read by slices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .raster import Place, Span, supported_dtype


class StoredRaster:
    """An array on disk that is read by slices: its axes are rows, columns and at most one of channels.

    Args:
        path: of the file or folder.
        array: anything with `shape`, `dtype` and slicing.
        axes: a letter an axis: Y, X, and C or S for channels; others (time, depth) must have length 1.
        names: of the channels, where the file has them.

    Raises:
        UserError: other axes that are longer than 1, or values that cannot be segmented.
    """

    place: Place | None = None
    nodata: float | None = None

    def __init__(self, path: Path, array: Any, axes: str, names: Sequence[str] = ()) -> None:
        self.path = path
        self._array = array
        axes = axes.upper()
        sizes = dict(zip(axes, array.shape, strict=True))
        channels = [axis for axis in axes if axis in "CS" and sizes[axis] > 1] or [
            axis for axis in axes if axis in "CS"
        ]
        longer = [f"{axis} of {sizes[axis]}" for axis in axes if axis not in "YXCS" and sizes[axis] > 1]
        if not {"Y", "X"} <= sizes.keys() or longer or len([axis for axis in channels if sizes[axis] > 1]) > 1:
            raise UserError(
                f"{path} has the axes {axes} with {'×'.join(map(str, array.shape))} values; an image has rows, columns"
                " and channels: save one plane, one point in time"
            )
        self.dtype = supported_dtype(str(np.dtype(array.dtype).newbyteorder("=")), path)
        self.height, self.width = sizes["Y"], sizes["X"]
        self._axes, self._channel = axes, channels[0] if channels else None
        count = sizes[self._channel] if self._channel else 1
        self.bands = tuple(names) if len(set(names)) == count else tuple(str(1 + band) for band in range(count))

    def read(self, rows: Span, columns: Span, bands: Sequence[int] | None = None) -> NDArray[Any]:
        """See `Raster`."""
        slices = {"Y": slice(*rows), "X": slice(*columns), self._channel: slice(None)}
        try:
            values = np.asarray(self._array[tuple(slices.get(axis, 0) for axis in self._axes)])
        except Exception as error:  # decoders raise what they stumble over
            raise UserError(
                f"{self.path} is damaged in rows {rows[0]} to {rows[1]}, columns {columns[0]} to {columns[1]} ({error})"
            ) from error
        left = "".join(axis for axis in self._axes if axis in slices)
        if self._channel is None:
            left, values = left + "C", values[..., None]
        order = [left.index(axis) for axis in ("Y", "X", self._channel or "C")]
        values = values.transpose(order)
        if bands is not None:
            values = values[..., list(bands)]
        return np.ascontiguousarray(values, dtype=self.dtype)

    def valid(self, rows: Span, columns: Span) -> NDArray[np.bool_] | None:
        """See `Raster`: NaN is no data."""
        return None if self.dtype != np.float32 else ~np.isnan(self.read(rows, columns)).any(axis=2)

    def close(self) -> None:
        """See `Raster`; the array goes with its last reference."""
