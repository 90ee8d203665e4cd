"""Rasters in, rasters out: images of any size, segmented in memory that does not grow with them.

Windows are read, tiles are blended, and rows are put aside on disk as they are done. When the last is done they become
one file on the same grid, with the same place on earth: a Cloud Optimized GeoTIFF, or OME-Zarr for an OME-Zarr. A run
that is killed goes on with the row of tiles that it was at, and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE
from ..errors import UserError, require
from ..files import owned, whole_file, whole_folder
from ..images import Raster, RasterReader, band_indices, open_raster
from .predict import PredictSummary, is_hopeless
from .row_store import RowStore
from .segmentation import Segmentation
from .segmenter import Segmenter
from .sinks import Claim, FileSink, Output
from .sources import FileSource, Item, version_of

TILE = 1024
"""The side of the tiles of rasters, where nobody says another: so that the network takes less memory than the rows."""


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
    bands: Sequence[str | int] | None = None,
    confidence: Path | None = None,
    put: Callable[[Path], AbstractContextManager[Path]] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> RasterResult:
    """Segment a raster and write the result, and go on where an earlier call was killed.

    Args:
        segmenter: takes images of as many bands.
        raster: of any size.
        labels: the file to be written; its suffix says the format (`.tif`, `.zarr`).
        bands: of the raster, in the network's order, by name or by number from 1; by default those that the model was
            trained on, see `Bands.find`.
        confidence: the file for the labels' probabilities.
        put: gives a temporary path for a file or a Zarr folder that is to appear whole; by default `files.whole_file`
            and `files.whole_folder`.
        on_rows: called with the number of rows as they are done, those of an earlier call at once.

    Raises:
        UserError: the raster has other bands than the model takes, another process is at it, memory runs out, or a
            result cannot be written.
        MissingExtra: the library for the format is not installed.
    """
    if labels.resolve() == raster.path.resolve():
        raise UserError(f"{labels} would take the place of the raster that is read; choose another file")
    require(f"writing {labels.name}", "zarr" if labels.suffix == ".zarr" else "rasterio")
    wanted = segmenter.info.bands
    places = wanted.find(raster) if bands is None else band_indices(bands, raster.bands, raster.path)
    reader = RasterReader(raster, places, wanted.nodata)
    wanted.refuse_others(reader.read((0, 1), (0, 1)))
    about = {
        "raster": str(raster.path.resolve()),
        "version": version_of(raster.path),
        "bands": list(places),
        "made_by": segmenter.identity,
        "confidence": confidence is not None,
    }
    name = hashlib.sha256(os.fsencode(labels.name)).hexdigest()[:20]  # the labels' own may be as long as names can be
    folder = labels.parent / f".pan-rows-{name}"
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
        _write(labels, store, 0, raster, segmenter.classes.palette(), put)
        if confidence is not None:
            _write(confidence, store, 1, raster, None, put)
        store.remove()
    with suppress(OSError):
        folder.rmdir()  # where an earlier call made it
    return RasterResult(labels, confidence, tuple(dict.fromkeys(reason for _, _, reason in reader.holes)))


def _write(
    path: Path,
    store: RowStore,
    band: int,
    raster: Raster,
    palette: NDArray[np.uint8] | None,
    put: Callable[[Path], AbstractContextManager[Path]] | None,
) -> None:
    size = raster.height, raster.width
    if path.suffix == ".zarr":
        from ..images.ome_zarr import write_ome_zarr

        with (put or whole_folder)(path) as temporary:
            write_ome_zarr(temporary, store.read(band), size, path.stem, palette)
        return
    from ..images.cog import write_cog

    with (put or whole_file)(path) as temporary:
        nodata = IGNORE if palette is not None else None
        write_cog(temporary, store.read(band), size, raster.place, nodata=nodata, palette=palette)


def predict_rasters(
    segmenter: Segmenter,
    source: FileSource,
    sink: FileSink,
    *,
    bands: Sequence[str | int] | None = None,
    confidence: bool = False,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment rasters one after the other into the folder of a sink; one that is broken does not stop the rest.

    Args:
        segmenter: the model.
        source: whose items are all rasters, of one `raster_suffix`.
        sink: with the outputs of `raster_outputs`, entered already.
        bands: see `segment_raster`.
        confidence: write the labels' probabilities as a second raster.
        on_done: called after each raster.

    Raises:
        UserError: a result would replace a file that we did not write, or the disk is full.
    """
    sink.check(source)
    summary = PredictSummary(failed=list(source.failed))
    waiting = list(source)
    while waiting:
        elsewhere: list[Item] = []
        for item in waiting:
            claim: Claim | None = None
            try:
                claim = sink.claim(item)
                if claim is Claim.ELSEWHERE:
                    elsewhere.append(item)
                    continue
                if claim is Claim.OURS:
                    _predict_one(segmenter, item, sink, bands, confidence)
                    sink.finish(item)
                summary.done += 1
            except UserError as error:
                if claim is Claim.OURS:
                    sink.give_up(item, str(error))
                if is_hopeless(error):
                    raise
                summary.failed.append((item.place, str(error)))
            if on_done is not None:
                on_done()
        waiting = elsewhere
        time.sleep(1 if waiting else 0)  # the process that has them may end without them
    return summary


def _predict_one(
    segmenter: Segmenter, item: Item, sink: FileSink, bands: Sequence[str | int] | None, confidence: bool
) -> None:
    raster = open_raster(Path(item.place))
    try:
        result = segment_raster(
            segmenter,
            raster,
            sink.folder / f"{item.name}{raster_suffix(Path(item.place))}",
            bands=bands,
            confidence=sink.folder / f"{item.name}_confidence.tif" if confidence else None,
            put=lambda path: sink.put(path.relative_to(sink.folder).as_posix(), item.version),
        )
    finally:
        raster.close()
    if result.damaged:
        more = f" and {len(result.damaged) - 1} more places" if len(result.damaged) > 1 else ""
        raise UserError(f"{result.damaged[0]}{more}; there the result {result.labels} holds no data, the rest is done")


def raster_suffix(path: Path) -> str:
    """What the label map of a raster is written as: OME-Zarr for OME-Zarr, GeoTIFF for all else."""
    return ".zarr" if path.suffix == ".zarr" else ".tif"


def raster_outputs(suffix: str, confidence: bool) -> list[Output]:
    """The files that are written of a raster, for a `FileSink`.

    Args:
        suffix: of the label map, see `raster_suffix`.
        confidence: whether the labels' probabilities are one of them.
    """
    endings = [suffix, *(["_confidence.tif"] if confidence else [])]
    return [Output(ending, _written_by_rows) for ending in endings]


def _written_by_rows(segmentation: Segmentation) -> bytes:
    raise NotImplementedError("a raster's result is written a few rows at a time")
