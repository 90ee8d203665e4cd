"""Label maps and other single bands as Cloud Optimized GeoTIFF, written a few rows at a time (extra `geo`)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from ..errors import UserError
from .raster import Place

BLOCK = 512
"""The side of the file's tiles, in pixels."""


def write_cog(
    path: Path,
    rows: Iterable[NDArray[np.uint8]],
    size: tuple[int, int],
    place: Place | None,
    *,
    nodata: int | None = None,
    palette: NDArray[np.uint8] | None = None,
) -> None:
    """Write one band of uint8 in memory that does not grow with it.

    Args:
        path: of the file; a second one is written beside it for the time being.
        rows: the pixels from the top, as many rows h×W at a time as the caller has.
        size: height and width.
        place: where it lies on earth.
        nodata: the value of pixels without data.
        palette: 256×3, the colours in which the values are drawn.

    Raises:
        UserError: the file cannot be written.
    """
    height, width = size
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": "uint8",
        "nodata": nodata,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "zlevel": 1,  # it is read once and removed
        "bigtiff": "if_safer",
        "sparse_ok": False,
    }
    if place is not None:
        profile |= {"crs": rasterio.CRS.from_wkt(place.crs), "transform": Affine(*place.transform)}
    plain = path.with_name(f"plain{path.suffix}")
    try:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(plain, "w", **profile) as file:
                if palette is not None:
                    file.write_colormap(1, {value: (*map(int, colour), 255) for value, colour in enumerate(palette)})
                    file.colorinterp = [ColorInterp.palette]
                top = 0
                for held in _by_blocks(rows):
                    file.write(held, 1, window=Window(0, top, width, len(held)))
                    top += len(held)
            rasterio.shutil.copy(
                plain,
                path,
                driver="COG",
                blocksize=BLOCK,
                compress="deflate",
                level=6,
                overview_resampling="nearest" if palette is not None else "average",
                bigtiff="if_safer",
            )
            plain.unlink()
    except RasterioError as error:
        raise UserError(f"cannot write {path} ({error}); check its folder and the disk") from error


def _by_blocks(rows: Iterable[NDArray[np.uint8]]) -> Iterable[NDArray[np.uint8]]:
    """The same rows, `BLOCK` at a time: a compressed tile is written once."""
    held: list[NDArray[np.uint8]] = []
    count = 0
    for some in rows:
        held.append(some)
        count += len(some)
        if count >= BLOCK:
            stacked = np.concatenate(held)
            whole = count // BLOCK * BLOCK
            yield stacked[:whole]
            held, count = [stacked[whole:]], count - whole
    if count:
        yield np.concatenate(held)
