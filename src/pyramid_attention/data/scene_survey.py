"""A scene looked at as a whole: what its bands hold, how much of it is nodata, and a small image with its labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE
from ..images import RasterReader
from .samples import Dataset
from .scene_blocks import BLOCKS, cut
from .scenes import Scene, WindowSample
from .statistics import BandStatistics

MOST_PIXELS = 1 << 28
"""Of larger scenes every second, third, … block is read for what their bands hold."""
SHOWN = 1200
"""Pixels of the longer side of the small image."""


@dataclass(frozen=True, eq=False)
class SceneSurvey:
    """What a scene turned out to be.

    Attributes:
        scene: which.
        low, high, mean: of each band, where it holds data; nan where it nowhere does.
        missing: the share of its pixels that holds no data.
        image: the scene as people can see it, h×w×3 uint8, at most `SHOWN` pixels a side.
        mask: for each of these pixels a label that it has somewhere, h×w uint8.
    """

    scene: Scene
    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    missing: float
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]

    @property
    def crs(self) -> str | None:
        """The name of its coordinate reference system, with its EPSG code where that is known; None without one."""
        place = self.scene.raster.place
        if place is None:
            return None
        name = re.search(r'"([^"]*)"', place.crs)
        code = re.search(r'(?:AUTHORITY|ID)\["EPSG",\s*"?(\d+)"?\]\]\s*$', place.crs)
        return (name[1] if name else place.crs) + (f" (EPSG:{code[1]})" if code else "")

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        raster, bands = self.scene.raster, self.scene.bands
        values = zip(bands.names, self.low, self.high, self.mean, strict=True)
        return {
            "path": str(raster.path),
            "size": [raster.height, raster.width],
            "dtype": bands.dtype,
            "nodata": bands.nodata,
            "nodata_share": self.missing,
            "crs": self.crs,
            "resolution": None if raster.place is None else list(raster.place.resolution()),
            "bands": {
                name: {"low": low, "high": high, "mean": mean} if low == low else None
                for name, low, high, mean in values
            },
        }


def scenes_of(dataset: Dataset) -> list[Scene]:
    """The scenes of a data set, in their order; none where it is made of images."""
    windows = [sample for of in dataset.splits.values() for sample in of if isinstance(sample, WindowSample)]
    return list(dict.fromkeys(sample.scene for sample in windows))


def survey(scene: Scene, on_done: Callable[[], None] | None = None) -> SceneSurvey:
    """Read a scene, once for what its bands hold and once for the small image.

    Raises:
        UserError: a part of a file is damaged.
    """
    raster, bands = scene.raster, scene.bands
    blocks = cut(raster.height, raster.width, BLOCKS[0])
    blocks = blocks[:: max(1, -(-raster.height * raster.width // MOST_PIXELS))]
    statistics = BandStatistics(len(bands))
    low, high = np.full(len(bands), np.nan), np.full(len(bands), np.nan)
    pixels = 0
    for block in blocks:
        values = scene.read_image(block)
        gone = bands.missing(values)
        held = values.reshape(-1, len(bands)) if gone is None else values[~gone]
        pixels += values.shape[0] * values.shape[1]
        if len(held):
            low, high = np.fmin(low, held.min(axis=0)), np.fmax(high, held.max(axis=0))
            statistics.add(held[:, None])
    mean = statistics.mean if statistics.count else np.full(len(bands), np.nan)
    step = max(1.0, max(raster.height, raster.width) / SHOWN)
    height, width = (max(1, round(side / step)) for side in (raster.height, raster.width))
    mask = np.full((height, width), IGNORE, np.uint8)
    for block in (*scene.learnt, *scene.held):  # no label elsewhere
        labels = scene.labels.read(*block)
        rows, columns = np.nonzero(labels != IGNORE)
        places = (block.rows[0] + rows) * height // raster.height, (block.columns[0] + columns) * width // raster.width
        mask[places] = labels[rows, columns]
    small = RasterReader(raster, scene.places, bands.nodata).resized(height, width)
    if on_done is not None:
        on_done()
    return SceneSurvey(
        scene,
        tuple(low.tolist()),
        tuple(high.tolist()),
        tuple(mean.tolist()),
        1 - statistics.count / max(1, pixels),
        bands.to_rgb(small),
        mask,
    )
