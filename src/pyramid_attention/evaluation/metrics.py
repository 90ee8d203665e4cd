"""The metrics of semantic segmentation, from a confusion matrix of integers (Long et al., FCN, 2015, section 5).

With n[t, p] pixels of class t predicted as p, and "absent" for a class with nothing to divide by:

    IoU of c              n[c, c] / (row sum c + column sum c − n[c, c])   absent: in no truth and no prediction
    accuracy of c         n[c, c] / row sum c                              absent: in no truth
    mIoU, mean accuracy   the mean over the classes that are not absent
    pixel accuracy        trace / sum
    frequency-weighted    sum over c of IoU × row sum c / sum
    IoU of a category     that of its classes taken as one (Cordts et al., The Cityscapes Dataset, 2016)

A class that is predicted but never true has IoU 0 and counts in the mean; an absent one has no IoU (NaN here, null in
JSON) and does not. Of a matrix without any pixel all metrics are NaN. How the benchmarks' own code treats absent
classes: docs/evaluation.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.int64]


def divide(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares (float64), NaN where there is nothing to divide by."""
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def mean(values: NDArray[np.float64]) -> float:
    """The mean of the values that are not NaN; NaN where all are."""
    present = values[~np.isnan(values)]
    # Added one after the other, as Cityscapes' scripts add: NumPy's own sum may differ in the last bit.
    return float(np.cumsum(present)[-1] / present.size) if present.size else math.nan


def iou(matrix: Matrix) -> NDArray[np.float64]:
    """Intersection over union of each class (C float64, NaN where absent)."""
    hits = matrix.diagonal()
    return divide(hits, matrix.sum(axis=1) + matrix.sum(axis=0) - hits)


def accuracy(matrix: Matrix) -> NDArray[np.float64]:
    """The share of each class's pixels that was found: its recall (C float64, NaN where absent)."""
    return divide(matrix.diagonal(), matrix.sum(axis=1))


def miou(matrix: Matrix) -> float:
    """Mean intersection over union of the classes that occur in truth or prediction."""
    return mean(iou(matrix))


def mean_accuracy(matrix: Matrix) -> float:
    """Mean accuracy of the classes that occur in the truth."""
    return mean(accuracy(matrix))


def category_iou(matrix: Matrix, categories: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Intersection over union of groups of classes, a pixel being right if truth and prediction are of one group.

    Args:
        matrix: C×C int64.
        categories: the ids of the classes in each.

    Returns:
        one float64 a category, NaN where none of its classes occurs.
    """
    hits = np.array([matrix[np.ix_(ids, ids)].sum() for ids in categories])
    pixels = np.array([matrix[ids, :].sum() + matrix[:, ids].sum() for ids in map(list, categories)])
    return divide(hits, pixels - hits)


def pixel_accuracy(matrix: Matrix) -> float:
    """The share of all pixels that was predicted right."""
    total = int(matrix.sum())
    return int(matrix.trace()) / total if total else math.nan


def frequency_weighted_iou(matrix: Matrix) -> float:
    """The IoUs weighted by how many pixels each class has in the truth."""
    pixels = matrix.sum(axis=1)
    true = pixels > 0
    return float((iou(matrix)[true] * pixels[true]).sum() / pixels.sum()) if true.any() else math.nan


def plain(value: float) -> float | None:
    """A number as JSON knows it: `None` in place of NaN."""
    return None if math.isnan(value) else float(value)


def summarise(matrix: Matrix, names: tuple[str, ...]) -> dict[str, Any]:
    """The metrics of all classes and of each, ready for JSON: `None` in place of NaN.

    Keys: miou, pixel_accuracy, mean_accuracy, frequency_weighted_iou, pixels, per_class {name: {iou, accuracy,
    pixels}} and confusion (rows truth, columns prediction).
    """
    columns = zip(names, iou(matrix), accuracy(matrix), matrix.sum(axis=1), strict=True)
    return {
        "miou": plain(miou(matrix)),
        "pixel_accuracy": plain(pixel_accuracy(matrix)),
        "mean_accuracy": plain(mean_accuracy(matrix)),
        "frequency_weighted_iou": plain(frequency_weighted_iou(matrix)),
        "pixels": int(matrix.sum()),
        "per_class": {
            name: {"iou": plain(overlap), "accuracy": plain(found), "pixels": int(pixels)}
            for name, overlap, found, pixels in columns
        },
        "confusion": matrix.tolist(),
    }
