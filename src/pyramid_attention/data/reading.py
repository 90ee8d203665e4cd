"""How a data set is read and divided, where looking at it does not tell: what is asked for, and what a recipe records.

The fields are fields of a recipe's `data` too, and those with a help are options of every verb that takes DATA
(`cli/options.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import UserError, nearest

SHARE = 0.2
"""What is held out for validation where nothing else is asked for."""
AUTO = "auto"
"""As `group`: images that look nearly the same stay on one side."""
ANNOTATORS = ("first", "majority")


def _option(default: Any, help: str, metavar: str | None = None) -> Any:
    """A field with what the command line says of it."""
    return field(default=default, metadata={"help": help, "metavar": metavar})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a data set is read; as an opened data set has it, what was found is filled in.

    Attributes:
        images, masks: patterns (see `patterns`), or names of folders; None to find them.
        annotators: of masks by several annotators the first's, or what the "majority" of them drew.
        group: a regular expression on the samples' names, for what stays on one side of a split (see `holdout`); or
            "auto", for images that look nearly the same.
        val: the share of `train` to hold out where there is no `val`.
        held_out: what is held out: all whose hash is below a number, or the groups or samples of these names.
        meaning: what the values in the masks mean, see `Meaning.to_dict`.
        bands: of rasters, by name or number (from 1); None for all.

    Raises:
        UserError: `annotators` or `val` is none of these.
    """

    images: str | None = _option(None, "Where the images are, by a pattern: 'photos/{split}/{id}.jpg'.", "PATTERN")
    masks: str | None = _option(None, "Where the masks are: 'truth/{split}/{id}_label.png'.", "PATTERN")
    annotators: str = _option("first", "Of masks by several annotators: the first's, or the majority's.")
    group: str | None = _option(
        None, "What it matches in an image's name stays in one split: '^[^_]+'; auto: images that look alike.", "REGEX"
    )
    val: float = _option(SHARE, "The share of 'train' to hold out where there is no 'val'; 0 for none.", "SHARE")
    held_out: float | tuple[str, ...] | None = None
    meaning: Mapping[str, Any] | None = None
    bands: Sequence[str] | None = _option(
        None, "The bands of rasters to use, in order, by name or number: B04,B03,B02,B08; else all.", "NAME,NAME,…"
    )

    def __post_init__(self) -> None:
        if self.annotators not in ANNOTATORS:
            raise UserError(f'annotators="{self.annotators}" is neither.{nearest(self.annotators, ANNOTATORS)}')
        if not 0 <= self.val < 1:
            raise UserError(f"val={self.val} is the share of the images to validate on, 0 to 1")

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> Reading:
        """Return what the `data` of a recipe says of it."""
        known = {one.name: recipe[one.name] for one in fields(cls) if recipe.get(one.name) is not None}
        for name in ("held_out", "bands"):
            if isinstance(known.get(name), list):
                known[name] = tuple(known[name])
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a recipe's `data` has them."""
        return asdict(self)


FOUND = Reading()
"""Everything is found by looking."""
