"""The confusion matrix, counted exactly in 64-bit integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE


class ConfusionMatrix:
    """Counts of pixels by true and predicted class; pixels whose truth is `IGNORE` are left out.

    Attributes:
        matrix: C×C int64, rows truth, columns prediction.
    """

    def __init__(self, num_classes: int) -> None:
        self.matrix: NDArray[np.int64] = np.zeros((num_classes, num_classes), dtype=np.int64)

    def update(self, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        """Count the pixels of one image: `truth` H×W (0 … C-1 and `IGNORE`), `prediction` H×W (0 … C-1).

        Raises:
            ValueError: the shapes differ, or a counted pixel has an id outside 0 … C-1.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth is {truth.shape} but prediction is {prediction.shape}")
        counted = truth != IGNORE
        rows, columns = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
        classes = len(self.matrix)
        if rows.size and max(rows.max(), columns.max()) >= classes:
            raise ValueError(f"ids up to {max(rows.max(), columns.max())} among {classes} classes")
        self.matrix += np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """Return the sum of both matrices."""
        total = ConfusionMatrix(len(self.matrix))
        total.matrix = self.matrix + other.matrix
        return total
