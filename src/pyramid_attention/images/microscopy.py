"""Microscope images: TIFF of any size and OME-TIFF through tifffile, OME-Zarr through zarr (extra `micro`)."""

from __future__ import annotations

import logging
import os
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import tifffile
import zarr

from ..errors import UserError
from .stored import StoredRaster

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # or its warnings go to stderr, and name no file


def open_tiff(path: Path) -> StoredRaster:
    """Open a TIFF (BigTIFF, OME-TIFF) by its first series, at full resolution.

    Raises:
        UserError: it is damaged, or more than one plane.
    """
    try:
        with tifffile.TiffFile(path) as file:
            _refuse_circle(file)
            series = file.series[0]
            axes, names = series.axes.replace("Q", "").replace("I", "Z"), _ome_names(file.ome_metadata)
            store = tifffile.imread(path, aszarr=True, series=0, level=0)
        array: Any = zarr.open(store, mode="r")
    except Exception as error:  # tifffile raises whatever a damaged file leads to
        raise UserError(f"{path} is damaged or no TIFF ({error}); check the file") from error
    if not isinstance(array, zarr.Array):
        array = array["0"]
    return StoredRaster(path, array, axes, names)


def _refuse_circle(file: tifffile.TiffFile) -> None:
    """Check that the pages of a file end; tifffile would follow a circle for hours.

    Raises:
        ValueError: a page follows itself.
    """
    tiff, handle = file.tiff, file.filehandle
    followed: set[int] = set()
    offset = file.pages.first.offset
    while offset:
        if offset in followed:
            raise ValueError("a page follows itself")
        followed.add(offset)
        handle.seek(offset)
        (count,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
        handle.seek(count * tiff.tagsize, os.SEEK_CUR)
        following = handle.read(tiff.offsetsize)
        (offset,) = struct.unpack(tiff.offsetformat, following) if len(following) == tiff.offsetsize else (0,)


def _ome_names(metadata: str | None) -> list[str]:
    """The names of the channels of the first image in OME-XML."""
    if metadata is None:
        return []
    root = ElementTree.fromstring(metadata)
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    channels = [node for node in pixels if node.tag.endswith("}Channel")] if pixels is not None else []
    return [node.get("Name", "") for node in channels]


def open_ome_zarr(path: Path) -> StoredRaster:
    """Open an OME-Zarr image (versions 0.4 and 0.5), or a plain Zarr array of rows, columns and channels.

    Raises:
        UserError: it is damaged or no image.
    """
    try:
        node: Any = zarr.open(str(path), mode="r")
        if isinstance(node, zarr.Array):
            return StoredRaster(path, node, {2: "YX", 3: "YXC"}.get(node.ndim, "?" * node.ndim))
        attributes = dict(node.attrs)
        attributes = attributes.get("ome", attributes)
        scales = attributes["multiscales"][0]
        axes = "".join(axis if isinstance(axis, str) else axis["name"] for axis in scales["axes"])
        names = [channel.get("label", "") for channel in attributes.get("omero", {}).get("channels", ())]
        return StoredRaster(path, node[scales["datasets"][0]["path"]], axes, names)
    except UserError:
        raise
    except Exception as error:  # as above
        raise UserError(f"{path} is damaged or no OME-Zarr image ({error}); check the folder") from error
