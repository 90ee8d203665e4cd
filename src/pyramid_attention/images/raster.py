"""What an image of any size is: rows and columns, bands, a type, perhaps a place on earth; read by windows.

Each library that opens such images is one file beside this one and one row of the table in `table.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, nearest

DTYPES = ("uint8", "uint16", "int16", "float32")
"""What the values of a band may be. float64 is read as float32, the nearest value."""

Span = tuple[int, int]
"""Where a window begins and ends along an axis, in pixels."""


@dataclass(frozen=True)
class Place:
    """Where an image lies on earth.

    Attributes:
        crs: the coordinate reference system as WKT.
        transform: a, b, c, d, e, f: the pixel corner (column, row) lies at x = a·column + b·row + c, y = d·column +
            e·row + f (GDAL's affine geotransform in the order of the `affine` library).
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]

    def resolution(self) -> tuple[float, float]:
        """The lengths of a pixel's sides along its row and its column, in units of the CRS."""
        a, b, _, d, e, _ = self.transform
        return float(np.hypot(a, d)), float(np.hypot(b, e))


class Raster(Protocol):
    """An opened image of H×W pixels and B bands. It may be read from several threads, one at a time."""

    @property
    def path(self) -> Path:
        """The file or folder it was opened from."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands' names: the file's own where it has them, else "1", "2", …. Alpha is no band, but validity."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of every band's values: one of `DTYPES`."""

    @property
    def place(self) -> Place | None:
        """Where it lies on earth, or None where the file does not say."""

    @property
    def nodata(self) -> float | None:
        """The value that the file declares to mean "nothing was measured here", or None."""

    def read(self, rows: Span, columns: Span, bands: Sequence[int] | None = None) -> NDArray[Any]:
        """The values of a window, h×w×B in `dtype`; of all bands, or of those given by their places (from 0).

        Raises:
            UserError: this part of the file is damaged.
        """

    def valid(self, rows: Span, columns: Span) -> NDArray[np.bool_] | None:
        """Where a window holds data, h×w; None where all of the image does."""

    def close(self) -> None:
        """Let go of the file."""


def band_indices(wanted: Sequence[str | int] | None, names: Sequence[str], where: object) -> tuple[int, ...]:
    """The places (from 0) of bands given by name or by number (from 1, as GDAL counts); all of them where None.

    Args:
        wanted: names and numbers.
        names: of the bands there are.
        where: the image, for the message.

    Raises:
        UserError: there is no such band, or one is named twice.
    """
    if wanted is None:
        return tuple(range(len(names)))
    found = []
    for band in wanted:
        if isinstance(band, str) and band in names:
            found.append(names.index(band))
        elif str(band).isdecimal() and 1 <= int(band) <= len(names):
            found.append(int(band) - 1)
        else:
            hint = nearest(str(band), names)
            raise UserError(f"{where} has no band '{band}': it has {len(names)}, {', '.join(names)}.{hint}")
    if len(set(found)) < len(found):
        raise UserError(f"bands={','.join(map(str, wanted))} names a band twice; name each once")
    return tuple(found)


def supported_dtype(dtype: str, path: object) -> np.dtype[Any]:
    """The type in which a file's values are read.

    Raises:
        UserError: values of this type cannot be segmented (complex numbers, integers of 32 and 64 bits).
    """
    name = "float32" if dtype == "float64" else dtype
    if name not in DTYPES:
        raise UserError(
            f"{path} holds values of type {dtype}, and images are read as {', '.join(DTYPES)}; convert it, as with"
            f" gdal_translate -ot Float32"
        )
    return np.dtype(name)
