"""The report of an evaluation: the confusion matrix, the worst and the best images, the table of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..data import Sample
from ..files import whole_file
from ..images import write_image
from ..inference import Segmenter
from ..report.confusion import plot_confusion
from ..report.sheets import Row, sheet
from ..report.tables import per_class_table
from .result import Evaluation

REPORT = ("confusion.png", "worst_best.png", "per_class.md")
SHOWN = 4
"""The report shows so many of the worst images and as many of the best."""


def write_samples(
    segmenter: Segmenter, samples: Sequence[Sample], path: Path, remarks: Sequence[str] | None = None
) -> None:
    """Write a sheet of image, truth and prediction of some samples, each with its name and mIoU.

    Args:
        segmenter: predicts.
        samples: one a row.
        path: the image's file.
        remarks: a word put before each name.

    Raises:
        UserError: a sample cannot be read, or the file cannot be written.
    """
    rows = []
    for sample, remark in zip(samples, remarks or [""] * len(samples), strict=True):
        segmentation, truth = segmenter(sample.read_image()), sample.read_mask()
        single = Evaluation(segmenter.classes)
        single.add(sample.name, truth, segmentation.labels)
        score = single.image_miou[sample.name]
        value = "nothing labelled" if math.isnan(score) else f"mIoU {score:.1%}"
        rows.append(Row(f"{remark} {sample.name}: {value}".strip(), segmentation.image, truth, segmentation.labels))
    write_image(path, sheet(rows, segmenter.classes))


def worst_and_best(image_miou: dict[str, float]) -> tuple[list[str], list[str]]:
    """Return the names of up to `SHOWN` images with the lowest mIoU, and of as many with the highest, none twice."""
    ranked = sorted((score, name) for name, score in image_miou.items() if not math.isnan(score))
    names = [name for _, name in ranked]
    worst = names[: min(SHOWN, math.ceil(len(names) / 2))]
    return worst, names[len(worst) :][-SHOWN:]


def write_report(evaluation: Evaluation, segmenter: Segmenter, samples: Sequence[Sample], folder: Path) -> None:
    """Write the files of `REPORT` into an existing folder.

    Raises:
        MissingExtra: matplotlib is not installed.
        UserError: a file cannot be written.
    """
    with whole_file(folder / "per_class.md") as temporary:
        temporary.write_text(per_class_table(evaluation.metrics()), encoding="utf-8")
    worst, best = worst_and_best(evaluation.image_miou)
    by_name = {sample.name: sample for sample in samples}
    remarks = ["worst:"] * len(worst) + ["best:"] * len(best)
    shown = [by_name[name] for name in (*worst, *best)]
    write_samples(segmenter, shown, folder / "worst_best.png", remarks)
    plot_confusion(evaluation.confusion.matrix, evaluation.classes.names, folder / "confusion.png")
