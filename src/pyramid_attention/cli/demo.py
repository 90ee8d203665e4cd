"""`pan demo`: the whole way in three minutes, on synthetic images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import require
from .options import Device, Fields, parse_fields


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the run, the metrics and the images go.")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the images and of the training.")] = 0,
    fields: Fields = None,
    device: Device = "auto",
) -> None:
    """Train and try a small PAN on synthetic shapes."""
    require("pan demo", "torch", "lightning")
    from ..studies.demo import run_demo

    asked = parse_fields(fields)
    print("Training a small PAN on synthetic shapes (about three minutes on two cores) …")
    result = run_demo(out, seed=seed, fields=asked, device=device)
    print(result.table)
    print(f"mIoU on {result.images} test images: {result.miou:.1%}")
    print("Look at:")
    for what, path in result.outputs.items():
        print(f"  {what:<34} {path}")
    print(f"Segment an image of yours:  pan predict IMAGE --model {result.model} --overlay")
