"""`pan models`: the trained models in the package, and the networks there are: what they are from, what they cost."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import MissingExtra, UserError, require
from .options import Device


def models(
    cost: Annotated[
        int | None,
        typer.Option(metavar="SIZE", min=1, help="Measure parameters, GFLOPs and latency for SIZE×SIZE pixels."),
    ] = None,
    backbone: Annotated[str, typer.Option(help="The backbone under each (a timm model).")] = "resnet18",
    classes: Annotated[int, typer.Option(min=1, max=255, help="How many classes.")] = 19,
    output_stride: Annotated[int, typer.Option(help="8, 16 or 32.")] = 16,
    device: Device = "auto",
) -> None:
    """List the trained models and the architectures.

    Of each architecture its context, its decoder and its paper; with --cost, what it costs.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if cost is None:
        _print_packaged()
    try:
        require("the list of networks that can be trained", "torch", "timm")
    except MissingExtra as error:
        if cost is not None:
            raise
        print(error)
        return
    from ..models.architectures import ARCHITECTURES

    table = Table(box=box.SIMPLE)
    table.add_column("architecture", no_wrap=True)
    if cost is None:
        for heading in ("context", "decoder", "paper"):
            table.add_column(heading, no_wrap=heading != "paper")
        for name, architecture in ARCHITECTURES.items():
            table.add_row(name, architecture.context, architecture.decoder, architecture.paper)
        Console().print(table)
        return

    from ..inference.devices import is_out_of_memory, resolve_device
    from ..models import build_model
    from ..models.cost import measure_cost, measure_latency

    where = resolve_device(device)
    for heading in ("Mparams", "GFLOPs", "ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("paper")
    for name, architecture in ARCHITECTURES.items():
        network = build_model(name, num_classes=classes, backbone=backbone, output_stride=output_stride).to(where)
        try:
            found = measure_cost(network, (cost, cost))
            seconds = measure_latency(network, (cost, cost))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(f"{cost}×{cost} pixels do not fit into memory with {name}; give a smaller size") from error
        numbers = f"{found.parameters / 1e6:.2f}", f"{found.flops / 1e9:.2f}", f"{1000 * seconds:.1f}"
        table.add_row(name, *numbers, architecture.paper.partition(":")[0])
    console = Console()
    console.print(table)
    console.print(
        f"{backbone} at output stride {output_stride}, {classes} classes, one image of {cost}×{cost}; a multiply-add"
        f" counts as 2; ms: median of 5 in PyTorch on {where}",
        highlight=False,
    )


def _print_packaged() -> None:
    """The trained models that come with the package: their classes, how well they do, how large they are."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ..artifacts import locate, read_info
    from ..artifacts.locate import PACKAGED

    table = Table(box=box.SIMPLE)
    for heading in ("model", "classes", "mIoU on val", "MB"):
        table.add_column(heading, no_wrap=heading != "classes")
    files = {name: locate(name).path for name in PACKAGED}
    for name, path in files.items():
        info = read_info(path)
        table.add_row(
            name,
            ", ".join(info.classes.names if info.classes else ()),
            f"{info.validation['miou']:.1%}",
            f"{path.stat().st_size / 1e6:.1f}",
        )
    console = Console(soft_wrap=True)
    console.print(table)
    for name, path in files.items():
        console.print(f"{name}'s card: {path.with_suffix('.md')}", highlight=False)
