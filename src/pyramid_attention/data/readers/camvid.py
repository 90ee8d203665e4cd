"""CamVid in the 11-class form introduced with SegNet (Badrinarayanan, Kendall, Cipolla, 2015).

    train/      0001TP_006690.jpg  …        val/      …      test/      …
    trainannot/ 0001TP_006690.png  …        valannot/ …      testannot/ …

Masks hold the ids 0 … 10 in the order of `CLASSES`, and 11 (or 255) for void. Images are JPEG or PNG.
"""

from __future__ import annotations

import os
from pathlib import Path

from ...classes import IGNORE, ClassTable
from ...errors import UserError
from ..samples import Dataset, FileSample, id_lookup
from .pairs import pair, subfolders
from .split_lists import by_split

LAYOUT = "train/a.jpg with trainannot/a.png, val/ with valannot/, test/ with testannot/"

CLASSES = ClassTable(
    names=(
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Pavement",
        "Tree",
        "SignSymbol",
        "Fence",
        "Car",
        "Pedestrian",
        "Bicyclist",
    ),
    colours=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    void_name="Unlabelled",
)
VOID = 11


def detect(root: Path) -> bool:
    """Whether a folder has another beside it with "annot" added, and no `dataset.yaml` tells of other classes."""
    folders = subfolders(root)
    return any(f"{name}annot" in folders for name in folders) and not os.path.exists(root / "dataset.yaml")


def read(root: Path) -> Dataset:
    """Read every split found in `root`; no image is opened.

    Raises:
        UserError: no split is found, or one has no masks (see `pairs.pair`).
    """
    folders = subfolders(root)
    lookup = id_lookup(range(len(CLASSES)), (VOID, IGNORE))
    notes = [
        f"{folder} has no {name}annot beside it and is left out"
        for name, folder in folders.items()
        if f"{name}annot" not in folders and not name.endswith("annot")
    ]
    splits, problems = {}, []
    named = [(name, folder) for name, folder in folders.items() if f"{name}annot" in folders]
    for split, images in by_split(root, named).items():
        found = pair(split, images, folders[f"{images.name.lower()}annot"])
        splits[split] = [FileSample(stem, image, mask, lookup) for stem, image, mask in found.pairs]
        notes += found.notes
        problems += found.problems
    if not any(splits.values()):
        nothing = f"{root} holds no images with masks as camvid has them; expected {LAYOUT}"
        raise UserError(problems[0] if problems else nothing)
    return Dataset("camvid", root, CLASSES, splits, tuple(notes), tuple(problems))
