"""The metrics of an evaluation as text: what `pan eval` prints and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SUMMARY = {
    "miou": "mIoU",
    "boundary_iou": "mean boundary IoU",
    "category_iou": "mean IoU of categories",
    "mean_accuracy": "mean accuracy",
    "pixel_accuracy": "pixel accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
}
SHARES = {"iou": "IoU", "boundary_iou": "boundary IoU", "accuracy": "accuracy"}
"""The titles of metrics, of all classes and of each; those that an evaluation does not hold are left out."""


def percent(share: float | None) -> str:
    """A share as a percentage with two decimals, a dash where there is none."""
    return "–" if share is None else f"{share:.2%}"


def class_table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """The cells of a table of the metrics that `Evaluation.metrics` gives: its head, then one row a class."""
    per_class = metrics["per_class"]
    shares = {key: title for key, title in SHARES.items() if all(key in own for own in per_class.values())}
    rows = [[name, *(percent(own[key]) for key in shares), f"{own['pixels']:,}"] for name, own in per_class.items()]
    return [["class", *shares.values(), "pixels"], *rows]


def summary_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The metrics that sum up an evaluation, each with its title."""
    return [(title, percent(metrics[key])) for key, title in SUMMARY.items() if key in metrics]


def gain_rows(metrics: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What an ensemble gains over the best of its members, each with its title; nothing where there are no members."""
    known = [own["miou"] for own in members if own["miou"] is not None]
    if metrics["miou"] is None or not known:
        return []
    best = max(known)
    gain = f"{100 * (metrics['miou'] - best):+.2f}"
    return [(f"best of {len(members)} members", percent(best)), ("gain, points of mIoU", gain)]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: the first row is its head; the first column is aligned to the left, others to the right."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])


def what_was_counted(metrics: Mapping[str, Any]) -> str:
    """How many images and pixels metrics are of, in words."""
    images, pixels = metrics["images"], metrics["pixels"]
    return f"{images:,} image{'s' * (images != 1)}, {pixels:,} labelled pixel{'s' * (pixels != 1)}"


def per_class_table(metrics: Mapping[str, Any]) -> str:
    """The table of classes and, below it, the summary, in Markdown."""
    summary = [f"- {title}: {number}" for title, number in summary_rows(metrics)]
    return "\n".join([markdown(class_table(metrics)), "", *summary, f"- {what_was_counted(metrics)}"]) + "\n"
