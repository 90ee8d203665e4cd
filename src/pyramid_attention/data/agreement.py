"""How two masks of the same images differ: the same truth in other values, two annotators, two classes, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .looks import Look

Agreement = Literal["same", "finer", "coarser", "annotators", "classes", "other"]
ALIKE = 0.4
"""Intersection over union from which two binary masks show the same: annotators of thin vessels agree more, a field of
view and the vessels in it less."""
APART = 0.05
"""The share of the smaller that two classes may overlap."""
CONSTANT = 0.9
"""Intersection over union above which masks of different images are one region, as the field of view of a camera."""


def compare(pairs: Sequence[tuple[Look, Look]]) -> Agreement:
    """How the second masks differ from the first, over several images.

    Returns:
        "same": one value of the one is one value of the other. "finer": the second divides what the first has as one
        (instances), "coarser" the reverse. "annotators": both show the same things. "classes": they show things that do
        not overlap.
    """
    pairs = [(one, other) for one, other in pairs if one.codes.shape == other.codes.shape]
    if not pairs or any(look.kind == "image" for pair in pairs for look in pair):
        return "other"
    first_to_second = _is_function(pairs)
    second_to_first = _is_function([(other, one) for one, other in pairs])
    if first_to_second and second_to_first:
        return "same"
    if all(look.is_binary for pair in pairs for look in pair):
        shown = [
            (one.foreground(), other.foreground()) for one, other in pairs if "blank" not in (one.kind, other.kind)
        ]
        if shown and all(_union_share(one, other) > ALIKE for one, other in shown):
            return "annotators"
        overlaps = [(one & other).sum() / max(1, min(one.sum(), other.sum())) for one, other in shown]
        return "classes" if all(overlap < APART for overlap in overlaps) else "other"
    return "coarser" if first_to_second else "finer" if second_to_first else "other"


def is_constant(masks: Sequence[Look]) -> bool:
    """Whether three masks or more of different images all show one region, and so tell nothing of any image."""
    shown = [mask for mask in masks if mask.kind == "mask" and mask.is_binary]
    if len(shown) < 3 or len({mask.codes.shape for mask in shown}) > 1:
        return False
    regions = [mask.foreground() for mask in shown]
    return all(_union_share(one, other) > CONSTANT for one, other in combinations(regions, 2))


def _union_share(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def _is_function(pairs: Sequence[tuple[Look, Look]]) -> bool:
    """Whether each value of the first masks always meets one value of the second."""
    meant: dict[bytes, bytes] = {}
    for one, other in pairs:
        together = np.unique(np.stack([one.codes.ravel(), other.codes.ravel()]), axis=1)
        for a, b in together.T.tolist():
            if meant.setdefault(one.values[a].tobytes(), other.values[b].tobytes()) != other.values[b].tobytes():
                return False
    return True
