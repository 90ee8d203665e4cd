"""A scene in one file a band (B01.tiff … B08.tiff) as one image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .raster import Raster, Span


class SceneRaster:
    """Several rasters of one grid and type, one band each, as one.

    Raises:
        UserError: they differ in size, type or place, or one has several bands.
    """

    def __init__(self, path: Path, names: Sequence[str], rasters: Sequence[Raster]) -> None:
        first = rasters[0]
        for other in rasters:
            for what, own, its in (
                ("size", (first.height, first.width), (other.height, other.width)),
                ("type", first.dtype, other.dtype),
                ("place", first.place, other.place),
                ("number of bands", 1, len(other.bands)),
            ):
                if own != its:
                    for raster in rasters:
                        raster.close()
                    raise UserError(
                        f"{other.path} and {first.path} differ in their {what} ({its} and {own}); bring the bands of a"
                        " scene onto one grid first, as with gdalbuildvrt -separate -resolution highest"
                    )
        self.path = path
        self.height, self.width = first.height, first.width
        self.bands = tuple(names)
        self.dtype, self.place, self.nodata = first.dtype, first.place, first.nodata
        self._rasters = list(rasters)

    def read(self, rows: Span, columns: Span, bands: Sequence[int] | None = None) -> NDArray[Any]:
        """See `Raster`."""
        chosen = range(len(self._rasters)) if bands is None else bands
        return np.concatenate([self._rasters[band].read(rows, columns) for band in chosen], axis=2)

    def valid(self, rows: Span, columns: Span) -> NDArray[np.bool_] | None:
        """See `Raster`: where every band holds data."""
        masks = [mask for raster in self._rasters if (mask := raster.valid(rows, columns)) is not None]
        return np.logical_and.reduce(masks) if masks else None

    def close(self) -> None:
        """See `Raster`."""
        for raster in self._rasters:
            raster.close()
