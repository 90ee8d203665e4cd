"""How a data set is to be read and divided where looking at it does not tell: what a recipe records of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .meaning import Meaning

SHARE = 0.2
"""What is held out for validation where nothing else is asked for."""


@dataclass(frozen=True)
class Reading:
    """How a data set is read; as an opened data set has it, what was found is filled in.

    Attributes:
        images, masks: patterns (see `patterns`), or names of folders; None to find them.
        annotators: of masks by several annotators the first's, or what most of them drew.
        group: a regular expression on the samples' names, for what stays on one side of a split (see `holdout`); or
            "auto" for images that look nearly the same.
        val: the share of `train` to hold out where there is no `val`.
        held_out: what is held out: all whose hash is below a number, or the groups or samples of these names.
        meaning: what the values in the masks mean.
    """

    images: str | None = None
    masks: str | None = None
    annotators: Literal["first", "majority"] = "first"
    group: str | None = None
    val: float = SHARE
    held_out: float | tuple[str, ...] | None = None
    meaning: Meaning | None = None


FOUND = Reading()
"""Everything is found by looking."""
