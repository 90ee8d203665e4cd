"""`pan convert-checkpoint`: weights of segmentation-models-pytorch's PAN as a model of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError, require
from ..files import holds_files, whole_folder
from .options import split_names


def convert_checkpoint(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A state dict, or a folder that segmentation-models-pytorch saved."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the model folder goes.")],
    backbone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its encoder (resnet18, tu-…); a folder says so itself.")
    ] = None,
    output_stride: Annotated[
        int | None, typer.Option(help="Its encoder_output_stride; 16 where nothing says so.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,…", help="The classes' names, in the order of their ids.")
    ] = None,
) -> None:
    """Convert a PAN of segmentation-models-pytorch.

    The model folder has the same weights and gives the same logits.
    """
    require("pan convert-checkpoint", "torch", "timm")
    from ..artifacts import save_model
    from ..models.convert import convert_checkpoint as convert

    if holds_files(out):
        raise UserError(f"{out} already holds files; choose another --out")
    network = convert(file, backbone, output_stride, split_names(classes))
    provenance = {"converted_from": f"a PAN of segmentation-models-pytorch, {file.name}"}
    with whole_folder(out) as folder:
        save_model(network, folder, provenance=provenance)
    table = network.classes
    assert table is not None
    print(f"{network.num_classes} classes ({', '.join(table.names)}) on {network.backbone.name}, in {out}")
    print(f"use it:  pan predict IMAGE --model {out} --overlay")
