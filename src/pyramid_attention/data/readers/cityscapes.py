"""Cityscapes with its fine annotations: 2,975 images of streets in `train`, 500 in `val`.

    leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png   …       val/ …      test/ …
    gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png    …       val/ …      test/ …

Masks hold the ids of cityscapesScripts (helpers/labels.py, https://github.com/mcordts/cityscapesScripts), of which 19
are classes (`IDS`) and the others void. An image without `_labelIds` may have `_labelTrainIds`, as the scripts
write it: 0 … 18, and 255 for void. The masks that are published for `test` are dummies without classes (the server
keeps the true ones), so that split is left out.
"""

from __future__ import annotations

from pathlib import Path

from ...classes import IGNORE, ClassTable
from ...errors import UserError
from ..samples import Dataset, FileSample, Sample, id_lookup
from .listing import Listing, list_files, match_all
from .pairs import subfolders

LAYOUT = "leftImg8bit/train/CITY/a_leftImg8bit.png with gtFine/train/CITY/a_gtFine_labelIds.png, val/ alike"

CLASSES = ClassTable(
    names=(
        *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"),
        *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
    ),
    colours=(
        *((128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153)),
        *((153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152)),
        *((70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70)),
        *((0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32)),
    ),
    void_name="unlabeled",
)
IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The id of each class in `_labelIds`."""
CATEGORIES = {
    "flat": ("road", "sidewalk"),
    "construction": ("building", "wall", "fence"),
    "object": ("pole", "traffic light", "traffic sign"),
    "nature": ("vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}
"""The names of the classes in each category, of which the benchmark gives an IoU too."""


def detect(root: Path) -> bool:
    """Whether there is a folder leftImg8bit."""
    return "leftimg8bit" in subfolders(root)


def read(root: Path) -> Dataset:
    """Read every split but `test`; no image is opened.

    Raises:
        UserError: leftImg8bit or gtFine is missing, a folder cannot be listed, or no image has a mask.
    """
    top = subfolders(root)
    for name in ("leftImg8bit", "gtFine"):
        if name.lower() not in top:
            raise UserError(f"{root} holds no folder {name}; unpack {name}_trainvaltest.zip there: expected {LAYOUT}")
    masks_by_split = subfolders(top["gtfine"])
    splits: dict[str, list[Sample]] = {}
    notes, problems = [], []
    images_by_split = subfolders(top["leftimg8bit"])
    for split, folder in images_by_split.items():
        if split == "test":
            notes.append(
                f"{folder} is left out: the published masks of test are dummies, the server keeps the true ones"
            )
            continue
        if split not in masks_by_split:
            notes.append(f"{folder} is left out: {top['gtfine'] / split} is not there")
            continue
        images = list_files(folder, "_leftImg8bit")
        ids = list_files(masks_by_split[split], "_gtFine_labelIds")
        train_ids = list_files(masks_by_split[split], "_gtFine_labelTrainIds")
        pairs, left_out = match_all(images, Listing(ids.folder, {**train_ids.files, **ids.files}, []))
        notes += left_out
        problems += images.problems + ids.problems + train_ids.problems
        if pairs:
            splits[split] = [
                FileSample(name, image, mask, OF_IDS if name in ids.files else OF_TRAIN_IDS)
                for name, image, mask in pairs
            ]
    notes += [
        f"{folder} is left out: {top['leftimg8bit'] / split} is not there"
        for split, folder in masks_by_split.items()
        if split not in (*images_by_split, "test")
    ]
    if not splits:
        raise UserError(
            f"{root} holds no image with a mask{': ' + notes[0] if notes else ''}; expected {LAYOUT} (masks that"
            " are only _gtFine_polygons.json become images with csCreateTrainIdLabelImgs of cityscapesScripts)"
        )
    return Dataset("cityscapes", root, CLASSES, splits, tuple(notes), tuple(problems))


OF_IDS = id_lookup(IDS, [*range(34), IGNORE])
OF_TRAIN_IDS = id_lookup(range(len(CLASSES)), [IGNORE])
