"""Rasters in, rasters out: images of any size, segmented in memory that does not grow with them.

Windows are read, tiles are blended, and rows are put aside on disk as they are done. When the last is done they become
one file on the same grid, with the same place on earth: a Cloud Optimized GeoTIFF, or OME-Zarr for an OME-Zarr. A run
that is killed goes on with the row of tiles that it was at, and ends with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..classes import IGNORE
from ..errors import UserError, require
from ..files import owned, scratch
from ..images import Raster, Span
from .row_store import RowStore
from .segmenter import Segmenter


@dataclass
class RasterReader:
    """Some bands of a raster, read by windows for the Segmenter.

    Where the file is damaged, or holds no data, the values are 0; which windows were damaged is remembered.
    """

    raster: Raster
    bands: Sequence[int] | None = None
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
        valid = self.valid(rows, columns)
        return values if valid is None else np.where(valid[..., None], values, values.dtype.type(0))

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
        """The whole image at a smaller size: means of equal squares first, then bilinear, antialiased."""
        step = max(1, min(self.height // (2 * height), self.width // (2 * width)))
        strips = []
        for top in range(0, self.height - self.height % step or self.height, step * 64):
            bottom = min(top + step * 64, self.height // step * step)
            strip = self.read((top, bottom), (0, self.width // step * step)).astype(np.float32)
            squares = strip.reshape(-1, step, self.width // step, step, strip.shape[2])
            strips.append(squares.mean(axis=(1, 3)))
        small = np.concatenate(strips)
        bands = [
            np.asarray(Image.fromarray(small[..., band]).resize((width, height), Image.Resampling.BILINEAR))
            for band in range(small.shape[2])
        ]
        values = np.stack(bands, axis=2)
        return values if self.raster.dtype == np.float32 else np.rint(values).astype(self.raster.dtype)


SMALLEST = 64
"""Rows of the smallest window of a damaged part that is read on its own."""


def _meet(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _part(inner: Span, outer: Span) -> slice:
    return slice(max(0, inner[0] - outer[0]), max(0, inner[1] - outer[0]))


@dataclass(frozen=True)
class RasterResult:
    """What became of a raster.

    Attributes:
        labels: the file of class ids, `IGNORE` where the raster holds no data.
        confidence: the file of the probabilities of the labels, 0 … 255, or None.
        damaged: what could not be read, one line each.
    """

    labels: Path
    confidence: Path | None
    damaged: tuple[str, ...]


def segment_raster(
    segmenter: Segmenter,
    raster: Raster,
    labels: Path,
    *,
    bands: Sequence[int] | None = None,
    confidence: Path | None = None,
    key: Any = None,
    on_rows: Callable[[int], None] | None = None,
) -> RasterResult:
    """Segment a raster and write the result, and go on where an earlier call was killed.

    Args:
        segmenter: takes images of as many bands.
        raster: of any size.
        labels: the file to be written; its suffix says the format (`.tif`, `.zarr`).
        bands: of the raster, in the network's order, by their places from 0; all by default.
        confidence: the file for the labels' probabilities.
        key: what else, beside raster and options, decides the result, as plain JSON: the model's digest.
        on_rows: called with the number of rows as they are done, those of an earlier call at once.

    Raises:
        UserError: another process is at it, memory runs out, or a result cannot be written.
        MissingExtra: the library for the format is not installed.
    """
    require(f"writing {labels.name}", "zarr" if labels.suffix == ".zarr" else "rasterio")
    reader = RasterReader(raster, bands)
    size = raster.height, raster.width
    state = raster.path.stat() if raster.path.exists() else None
    about = {
        "raster": str(raster.path.resolve()),
        "state": None if state is None else [state.st_size, state.st_mtime_ns],
        "bands": None if bands is None else list(bands),
        "options": repr(segmenter.options),
        "confidence": confidence is not None,
        "key": key,
    }
    folder = labels.parent / f".pan-rows-{labels.name[:100]}"
    with owned(folder, "raster") as place:
        store = RowStore(place / "rows", about, raster.width)
        done = store.height
        if on_rows is not None and done:
            on_rows(done)
        if done < raster.height:
            for rows in segmenter.rows(reader, with_confidence=confidence is not None, begin=done):
                top, found = max(rows.top, done), rows.labels[max(0, done - rows.top) :]
                valid = reader.valid((top, top + len(found)), (0, raster.width))
                layers = [found if valid is None else np.where(valid, found, np.uint8(IGNORE))]
                if rows.confidence is not None:
                    sure = np.rint(rows.confidence[max(0, done - rows.top) :] * 255).astype(np.uint8)
                    layers.append(sure if valid is None else np.where(valid, sure, np.uint8(0)))
                store.append(np.stack(layers))
                if on_rows is not None:
                    on_rows(len(found))
        palette = segmenter.classes.palette()
        _write(labels, store, 0, size, raster, palette)
        if confidence is not None:
            _write(confidence, store, 1, size, raster, None)
        store.remove()
    with suppress(OSError):
        folder.rmdir()  # where an earlier call made it
    return RasterResult(labels, confidence, tuple(dict.fromkeys(reason for _, _, reason in reader.holes)))


def _write(
    path: Path, store: RowStore, band: int, size: tuple[int, int], raster: Raster, palette: NDArray[np.uint8] | None
) -> None:
    if path.suffix == ".zarr":
        from ..images.ome_zarr import write_ome_zarr

        with scratch(path.parent) as place:
            write_ome_zarr(place / "new", store.read(band), size, path.stem, palette)
            (place / "new").rename(path)
        return
    from ..images.cog import write_cog

    nodata = IGNORE if palette is not None else None
    write_cog(path, store.read(band), size, raster.place, nodata=nodata, palette=palette)
