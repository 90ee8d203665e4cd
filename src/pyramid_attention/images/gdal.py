"""GeoTIFF and all else that GDAL reads, through rasterio (extra `geo`)."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from ..errors import UserError
from .raster import Place, Span, supported_dtype

RGB = ("red", "green", "blue")
FAULTS = (RasterioError, CPLE_BaseError)
"""What reading a damaged file raises."""

os.environ.setdefault("GDAL_CACHEMAX", "128")  # megabytes of decoded blocks; by default a twentieth of all memory
os.environ.setdefault("CPL_LOG", os.devnull)  # where GDAL prints its warnings, which name no file: stderr by default


def _silence_log_of_gdal() -> None:
    """Keep Python from printing that rasterio could not log a message of GDAL's that is no UTF-8.

    Cython has the error printed as one that nobody caught, though no line of Python raised it, and then as one that
    could not be raised.
    """
    uncaught, unraisable = sys.excepthook, sys.unraisablehook

    def unless_from_nowhere(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not (isinstance(error, UnicodeDecodeError) and trace is None):
            uncaught(kind, error, trace)

    def unless_of_log(fault: sys.UnraisableHookArgs) -> None:
        if not (isinstance(fault.exc_value, UnicodeDecodeError) and "log_error" in str(fault.object)):
            unraisable(fault)

    sys.excepthook, sys.unraisablehook = unless_from_nowhere, unless_of_log


_silence_log_of_gdal()
# For good: files are opened in several threads, and `warnings.catch_warnings` undoes in one what another has set.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


class GdalRaster:
    """A raster opened by GDAL.

    A palette becomes its colours (three bands of uint8), as for any other image, unless `as_ids`; an alpha band says
    where there is data. Scales and offsets that a file declares are not applied: a network is trained on the values as
    stored.

    Raises:
        UserError: GDAL cannot open the file, or its bands differ in type or have one that cannot be segmented.
    """

    def __init__(self, path: Path, as_ids: bool = False) -> None:
        self.path = path
        try:
            self._open()
            self._read_header(as_ids)
        except (UserError, MemoryError):
            raise
        except Exception as error:  # rasterio raises whatever a damaged header leads to
            raise UserError(f"{path} cannot be opened as a raster ({_first_line(error)}); check the file") from error

    def _read_header(self, as_ids: bool) -> None:
        file, path = self._file, self.path
        types = sorted(set(file.dtypes))
        if len(types) > 1:
            self._file.close()
            raise UserError(f"{path} has bands of several types ({', '.join(types)}); write them in one type")
        self.dtype = supported_dtype(types[0], path)
        self.height, self.width = file.height, file.width
        self.nodata: float | None = file.nodata
        place = file.crs is not None
        self.place = Place(file.crs.to_wkt(), tuple(file.transform)[:6]) if place else None
        roles = file.colorinterp
        self._indices = [index for index, role in zip(file.indexes, roles, strict=True) if role != ColorInterp.alpha]
        if not self._indices:
            self._file.close()
            raise UserError(f"{path} has no band but transparency; nothing can be segmented in it")
        self._palette: NDArray[np.uint8] | None = None
        if not as_ids and roles[0] == ColorInterp.palette and file.count == 1 and self.dtype == np.uint8:
            self._palette = np.zeros((256, 3), np.uint8)
            for value, colour in file.colormap(1).items():
                self._palette[value] = colour[:3]
            self.bands: tuple[str, ...] = RGB
        else:
            self.bands = tuple(self._name(position, index) for position, index in enumerate(self._indices))
        flags = [flag for index in self._indices for flag in file.mask_flag_enums[index - 1]]
        self._masked = any(flag != MaskFlags.all_valid for flag in flags) or self.dtype == np.float32

    def _open(self) -> None:
        """Open the file for this process: of a file that was opened before a fork both would move one position."""
        self._lock, self._process = threading.Lock(), os.getpid()
        with rasterio.Env():  # which says where the tables of coordinate systems are
            self._file = rasterio.open(self.path)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_file", "_lock")} | {"_process": 0}

    @contextmanager
    def _ours(self) -> Iterator[Any]:
        """The file, which no other thread reads meanwhile."""
        if self._process != os.getpid():
            self._open()
        with self._lock:
            yield self._file

    def _name(self, position: int, index: int) -> str:
        described = self._file.descriptions[index - 1]
        if described:
            return str(described)
        role = self._file.colorinterp[index - 1].name
        return role if role in RGB and len(self._indices) >= 3 else str(position + 1)

    def read(self, rows: Span, columns: Span, bands: Sequence[int] | None = None) -> NDArray[Any]:
        """See `Raster`."""
        chosen = range(len(self.bands)) if bands is None else bands
        if self._palette is not None:
            coloured: NDArray[np.uint8] = self._palette[self._read([1], rows, columns)[0]]
            return coloured[..., list(chosen)]
        values = self._read([self._indices[band] for band in chosen], rows, columns)
        return np.ascontiguousarray(values.transpose(1, 2, 0)).astype(self.dtype, copy=False)

    def _read(self, indices: list[int], rows: Span, columns: Span) -> NDArray[Any]:
        try:
            with self._ours() as file:
                values: NDArray[Any] = file.read(indices, window=_window(rows, columns))
        except FAULTS as error:
            raise UserError(
                f"{self.path} is damaged in rows {rows[0]} to {rows[1]}, columns {columns[0]} to {columns[1]}"
                f" ({_first_line(error.__cause__ or error)})"
            ) from error
        return values

    def valid(self, rows: Span, columns: Span) -> NDArray[np.bool_] | None:
        """See `Raster`: by the file's mask, alpha band or nodata value; NaN is no data either."""
        if not self._masked:
            return None
        try:
            with self._ours() as file:
                mask: NDArray[np.bool_] = file.dataset_mask(window=_window(rows, columns)) > 0
        except FAULTS as error:
            raise UserError(f"the mask of {self.path} is damaged ({_first_line(error)})") from error
        if self.dtype == np.float32:
            mask &= ~np.isnan(self.read(rows, columns)).any(axis=2)
        return mask

    def close(self) -> None:
        """See `Raster`."""
        self._file.close()


def _window(rows: Span, columns: Span) -> Window:
    return Window(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
