"""`pan bench`: how fast a model runs on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from ..inference import SegmenterOptions
from .options import with_segmenter_options


@with_segmenter_options
def bench(
    model: Annotated[
        str, typer.Argument(metavar="M", help="A run or model folder, an .onnx file, or 'owner/name' on the hub.")
    ],
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="WxH", help="Width and height of the images; may be given several times."),
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option(help="onnxruntime, openvino or torch; by default all that can run M.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Images from which medians are taken.")] = 20,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the numbers to a JSON file.")] = None,
    *,
    options: SegmenterOptions,
) -> None:
    """Measure how fast a model runs on this machine.

    From pixels to labels: latency, throughput, memory, GFLOP/s and their share of the machine's best. The best is the
    fastest matrix product, measured in turns with the model. One multiply-add counts as 2.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ..files import result_file, write_json
    from ..inference.bench import bench as measure
    from ..inference.engines import engines_for
    from ..report.progress import progress

    sizes = [_size(text) for text in size or ("480x384", "1024x768")]
    engines = engine or engines_for(model) or ["auto"]  # none is installed, which loading the model says
    found = []
    with result_file(json) as numbers:
        with progress("measuring", len(sizes) * len(engines)) as advance:
            for one in measure(model, sizes, engines, options, rounds=rounds):
                found.append(one)
                advance()
        if numbers is not None:
            write_json(numbers, {"model": model, "measurements": [one.to_dict() for one in found]})
    table = Table(box=box.SIMPLE)
    for heading in ("engine", "size", "ms", "images/s", "MB", "GFLOP/s", "of the best"):
        table.add_column(heading, justify="left" if heading in ("engine", "size") else "right", no_wrap=True)
    for one in found:
        table.add_row(
            one.engine,
            f"{one.width}×{one.height}",
            f"{1000 * one.latency:.1f}",
            f"{one.throughput:.1f}",
            f"{one.memory / 1e6:.0f}",
            "–" if one.rate is None else f"{one.rate / 1e9:.1f}",
            "–" if one.rate is None else f"{one.rate / one.peak:.0%}",
        )
    console = Console()
    console.print(table)
    cores = found[0].cores
    best = max(one.peak for one in found)
    used = f"{cores} core{'s' if cores > 1 else ''}"
    console.print(f"{used}; the best of a matrix product: {best / 1e9:.1f} GFLOP/s", highlight=False)


def _size(text: str) -> tuple[int, int]:
    """Height and width from "WIDTHxHEIGHT"."""
    match = re.fullmatch(r"(\d+)[x×](\d+)", text.strip())
    if match is None or not (int(match[1]) and int(match[2])):
        raise UserError(f"a --size is width and height with an x between, as in 480x384, not '{text}'")
    return int(match[2]), int(match[1])
