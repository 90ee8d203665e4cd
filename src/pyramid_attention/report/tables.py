"""The numbers of an evaluation as text: what `pan eval` prints and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEADINGS = ("class", "IoU", "accuracy", "pixels")
SUMMARY = {
    "miou": "mIoU",
    "mean_accuracy": "mean accuracy",
    "pixel_accuracy": "pixel accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
}


def percent(share: float | None) -> str:
    """A share as a percentage with two decimals, a dash where there is none."""
    return "–" if share is None else f"{share:.2%}"


def class_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The cells under `HEADINGS`, one row a class, of the metrics that `Evaluation.metrics` gives."""
    return [
        (name, percent(numbers["iou"]), percent(numbers["accuracy"]), f"{numbers['pixels']:,}")
        for name, numbers in metrics["per_class"].items()
    ]


def summary_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers that sum up an evaluation, by their names."""
    return [(title, percent(metrics[key])) for key, title in SUMMARY.items()]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: the first row is its head, the first column text, the others numbers."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *numbers = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in numbers)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])


def per_class_table(metrics: Mapping[str, Any]) -> str:
    """The table of classes and, below it, the summary, in Markdown."""
    summary = [f"- {title}: {number}" for title, number in summary_rows(metrics)]
    counted = f"- {metrics['images']:,} photographs, {metrics['pixels']:,} labelled pixels"
    return "\n".join([markdown([HEADINGS, *class_rows(metrics)]), "", *summary, counted]) + "\n"
