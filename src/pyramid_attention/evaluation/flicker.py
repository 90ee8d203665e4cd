"""How steady the labels of a video are, with its motion taken into account."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Flicker:
    """How labels change over the frames of a video; the lower `flicker` and the higher `neighbour_miou`, the steadier.

    Attributes:
        flicker: the share of pixels whose label is another in a frame than in the one before and the one after, which
            agree, all three looked at along the motion.
        neighbour_miou: the mean IoU, over the classes that occur, of each frame's label map with that of the frame
            before, brought along the motion.
    """

    flicker: float
    neighbour_miou: float


Bring = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""Brings the label map of frame `index` − 1 to where its pixels are in frame `index`."""


def measure_flicker(label_maps: Iterable[NDArray[np.uint8]], classes: int, bring: Bring) -> Flicker:
    """Measure the flicker of the label maps of a video.

    Args:
        label_maps: H×W (uint8) class ids of the frames, in their order; three at least.
        classes: how many there are.
        bring: knows the video's motion.

    Raises:
        ValueError: there are fewer than three frames.
    """
    confusion = np.zeros(classes * classes, np.int64)
    changed = total = 0
    before: NDArray[np.uint8] | None = None  # brought to the frame looked at
    earlier: NDArray[np.uint8] | None = None
    for index, labels in enumerate(label_maps):
        if before is not None:
            before_here = bring(before, index)
            confusion += np.bincount(labels.ravel().astype(int) * classes + before_here.ravel(), minlength=classes**2)
            if earlier is not None:
                earlier_here = bring(earlier, index)
                changed += int(((labels == earlier_here) & (labels != before_here)).sum())
                total += labels.size
            earlier = before_here
        before = labels
    if not total:
        raise ValueError("flicker is measured over three frames or more")
    counts = confusion.reshape(classes, classes)
    union = counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts)
    return Flicker(changed / total, float((np.diag(counts) / np.maximum(union, 1))[union > 0].mean()))
