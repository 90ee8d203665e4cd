"""Images, rasters and videos, as they are found, into one folder of results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import UserError, is_installed, require
from ..files import address_of
from ..images import Place, open_raster, read_label_map
from .addresses import shown
from .object_sink import sink_into
from .options import VideoOptions
from .predict import PredictSummary, predict
from .rasters import TILE, predict_rasters, raster_outputs, raster_suffix
from .segmenter import Segmenter
from .sinks import CONFIDENCE, LABEL_MAP, FileSink, Output, video_outputs
from .sources import FileSource, Item
from .vectors import SUFFIXES, write_polygons


def steps(source: FileSource, videos: VideoOptions) -> int | None:
    """How many images, rasters and frames there are; None where that is not known before the end."""
    images, rasters, clips = source.apart()
    frames: int | None = 0
    if clips.items and is_installed("av") and is_installed("cv2"):
        from .video.predict_videos import frames_expected

        frames = frames_expected(clips, videos)
    return None if frames is None else images.count + rasters.count + frames


def predict_files(
    segmenter: Segmenter,
    source: FileSource,
    folder: Path,
    *,
    outputs: Sequence[Output] = (),
    bands: Sequence[str | int] | None = None,
    confidence: bool = False,
    polygons: Path | None = None,
    min_area: float = 0.0,
    videos: VideoOptions | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment images, rasters and videos into a folder.

    Images get label maps as PNG, rasters on their own grid, and videos become videos.

    Args:
        segmenter: the model.
        source: see `find_images`.
        folder: of the results, or, of images, an address; see `FileSink`, also for `resume` and `overwrite`.
        outputs: what is written of each image beside its label map; rasters have none of these.
        bands: of rasters, see `segment_raster`.
        confidence: write the labels' probabilities, too.
        polygons: a file for the regions of the one image or raster there is.
        min_area: of these regions, see `write_polygons`.
        videos: what becomes of videos; without, they are refused.
        on_done: called after each image, raster and frame.

    Raises:
        UserError: a result would replace a file that we did not write; polygons of several images, or in a format that
            is not known; what is asked for is not to be had of a video; or the disk is full.
    """
    if polygons is not None and polygons.suffix.lower() not in SUFFIXES:
        raise UserError(f"polygons={polygons} is to be a file {' or '.join(SUFFIXES)}")
    if polygons is not None and source.count != 1:
        raise UserError(f"polygons={polygons} takes the regions of one image, and there are {source.count}; name one")
    if polygons is not None and address_of(folder) is not None:
        raise UserError(f"polygons={polygons} are made beside results on this machine; choose a folder for them")
    images, rasters, clips = source.apart(rgb=segmenter.info.bands.is_rgb)
    by_suffix: dict[str, list[Item]] = {}
    for item in rasters.items:
        by_suffix.setdefault(raster_suffix(Path(item.place)), []).append(item)
    if clips.items and (confidence or polygons is not None or videos is None):
        raise UserError(
            f"of videos, as {shown(clips.items[0].place)}, there are an overlay and label maps; leave confidence=True"
            " and polygons= out, and give submissions images"
        )
    if clips.items:
        require(f"reading {shown(clips.items[0].place)}", "av", "cv2")
    if bands is not None and not rasters.items:
        raise UserError("bands= chooses among those of rasters, and there is none; leave it out")
    made_by = segmenter.identity
    if bands is not None:
        made_by["bands"] = [str(band) for band in bands]
    if clips.items and videos is not None:
        made_by |= {"every": videos.every, "smooth": videos.smooth}
    # What a link leads to has another folder above it than the link has.
    region_file = (
        None if polygons is None else os.path.relpath(polygons.parent.resolve() / polygons.name, folder.resolve())
    )

    others = [] if region_file is None else [region_file]

    def sink_of(outputs: Sequence[Output]) -> FileSink:
        return FileSink(folder, outputs, made_by=made_by, resume=resume, overwrite=overwrite, others=others)

    for suffix, items in by_suffix.items():
        with sink_of(raster_outputs(suffix, confidence)) as sink:
            sink.check(items)  # before the first image is read
    if clips.items and videos is not None:
        with sink_of(video_outputs(videos)) as sink:
            sink.check(clips)
    summary = PredictSummary()
    if images.items or images.failed:
        of_images = [LABEL_MAP, *outputs, *([CONFIDENCE] if confidence else [])]
        with sink_into(folder, of_images, made_by=made_by, resume=resume, overwrite=overwrite, others=others) as into:
            summary = predict(segmenter, images, into, on_done=on_done)
    by_tiles = copy(segmenter)
    if segmenter.options.max_size is None:  # what a model says of images: a raster is never one look at a scene
        by_tiles.max_size = None
    if segmenter.options.tile is None:
        by_tiles.options = replace(segmenter.options, tile=TILE)
    for suffix, items in by_suffix.items():
        with sink_of(raster_outputs(suffix, confidence)) as sink:
            found = predict_rasters(
                by_tiles, FileSource(items), sink, bands=bands, confidence=confidence, on_done=on_done
            )
        summary = PredictSummary(summary.done + found.done, [*summary.failed, *found.failed])
    if clips.items and videos is not None:
        from .video.predict_videos import predict_videos

        with sink_of(video_outputs(videos)) as sink:
            found = predict_videos(segmenter, clips, sink, videos, on_done=on_done)
        done, failed = summary.done + found.done, [*summary.failed, *found.failed]
        summary = PredictSummary(done, failed, found.cut_off, found.done, found.notes)
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
