"""Which library opens a file: one table, and the one function that everybody asks."""

from __future__ import annotations

import glob
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ..errors import UserError, require
from .raster import Raster

GEO_TAGS = {33550, 33922, 34264, 34735}
"""TIFF tags of GeoTIFF (OGC 19-008r4): pixel scale, tie points, transformation, the directory of keys."""


class Opener(NamedTuple):
    """What opens some files.

    Attributes:
        suffixes: of the files, lower case.
        modules: what has to be installed, see `errors.EXTRAS`.
        open: imports the library and opens a path; its second argument says whether a palette stands for ids.
    """

    suffixes: tuple[str, ...]
    modules: tuple[str, ...]
    open: Callable[[Path, bool], Raster]


def _gdal(path: Path, as_ids: bool) -> Raster:
    from .gdal import GdalRaster

    return GdalRaster(path, as_ids)


def _tiff(path: Path, as_ids: bool) -> Raster:
    from .microscopy import open_tiff

    return open_tiff(path)


def _zarr(path: Path, as_ids: bool) -> Raster:
    from .microscopy import open_ome_zarr

    return open_ome_zarr(path)


def _npy(path: Path, as_ids: bool) -> Raster:
    from .npy import open_npy

    return open_npy(path)


OPENERS = (
    Opener((".npy",), (), _npy),
    Opener((".zarr",), ("zarr",), _zarr),
    Opener((".ome.tif", ".ome.tiff", ".svs", ".ndpi", ".btf", ".lsm"), ("tifffile", "zarr"), _tiff),
    Opener((".tif", ".tiff", ".vrt", ".jp2", ".img", ".asc", ".nc", ".hdf", ".grd"), ("rasterio",), _gdal),
)
"""The first row that knows a file's suffix opens it."""
RASTER_SUFFIXES = frozenset(suffix for opener in OPENERS for suffix in opener.suffixes) - {".zarr"}
"""The suffixes of single files that these open."""


def _opener(path: Path) -> Opener | None:
    name = path.name.lower()
    return next((opener for opener in OPENERS if name.endswith(opener.suffixes)), None)


def is_raster(path: Path, rgb: bool = True) -> bool:
    """Whether a path is opened by windows: a file of the table, but where images are in `rgb` no plain 8-bit TIFF.

    A folder is one if it is an OME-Zarr; a pattern of files with {band} in its name stands for a scene. Where rasterio
    is not installed, 8-bit images on earth are images like any other.
    """
    if "{band}" in path.name:
        return True
    opener = _opener(path)
    if opener is None or not path.exists():
        return False
    if rgb and opener.modules == ("rasterio",) and path.name.lower().endswith((".tif", ".tiff")):
        return not _is_plain_tiff(path, on_earth=importlib.util.find_spec("rasterio") is None)
    return path.suffix != ".zarr" or path.is_dir()


def _is_plain_tiff(path: Path, on_earth: bool) -> bool:
    """Whether Pillow reads a TIFF as the 8-bit image it is, by its header: no further bands and, unless `on_earth`, no
    place on earth.
    """
    try:
        with Image.open(path) as image:
            tags = set(getattr(image, "tag_v2", {}))
            return image.mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "LA") and (on_earth or not GEO_TAGS & tags)
    except Exception:  # Pillow does not know it, in as many ways as there are files
        return False


def open_raster(path: Path, *, as_ids: bool = False) -> Raster:
    """Open an image by windows.

    Args:
        path: a file or OME-Zarr folder, or a pattern with {band} in the file's name ("scene/{band}.tiff") for a scene
            in one file a band.
        as_ids: it is a mask: the values of a file with a palette are ids, and not their colours.

    Raises:
        UserError: it is missing, damaged, or of a kind that no library here opens.
        MissingExtra: the library that opens it is not installed.
    """
    if "{band}" in path.name:
        return _open_scene(path)
    opener = _opener(path)
    if opener is None:
        raise UserError(f"{path} is no raster: none of {', '.join(s for one in OPENERS for s in one.suffixes)}")
    if not path.exists():
        raise UserError(f"{path} does not exist; check the path")
    require(f"reading {path.name}", *opener.modules)
    return opener.open(path, as_ids)


def _open_scene(pattern: Path) -> Raster:
    from .scene import SceneRaster

    before, after = pattern.name.split("{band}")
    files = sorted(
        pattern.parent.glob(f"{glob.escape(before)}*{glob.escape(after)}"), key=lambda file: _natural(file.name)
    )
    if not files:
        raise UserError(f"no file matches {pattern}; {{band}} stands for the part of the name that names the band")
    names = [file.name[len(before) : len(file.name) - len(after)] for file in files]
    return SceneRaster(pattern, names, [open_raster(file) for file in files])


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts B2 before B10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
