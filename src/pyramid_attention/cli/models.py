"""`pan models`: the networks there are, what they are from, and what they cost."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UserError, require
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
    """List the systems: context, decoder, and the paper each is from; with --cost also what each costs."""
    require("pan models", "torch", "timm")
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ..models.systems import SYSTEMS

    console = Console(soft_wrap=True)
    if cost is None:
        table = Table("system", "context", "decoder", "paper", box=box.SIMPLE)
        for name, system in SYSTEMS.items():
            table.add_row(name, system.context, system.decoder, system.paper)
        console.print(table)
        return

    from ..inference.devices import resolve_device
    from ..models import build_model
    from ..models.cost import measure_cost, measure_latency

    where = resolve_device(device)
    table = Table("system", "context", "decoder", box=box.SIMPLE)
    for heading in ("M parameters", "GFLOPs", "ms"):
        table.add_column(heading, justify="right")
    table.add_column("paper")
    for name, system in SYSTEMS.items():
        network = build_model(name, num_classes=classes, backbone=backbone, output_stride=output_stride).to(where)
        try:
            found = measure_cost(network, (cost, cost))
            seconds = measure_latency(network, (cost, cost))
        except RuntimeError as error:  # PyTorch's word for out of memory, too
            raise UserError(f"cannot run {name} on {cost}×{cost} pixels ({error}); give a smaller size") from error
        numbers = f"{found.parameters / 1e6:.2f}", f"{found.flops / 1e9:.2f}", f"{1000 * seconds:.1f}"
        table.add_row(name, system.context, system.decoder, *numbers, system.paper)
    console.print(table)
    console.print(
        f"{backbone} at output stride {output_stride}, {classes} classes, one picture of {cost}×{cost}; a multiply-add"
        f" counts as 2; latency is the median of 5 in PyTorch on {where}",
        highlight=False,
    )
