"""The result of an evaluation, and the metrics that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classes import ClassTable
from ..data.published import CITYSCAPES, CITYSCAPES_CATEGORIES
from ..files import write_json
from .boundary import BoundaryCounts
from .confusion import ConfusionMatrix
from .metrics import category_iou, mean, miou, plain, summarise


class Evaluation:
    """The result of an evaluation, and the place where it is gathered, an image at a time.

    Attributes:
        classes: what the labels mean.
        confusion: all counted pixels.
        boundary: the pixels on boundaries, where they are asked for (see `BoundaryCounts`).
        image_miou: mIoU of each single image by its sample's name, NaN where all of it is void.
    """

    def __init__(self, classes: ClassTable, boundary: bool = False) -> None:
        self.classes = classes
        self.confusion = ConfusionMatrix(len(classes))
        self.boundary = BoundaryCounts(len(classes)) if boundary else None
        self.image_miou: dict[str, float] = {}

    def add(self, name: str, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        """Count one image: `truth` and `prediction` H×W as in `ConfusionMatrix.update`."""
        single = ConfusionMatrix(len(self.classes))
        single.update(truth, prediction)
        self.confusion += single
        if self.boundary is not None:
            self.boundary.update(truth, prediction)
        self.image_miou[name] = miou(single.matrix)

    def __add__(self, other: Evaluation) -> Evaluation:
        """Return the evaluation of the images of both, without boundaries; integers add up alike in any order."""
        assert self.boundary is None
        total = Evaluation(self.classes)
        total.confusion = self.confusion + other.confusion
        total.image_miou = {**self.image_miou, **other.image_miou}
        return total

    def metrics(self) -> dict[str, Any]:
        """The metrics as `pan eval --json` writes them: those of `metrics.summarise`, and `images`.

        With the classes of Cityscapes also `category_iou` (the mean) and `per_category` {name: IoU}; with boundaries
        `boundary_iou` (the mean), and each class's own in `per_class`.
        """
        names = self.classes.names
        found = {**summarise(self.confusion.matrix, names), "images": len(self.image_miou)}
        if names == CITYSCAPES.names:
            groups = [[names.index(name) for name in group] for group in CITYSCAPES_CATEGORIES.values()]
            overlaps = category_iou(self.confusion.matrix, groups)
            found["category_iou"] = plain(mean(overlaps))
            found["per_category"] = dict(zip(CITYSCAPES_CATEGORIES, map(plain, overlaps), strict=True))
        if self.boundary is not None:
            overlaps = self.boundary.iou()
            found["boundary_iou"] = plain(mean(overlaps))
            for entry, overlap in zip(found["per_class"].values(), overlaps, strict=True):
                entry["boundary_iou"] = plain(overlap)
        return found

    def save_json(self, path: str | Path) -> None:
        """Write `metrics()` to a JSON file, whole or not at all."""
        write_json(path, self.metrics())
