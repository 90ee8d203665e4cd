"""`pan train`: from a folder of images and masks to a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import require
from .options import Device, Format


def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help="The data set's folder, or the word 'shapes'.")],
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="A built-in recipe or a .yaml file; by default what fits.")
    ] = None,
    init: Annotated[
        str | None, typer.Option(metavar="M", help="A trained model to start from: its network and its weights.")
    ] = None,
    fields: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a field: train.epochs=5.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="The run folder; by default runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the run folder.")] = False,
    format: Format = None,
    device: Device = "auto",
) -> None:
    """Train a network on DATA and leave the best in RUN/model.

    Built-in recipes: shapes, camvid, voc, cityscapes, finetune.
    """
    require("pan train", "torch", "lightning")
    from ..training import train as train_model

    overrides = [*([] if init is None else [f"model.init={json.dumps(init, ensure_ascii=False)}"]), *(fields or ())]
    result = train_model(data, recipe=recipe, overrides=overrides, out=out, resume=resume, format=format, device=device)
    print(f"best: mIoU {result.best_miou:.2%} on '{result.val_split}' after epoch {result.best_epoch}")
    print(f"the model is in {result.model}, curves and samples in {result.folder}")
