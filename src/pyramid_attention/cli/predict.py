"""`pan predict`: segment photographs of yours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Model, Tta


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Photographs, folders, or quoted patterns ('photos/**/*.jpg')."),
    ],
    model: Model,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the results.")] = Path("predictions"),
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write the classes' colours over the photograph, with a legend.")
    ] = False,
    confidence: Annotated[
        bool,
        typer.Option("--confidence", help="Also write how sure the model is of each pixel: grey, white is certain."),
    ] = False,
    tta: Tta = False,
    device: Device = "auto",
) -> None:
    """Segment photographs: each gets an indexed PNG of class ids at its own size.

    A folder's pictures keep their relative paths. A broken photograph is told at the end (exit code 1) and the rest is
    done.
    """
    from ..inference import Segmenter
    from ..inference.predict import predict_files
    from ..inference.sources import find_sources
    from ..report.overlays import overlay_with_legend
    from ..report.progress import progress

    total = len(find_sources(inputs, out).found)
    segmenter = Segmenter.load(model, device, tta=tta)
    with progress("segmenting", total) as advance:
        summary = predict_files(
            segmenter,
            inputs,
            out,
            overlay=overlay_with_legend if overlay else None,
            confidence=confidence,
            on_done=advance,
        )
    print(f"{len(summary.done)} label maps are in {out}")
    if len(summary.failed) > 1:
        for _, reason in summary.failed:
            print(f"failed: {reason}", file=sys.stderr)
    summary.check()
