"""Images and rasters, as they are found, into one folder of results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..images import Place, open_raster, read_label_map
from .predict import PredictSummary, predict
from .rasters import predict_rasters, raster_outputs, raster_suffix
from .segmenter import Segmenter
from .sinks import CONFIDENCE, LABEL_MAP, FileSink, Output
from .sources import FileSource, Item
from .vectors import SUFFIXES, write_polygons


def predict_files(
    segmenter: Segmenter,
    source: FileSource,
    folder: Path,
    *,
    outputs: Sequence[Output] = (),
    confidence: bool = False,
    polygons: Path | None = None,
    min_area: float = 0.0,
    resume: bool = False,
    overwrite: bool = False,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment images and rasters into a folder: label maps as PNG for the ones, on their own grid for the others.

    Args:
        segmenter: the model.
        source: see `find_images`.
        folder: of the results; see `FileSink`, also for `resume` and `overwrite`.
        outputs: what is written of each image beside its label map; rasters have none of these.
        confidence: write the labels' probabilities, too.
        polygons: a file for the regions of the one image or raster there is.
        min_area: of these regions, see `write_polygons`.
        on_done: called after each image or raster.

    Raises:
        UserError: a result would replace a file that we did not write; polygons of several images, or in a format that
            is not known; or the disk is full.
    """
    if polygons is not None and polygons.suffix.lower() not in SUFFIXES:
        raise UserError(f"polygons={polygons} is to be a file {' or '.join(SUFFIXES)}")
    if polygons is not None and source.count != 1:
        raise UserError(f"polygons={polygons} takes the regions of one image, and there are {source.count}; name one")
    images, rasters = source.apart()
    by_suffix: dict[str, list[Item]] = {}
    for item in rasters.items:
        by_suffix.setdefault(raster_suffix(Path(item.place)), []).append(item)
    made_by = segmenter.identity
    # What a link leads to has another folder above it than the link has.
    region_file = (
        None if polygons is None else os.path.relpath(polygons.parent.resolve() / polygons.name, folder.resolve())
    )

    def sink_of(outputs: Sequence[Output]) -> FileSink:
        others = [] if region_file is None else [region_file]
        return FileSink(folder, outputs, made_by=made_by, resume=resume, overwrite=overwrite, others=others)

    for suffix, items in by_suffix.items():
        with sink_of(raster_outputs(suffix, confidence)) as sink:
            sink.check(items)  # before the first image is read
    summary = PredictSummary()
    if images.items or images.failed:
        with sink_of([LABEL_MAP, *outputs, *([CONFIDENCE] if confidence else [])]) as sink:
            summary = predict(segmenter, images, sink, on_done=on_done)
    by_tiles = segmenter
    if segmenter.options.max_size is None:  # what a model says of images: a raster is never one look at a scene
        by_tiles = copy(segmenter)
        by_tiles.max_size = None
    for suffix, items in by_suffix.items():
        with sink_of(raster_outputs(suffix, confidence)) as sink:
            found = predict_rasters(by_tiles, FileSource(items), sink, confidence=confidence, on_done=on_done)
        summary = PredictSummary(summary.done + found.done, [*summary.failed, *found.failed])
    if region_file is not None and summary.done:
        (item,) = source.items
        place: Place | None = None
        if images.items:
            labels = read_label_map(folder / f"{item.name}.png").astype(np.uint8)
        else:
            raster = open_raster(folder / f"{item.name}{raster_suffix(Path(item.place))}", as_ids=True)
            labels, place = raster.read((0, raster.height), (0, raster.width))[..., 0], raster.place
            raster.close()
        with sink_of([]) as sink, sink.put(region_file) as temporary:
            write_polygons(temporary, labels, segmenter.classes, place, min_area=min_area)
    return summary
