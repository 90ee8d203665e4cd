"""Images and masks of one's own in folders.

Layouts, `masks` being any of `MASK_FOLDERS` and `images` any of `IMAGE_FOLDERS` (in any case):

    images/train/a.jpg  masks/train/a.png       one folder of images, one of masks
    train/images/a.jpg  train/masks/a.png       one folder a split
    train/a.jpg         train_masks/a.png       two folders a split (train_images, train-masks, trainmasks, … too)
    train/a.jpg         train/a_mask.png        side by side
    images/a.jpg        masks/a.png             no splits; train.txt, val.txt, … beside the folders may tell them
    a.jpg               a_mask.png              no splits, side by side
    rgb/a.jpg           semantic/a.png          any two folders whose files share their stems, with splits or without

Which of two folders with other names holds the masks is told by a word in a name (mask, label, …; image, photo, …) or
by the images (masks are indexed or grey and no JPEGs), else by `dataset.yaml`. The splits train, val and test are
known by other names too (`OTHER_NAMES` in `disk`); further ones may have any name. A mask has its image's stem
(`a.png`, or `a_mask.png` and the like, see `pairs`) and holds class ids (indexed or grey), or shows the colours that
`dataset.yaml` lists, or is black (background) and white (object). `dataset.yaml`, optional, is described in
`folder_yaml`.

Without names every mask is read once to find the largest id, and the classes are called "class 0", "class 1", ….
"""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import UserError
from ..samples import Dataset
from .folder_layouts import UNSPLIT, find_splits
from .folder_masks import find_meaning
from .folder_yaml import Settings, read_settings
from .pairs import Pair, links_back, loop_notes, pair, subfolders
from .split_lists import find_lists, split_by_lists

LAYOUT = "images/train/a.jpg with masks/train/a.png, images/val/ with masks/val/"


def detect(root: Path) -> bool:
    """Whether one of the layouts is there, images and masks, or a `dataset.yaml` names the folders."""
    try:
        if re.search(
            r"(^|[{,])\s*(images|masks)\s*:", (root / "dataset.yaml").read_text(encoding="utf-8"), re.MULTILINE
        ):
            return True
    except (OSError, UnicodeDecodeError):
        pass  # there is none, or `read` will say what is wrong with it
    return any(masks is not None for _, masks in find_splits(root, Settings(root / "dataset.yaml")).values())


def read(root: Path) -> Dataset:
    """Read every split found in `root`, or all as the split "train" where there are none.

    No image is opened, except the masks where `dataset.yaml` gives no names, a few where it gives colours, and a few
    of two folders whose names do not tell which holds the masks.

    Raises:
        UserError: no images with masks are found, it cannot be told which the masks are or what their values mean,
            or `dataset.yaml` or a list cannot be understood.
    """
    settings = read_settings(root / "dataset.yaml")
    pairs: dict[str, list[Pair]] = {}
    notes = loop_notes(loop for where in (root, *subfolders(root).values()) for loop in links_back(where))
    problems: list[str] = []
    for split, (images, masks) in find_splits(root, settings).items():
        found = pair(split, images, masks)
        pairs[split] = found.pairs
        notes += found.notes
        problems += found.problems
    if not any(pairs.values()):
        raise UserError(problems[0] if problems else f"{root} holds no images with masks; expected {LAYOUT}")
    if UNSPLIT in pairs:
        loose = pairs.pop(UNSPLIT)
        if lists := find_lists(root):
            pairs, of_lists, doubles = split_by_lists(loose, lists)
            notes += of_lists
            problems += doubles
        else:
            pairs["train"] = loose
    meaning = find_meaning(root, [mask for of_split in pairs.values() for _, _, mask in of_split], settings)
    splits = {split: [meaning.sample(*trio) for trio in of_split] for split, of_split in pairs.items()}
    return Dataset("folder", root, meaning.classes, splits, tuple(dict.fromkeys(notes)), tuple(problems))
