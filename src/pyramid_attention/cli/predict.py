"""`pan predict`: segment images of yours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..inference import DEFAULT_MODEL, SegmenterOptions
from .options import Model, with_segmenter_options


@with_segmenter_options
def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Images, rasters, folders, or quoted patterns ('photos/**/*.jpg'; 'scene/{band}.tif' is one image).",
        ),
    ],
    model: Model = DEFAULT_MODEL,
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
    submission: Annotated[
        str | None,
        typer.Option(
            metavar="BENCHMARK",
            help="Pack the results as the server of voc, cityscapes or ade20k wants them; INPUT may be the benchmark's"
            " folder, whose test images are taken.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out images whose results are there, made by the same model.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in the way, also those that pan predict did not write.")
    ] = False,
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
    """Segment images: each gets an indexed PNG of class ids at its own size.

    A raster (GeoTIFF and all that GDAL reads, OME-TIFF, OME-Zarr) gets a raster on the same grid, however large.

    A folder's images keep their relative paths. A broken image is reported at the end (exit code 1) and the rest
    is done.
    """
    from ..errors import UserError
    from ..evaluation.submissions import plan_submission
    from ..inference import Segmenter
    from ..inference.predict_files import predict_files
    from ..inference.sinks import overlay_output
    from ..inference.sources import find_images
    from ..report.overlays import overlay_with_legend
    from ..report.progress import progress

    if submission is not None and (overlay or confidence or polygons):
        raise UserError("a submission is label maps alone; leave out overlay=True, confidence=True and polygons=")
    planned = None if submission is None else plan_submission(submission, inputs, out, max_pixels=max_pixels)
    source = find_images(inputs, out, max_pixels=max_pixels) if planned is None else planned.source
    segmenter = Segmenter.load(model, options)
    with progress("segmenting", source.count) as advance:
        if planned is not None:
            summary = planned.make(segmenter, resume=resume, overwrite=overwrite, on_done=advance)
        else:
            summary = predict_files(
                segmenter,
                source,
                out,
                outputs=[overlay_output(overlay_with_legend)] if overlay else [],
                confidence=confidence,
                polygons=polygons,
                min_area=min_area,
                resume=resume,
                overwrite=overwrite,
                on_done=advance,
            )
    if summary.done:
        print(f"{summary.done} label maps are in {out if planned is None else out / planned.name}")
    if len(summary.failed) > 1:
        for _, reason in summary.failed:
            print(f"failed: {reason}", file=sys.stderr)
    if planned is not None and summary.failed:
        print("no archive is packed while images fail; mend them and add --resume", file=sys.stderr)
    summary.check()
    if planned is not None:
        print(f"{planned.archive} is ready to be sent in")
