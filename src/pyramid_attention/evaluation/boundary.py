"""Boundary IoU: how well outlines are met (Cheng et al., Boundary IoU, CVPR 2021, https://arxiv.org/abs/2103.16562).

The boundary of a class in a label map is those of its pixels that lie within d pixels (in rows, columns and diagonals)
of another label, void included, or of the outside of the image; d is 2 % of the image's diagonal, rounded, at least
1. That is the authors' `mask_to_boundary`: a mask without its erosion, d times, by a 3×3 square.

The IoU of a class is that of its boundary in the truth and its boundary in the prediction. As in the authors' panoptic
evaluation all of a class in an image is one segment, the prediction's boundary is found before void is looked at, and
pixels whose truth is void are then left out. As mIoU does, pixels are summed over all images before the division,
and the mean is over the classes that have a boundary in truth or prediction.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE
from .metrics import divide

DILATION = 0.02
"""The width of a boundary as a share of the image's diagonal: the authors' choice for all data sets but LVIS."""


def boundary_width(height: int, width: int) -> int:
    """How many pixels a boundary is wide in an image of this size."""
    return max(1, round(DILATION * math.sqrt(height**2 + width**2)))


def find_boundary(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """The pixels of a label map (H×W) within `width` pixels of another label or of the outside: H×W bool.

    A pixel is none if the square of 2·width + 1 pixels around it is of one label: if its column is, and every row.
    """
    framed = np.pad(labels.astype(np.int16), width, constant_values=-1)
    inner = framed[:, width:-width]
    column = _any_of(inner[1:] != inner[:-1], 2 * width)
    rows = _any_of((framed[:, 1:] != framed[:, :-1]).T, 2 * width).T
    return column | _any_of(rows, 2 * width + 1)


def _any_of(flags: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Whether any of `length` flags below each other is set, in every place that they have (N − length + 1 of N)."""
    counts = np.cumsum(flags, axis=0, dtype=np.int32)
    before = np.concatenate([np.zeros_like(counts[:1]), counts[:-length]])
    return counts[length - 1 :] > before


class BoundaryCounts:
    """Pixels on the boundaries of each class, over all images.

    Attributes:
        both: on the class's boundary in truth and in prediction (C int64).
        truth: on that of the truth (C int64).
        prediction: on that of the prediction (C int64).
    """

    def __init__(self, num_classes: int) -> None:
        self.both, self.truth, self.prediction = np.zeros((3, num_classes), dtype=np.int64)

    def update(self, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        """Count the pixels of one image, both H×W, that `ConfusionMatrix.update` has let pass."""
        width = boundary_width(*truth.shape)
        counted = truth != IGNORE
        true = find_boundary(truth, width) & counted
        predicted = find_boundary(prediction, width) & counted
        classes = len(self.both)
        self.both += np.bincount(truth[true & predicted & (truth == prediction)], minlength=classes)
        self.truth += np.bincount(truth[true], minlength=classes)
        self.prediction += np.bincount(prediction[predicted], minlength=classes)

    def iou(self) -> NDArray[np.float64]:
        """Boundary IoU of each class (C float64, NaN where it has no boundary)."""
        return divide(self.both, self.truth + self.prediction - self.both)
