"""`pan predict`: segment images and videos of yours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..inference import DEFAULT_MODEL, SegmenterOptions
from .options import Models, split_names, spoken, with_segmenter_options


@with_segmenter_options
def predict(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Images, rasters, videos, folders, or quoted patterns ('photos/**/*.jpg'; 'scene/{band}.tif' is one"
            " image); a camera by its address (rtsp://host/stream, camera:0).",
        ),
    ],
    model: Models = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the results.")] = Path("predictions"),
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write the classes' colours over the image, with a legend.")
    ] = False,
    confidence: Annotated[
        bool,
        typer.Option("--confidence", help="Also write the confidence of each pixel: grey, white is 1."),
    ] = False,
    polygons: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the one image's regions as polygons: .geojson or .gpkg."),
    ] = None,
    min_area: Annotated[
        float,
        typer.Option(
            metavar="A",
            min=0,
            help="Give smaller regions to a neighbour, in square units of the raster's CRS, or pixels.",
        ),
    ] = 0.0,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,…",
            parser=split_names,
            help="The rasters' bands in the model's order, by name or number; by default those of the model's names.",
        ),
    ] = None,
    submission: Annotated[
        str | None,
        typer.Option(
            metavar="BENCHMARK",
            help="Pack the results as the server of voc, cityscapes or ade20k wants them; INPUT may be the benchmark's"
            " folder, whose test images are taken.",
        ),
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", min=1, help="Of videos: segment one of N frames.")] = 1,
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Of videos: steady the labels over time, along the motion.")
    ] = False,
    label_maps: Annotated[
        str | None,
        typer.Option(metavar="FORM", help="Of videos: also write the class ids, as mkv (lossless FFV1) or png."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out images whose results are there, made by the same model.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in the way, also those that pan predict did not write.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|local",
            help="Have the workers of a Ray cluster do it, or one on each core of this machine; all see the files.",
        ),
    ] = None,
    max_pixels: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Refuse larger images unread: a small file can be an image of gigabytes.",
        ),
    ] = 150_000_000,
    *,
    options: SegmenterOptions,
) -> None:
    """Segment images, rasters and videos.

    An image gets an indexed PNG of class ids at its own size.

    A video gets a video of its overlay, with its sound and time stamps (--label-maps adds the class ids). Killed, the
    same command goes on where it was.

    A raster (GeoTIFF and all that GDAL reads, OME-TIFF, OME-Zarr) gets a raster on the same grid, however large.

    A folder's images keep their relative paths. A broken image is reported at the end (exit code 1) and the rest
    is done.
    """
    from ..errors import UserError
    from ..evaluation.submissions import plan_submission
    from ..inference import Segmenter
    from ..inference.options import VideoOptions
    from ..inference.predict_files import predict_files, steps
    from ..inference.sinks import overlay_output
    from ..inference.sources import find_images
    from ..report.overlays import overlay_with_legend, steady_overlay
    from ..report.progress import progress
    from ..scale.predict import predict_on_cluster

    if submission is not None and (overlay or confidence or polygons):
        raise UserError("a submission is label maps alone; leave out overlay=True, confidence=True and polygons=")
    if ray is not None and (submission is not None or polygons is not None or bands is not None):
        raise UserError(
            "a cluster writes label maps of many images; leave out submission=, polygons= and bands=, or ray="
        )
    drawn = [overlay_output(overlay_with_legend)] if overlay else []
    planned = None if submission is None else plan_submission(submission, inputs, out, max_pixels=max_pixels)
    source = find_images(inputs, out, max_pixels=max_pixels) if planned is None else planned.source
    videos = VideoOptions(draw=steady_overlay(), label_maps=label_maps, every=every, smooth=smooth)
    models = model or [DEFAULT_MODEL]
    with progress("segmenting", steps(source, videos)) as advance:
        if ray is not None:
            summary = predict_on_cluster(
                [*models],
                source,
                out,
                options,
                address=ray,
                outputs=drawn,
                confidence=confidence,
                resume=resume,
                overwrite=overwrite,
                on_done=advance,
            )
        elif planned is not None:
            summary = planned.make(Segmenter.load(models, options), resume=resume, overwrite=overwrite, on_done=advance)
        else:
            summary = predict_files(
                Segmenter.load(models, options),
                source,
                out,
                outputs=drawn,
                bands=bands,
                confidence=confidence,
                polygons=polygons,
                min_area=min_area,
                videos=videos,
                resume=resume,
                overwrite=overwrite,
                on_done=advance,
            )
    for note in summary.notes:
        print(note, file=sys.stderr)
    counts = {"label map": summary.done - summary.videos, "video": summary.videos}
    if said := [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count]:
        where = out if planned is None else out / planned.name
        print(f"{' and '.join(said)} {'is' if summary.done == 1 else 'are'} in {where}")
    if len(summary.failed) > 1:
        for _, reason in summary.failed:
            print(f"failed: {spoken(reason, context.command)}", file=sys.stderr)
    if planned is not None and summary.failed:
        print("no archive is packed while images fail; mend them and add --resume", file=sys.stderr)
    summary.check()
    if planned is not None:
        print(f"{planned.archive} is ready to be sent in")
