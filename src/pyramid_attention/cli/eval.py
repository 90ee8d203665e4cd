"""`pan eval`: how good a model is on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..data import Reading
from ..inference import DEFAULT_MODEL, SegmenterOptions
from .options import Format, Models, with_data_options, with_segmenter_options


@with_segmenter_options
@with_data_options
def evaluate(
    data: Annotated[str, typer.Argument(metavar="DATA", help="The data set's folder, or the word 'shapes'.")],
    model: Models = None,
    split: Annotated[str, typer.Option(help="Which of the data set's splits.")] = "val",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all metrics to a JSON file.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write confusion.png, worst_best.png and per_class.md to a folder."),
    ] = None,
    boundary: Annotated[
        bool, typer.Option("--boundary", help="Also measure how well outlines are met: boundary IoU.")
    ] = False,
    format: Format = None,
    *,
    reading: Reading,
    options: SegmenterOptions,
) -> None:
    """Compare a model's predictions with the masks of DATA.

    Pixel by pixel, each image at its own size. Of several models also what they gain over the best of them.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ..evaluation import evaluate as evaluate_model
    from ..evaluation import open_as_trained
    from ..files import result_file
    from ..inference import Segmenter
    from ..report.progress import progress
    from ..report.tables import class_table, gain_rows, summary_rows, what_was_counted

    models = model or [DEFAULT_MODEL]
    segmenter = Segmenter.load(models, options)
    dataset = open_as_trained(data, segmenter.info, format, reading)
    samples = dataset.split(split)
    with result_file(json) as numbers:
        alone = models if len(models) > 1 else []
        with progress(f"evaluating {split}", len(samples) * (1 + len(alone))) as advance:
            result = evaluate_model(dataset, segmenter, split, boundary=boundary, report=report, on_sample=advance)
            members = [evaluate_model(dataset, one, split, options, on_sample=advance).metrics() for one in alone]
        if numbers is not None:
            result.save_json(numbers)

    metrics = result.metrics()
    head, *rows = class_table(metrics)
    table = Table(*head, box=box.SIMPLE)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    for title, number in [*summary_rows(metrics), *gain_rows(metrics, members)]:
        console.print(f"{title:<24}{number:>8}", highlight=False)
    console.print(what_was_counted(metrics), highlight=False)
