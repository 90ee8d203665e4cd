"""`pan ablate`: variants of a network, trained on the same budget and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..data import Reading
from ..errors import SomeFailed, UserError, require
from .options import Device, Fields, Format, given_fields, parse_fields, with_data_options


@with_data_options
def ablate(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="fpa, gau, context, architectures, or a .yaml file.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="The data set's folder, or the word 'shapes'.")],
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Another recipe than the study's; by default what fits.")
    ] = None,
    fields: Fields = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1,…", help="Other seeds than the study's.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to; by default studies/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study in DIR.")] = False,
    format: Format = None,
    device: Device = "auto",
    *,
    reading: Reading,
) -> None:
    """Train the variants of STUDY on DATA and compare them.

    Each variant is trained with each seed on the same budget. The results are tables, also by class, and a plot.
    """
    require("pan ablate", "torch", "lightning")
    from ..report.comparison import overall_table
    from ..studies.ablate import run_study

    result = run_study(
        study,
        data,
        fields={**given_fields(reading), **parse_fields(fields)},
        recipe=recipe,
        seeds=None if seeds is None else _numbers(seeds),
        out=out,
        resume=resume,
        format=format,
        device=device,
    )
    print(overall_table(result.comparison))
    print(f"also by class, as CSV and as a plot, in {result.folder}")
    if result.failures:
        raise SomeFailed(f"{len(result.failures)} failed, see {result.folder / 'table.md'}; the rest is done")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise UserError(f"--seeds takes whole numbers with commas between, as in 0,1,2, not '{text}'") from None
