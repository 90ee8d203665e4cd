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
        typer.Argument(metavar="INPUT...", help="Images, folders, or quoted patterns ('photos/**/*.jpg')."),
    ],
    model: Model = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the results.")] = Path("predictions"),
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write the classes' colours over the image, with a legend.")
    ] = False,
    confidence: Annotated[
        bool,
        typer.Option("--confidence", help="Also write how sure the model is of each pixel: grey, white is certain."),
    ] = False,
    submission: Annotated[
        str | None,
        typer.Option(
            metavar="BENCHMARK",
            help="Pack the results as the server of voc, cityscapes or ade20k wants them; INPUT may be the benchmark's"
            " folder, whose test images are taken.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out images whose label map is there already.")
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

    A folder's images keep their relative paths. A broken image is told at the end (exit code 1) and the rest is
    done.
    """
    from ..errors import UserError
    from ..evaluation.submissions import plan_submission
    from ..inference import Segmenter
    from ..inference.predict import predict_files
    from ..inference.sources import find_sources
    from ..report.overlays import overlay_with_legend
    from ..report.progress import progress

    if submission is not None and (overlay or confidence):
        raise UserError("a submission is label maps alone; leave out --overlay and --confidence, or --submission")
    plan = None if submission is None else plan_submission(submission, inputs, out)
    total = len((find_sources(inputs, out) if plan is None else plan.sources).found)
    segmenter = Segmenter.load(model, options)
    with progress("segmenting", total) as advance:
        if plan is not None:
            summary = plan.predict(segmenter, resume=resume, max_pixels=max_pixels, on_done=advance)
        else:
            summary = predict_files(
                segmenter,
                inputs,
                out,
                overlay=overlay_with_legend if overlay else None,
                confidence=confidence,
                resume=resume,
                max_pixels=max_pixels,
                on_done=advance,
            )
    print(f"{len(summary.done)} label maps are in {out if plan is None else plan.folder}")
    if len(summary.failed) > 1:
        for _, reason in summary.failed:
            print(f"failed: {reason}", file=sys.stderr)
    if plan is not None and summary.failed:
        print("no archive is packed while images fail; mend them and add --resume", file=sys.stderr)
    summary.check()
    if plan is not None:
        print(f"{plan.pack()} is ready to be sent in")
