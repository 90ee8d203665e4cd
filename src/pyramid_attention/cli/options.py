"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or mps.")]
Format = Annotated[str | None, typer.Option(help="The data set's format; found by looking where it is not given.")]
Model = Annotated[
    str, typer.Option(metavar="M", help="The model: a run folder, a model folder, or 'owner/name' on the hub.")
]
Tta = Annotated[
    bool, typer.Option("--tta", help="Average over six scales and left-right flip: slower by a factor of about 17.")
]
