"""Label maps as OME-Zarr 0.5, with smaller levels, written a few rows at a time (extra `micro`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

CHUNK = 512
"""The side of a chunk, in pixels, at every level."""


def write_ome_zarr(
    folder: Path,
    rows: Iterable[NDArray[np.uint8]],
    size: tuple[int, int],
    name: str,
    colours: NDArray[np.uint8] | None = None,
) -> None:
    """Write one channel of uint8 into a folder that is there and empty, in memory that does not grow with it.

    Each level has every second pixel of the one before, until it fits into a chunk: class ids have no mean.

    Args:
        folder: becomes the image's Zarr group.
        rows: the pixels from the top, as many rows h×W at a time as the caller has.
        size: height and width.
        name: of the image.
        colours: 256×3, for values of labels ("image-label" of the specification).
    """
    group = zarr.open_group(str(folder), mode="w", zarr_format=3)
    levels: list[Any] = []
    height, width = size
    while True:
        levels.append(group.create_array(str(len(levels)), shape=(height, width), chunks=(CHUNK, CHUNK), dtype="uint8"))
        if max(height, width) <= CHUNK:
            break
        height, width = -(-height // 2), -(-width // 2)
    top = 0
    for some in rows:
        for level, array in enumerate(levels):
            step = 1 << level
            first = -top % step  # the first of these rows that the level has
            chosen = some[first::step, ::step]
            if len(chosen):
                begin = (top + first) // step
                array[begin : begin + len(chosen)] = chosen
        top += len(some)
    axes = [{"name": axis, "type": "space"} for axis in "yx"]
    datasets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [float(1 << level)] * 2}]}
        for level in range(len(levels))
    ]
    content: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{"name": name, "axes": axes, "datasets": datasets}],
    }
    if colours is not None:
        content["image-label"] = {
            "colors": [{"label-value": value, "rgba": [*map(int, colour), 255]} for value, colour in enumerate(colours)]
        }
    group.attrs["ome"] = content
