"""CamVid in the 11-class form introduced with SegNet (Badrinarayanan, Kendall, Cipolla, 2015).

    train/      0001TP_006690.jpg  …        val/      …      test/      …
    trainannot/ 0001TP_006690.png  …        valannot/ …      testannot/ …

Masks hold the ids 0 … 10 in the order of `CLASSES`, and 11 (or 255) for void. Images are JPEG or PNG.
"""

from __future__ import annotations

from ....classes import IGNORE, ClassTable
from ....errors import UserError
from ...pairing import Report, list_files, match_all
from ...samples import Dataset, FileSample, Sample, id_lookup
from ...split_names import by_split
from ...tree import Tree

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


def detect(tree: Tree) -> bool:
    """Whether a folder has another beside it with "annot" added, and no `dataset.yaml` tells of other classes."""
    folders = tree.subfolders()
    return any(f"{name}annot" in folders for name in folders) and not tree.has("dataset.yaml")


def read(tree: Tree) -> Dataset:
    """Read every split found; no image is opened.

    Raises:
        UserError: no split is found, or no image has a mask.
    """
    folders = tree.subfolders()
    lookup = id_lookup(range(len(CLASSES)), (VOID, IGNORE))
    report = Report(tree.loop_notes())
    report.notes += [
        f"{tree.path(folder)} has no {name}annot beside it and is left out"
        for name, folder in folders.items()
        if f"{name}annot" not in folders and not name.endswith("annot")
    ]
    named = [(name, folder) for name, folder in folders.items() if f"{name}annot" in folders]
    splits: dict[str, list[Sample]] = {}
    for split, folder in by_split(tree.root, named).items():
        masks = list_files(tree, folders[f"{folder.lower()}annot"], report)
        pairs = match_all(list_files(tree, folder, report), masks, report)
        splits[split] = [FileSample(pair.name, pair.image, pair.mask, lookup) for pair in pairs]
    if not any(splits.values()):
        nothing = f"{tree.root} holds no images with masks as camvid has them; expected {LAYOUT}"
        raise UserError(report.problems[0] if report.problems else nothing)
    return report.dataset("camvid", tree, CLASSES, splits)
