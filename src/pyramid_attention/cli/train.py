"""`pan train`: from a folder of images and masks to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..data import Reading
from ..errors import UserError, require
from .options import Device, Fields, Format, given_fields, parse_fields, with_data_options


@with_data_options
def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help="The data set's folder, or the word 'shapes'.")],
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="A built-in recipe or a .yaml file; by default what fits.")
    ] = None,
    init: Annotated[
        str | None, typer.Option(metavar="M", help="A trained model to start from: its network and its weights.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long the run may take: 30m, 1h30m. It decides the epochs.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(metavar="K", help="Cross-validate: K runs below RUN, each validated on another part; one table."),
    ] = None,
    fields: Fields = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="The run folder; by default runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the run folder.")] = False,
    format: Format = None,
    device: Device = "auto",
    *,
    reading: Reading,
) -> None:
    """Train a network on DATA.

    The best by its mIoU on the val split is left in RUN/model.

    Built-in recipes: shapes, camvid, voc, cityscapes, finetune.
    """
    require("pan train", "torch", "lightning")
    from ..training import train as train_model
    from ..training.processes import find_launcher

    asked = {**given_fields(reading), **parse_fields(fields)}
    if init is not None:
        asked = {"model.init": init, **asked}
    if folds is not None:
        if budget is not None:
            raise UserError("folds= and budget= do not go together; set train.epochs")
        _cross_validate(data, folds, recipe, out=out, resume=resume, format=format, device=device, fields=asked)
        return
    result = train_model(
        data, recipe, out=out, resume=resume, format=format, device=device, budget=budget, fields=asked
    )
    launcher = find_launcher()
    if launcher is not None and launcher.global_rank() > 0:
        return  # the first process says it
    print(f"best: mIoU {result.best_miou:.2%} on '{result.val_split}' after epoch {result.best_epoch}")
    print(f"the model is in {result.model}, curves and samples in {result.folder}")


def _cross_validate(data: str, folds: int, recipe: str | None, **how: Any) -> None:
    from ..studies.folds import train_folds

    result = train_folds(data, folds, recipe, **how)
    print(result.table)
    print(f"mIoU {result.mean:.2%} ± {100 * result.deviation:.2f} points over {folds} folds; all is in {result.folder}")
    print(f"as one model:  pan predict IMAGE {' '.join(f'--model {run}' for run in result.runs)}")
