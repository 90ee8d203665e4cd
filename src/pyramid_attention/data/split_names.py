"""What the splits of a data set are called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import UserError

SPLITS = ("train", "val", "test")
OTHER_NAMES = {
    "training": "train",
    "trn": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
    "tst": "test",
    "train_val": "trainval",
    "train-val": "trainval",
    "default": "train",  # an annotation tool's name for the only split
}
"""What the known splits are called elsewhere."""
WORDS = "train[_-]?val|training|train|trn|validation|valid|val|testing|test|tst"
"""The names by which splits are known in the names of folders and files, as a regular expression."""
WORD = re.compile(
    rf"(?<![A-Za-z])(?i:{WORDS})(?![a-z])|(?<=[a-z])(?:{WORDS.title()})(?![a-z])"
    rf"|^(?i:{WORDS})(?=(?i:annot|mask|label|gt|seg|image|img|photo|pic|set|crop|data))"
)
"""A split's name in the name of a folder or file: "stage1_train", "TestImages", "imagesTrain", "trainannot"."""


def split_name(name: str) -> str:
    """The name by which a split is known here: "valid" and "Validation" are val, "default" is train."""
    return OTHER_NAMES.get(name.lower(), name.lower())


def by_split(where: Path, named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Paths of folders or lists in `where`, each with a name, by the split that they are called after.

    Raises:
        UserError: two are of one split.
    """
    found: dict[str, str] = {}
    for name, place in named:
        split = split_name(name)
        if split in found:
            first, second = (path.rpartition("/")[2] for path in (found[split], place))
            raise UserError(f"{where} holds {first} and {second}, both the split '{split}'; join them")
        found[split] = place
    return found
