"""Cityscapes with its fine annotations: 2,975 images of streets in `train`, 500 in `val`.

    leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png   …       val/ …      test/ …
    gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png    …       val/ …      test/ …

Masks hold the ids of cityscapesScripts (helpers/labels.py, https://github.com/mcordts/cityscapesScripts), of which 19
are classes (`IDS`) and the others void. An image without `_labelIds` may have `_labelTrainIds`, as the scripts
write it: 0 … 18, and 255 for void. The masks that are published for `test` are dummies without classes (the server
keeps the true ones), so that split is left out.
"""

from __future__ import annotations

from ....classes import IGNORE, ClassTable
from ....errors import UserError
from ...pairing import Files, Report, list_files, match_all
from ...samples import Dataset, FileSample, Sample, id_lookup
from ...tree import Tree, stem

MASK_ENDINGS = ("_gtFine_labelIds", "_gtFine_labelTrainIds")
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


def detect(tree: Tree) -> bool:
    """Whether images have Cityscapes' names and, where there are masks, these too: its folders are others' as well."""
    top = tree.subfolders()
    if not any(stem(file).endswith("_leftImg8bit") for file in tree.images(top.get("leftimg8bit", "-"))):
        return False
    masks = tree.images(top.get("gtfine", "-"))
    return not masks or any(stem(file).endswith(MASK_ENDINGS) for file in masks)


def read(tree: Tree) -> Dataset:
    """Read every split but `test`; no image is opened.

    Raises:
        UserError: leftImg8bit or gtFine is missing, or no image has a mask.
    """
    top = tree.subfolders()
    for name in ("leftImg8bit", "gtFine"):
        if name.lower() not in top:
            raise UserError(
                f"{tree.root} holds no folder {name}; unpack {name}_trainvaltest.zip there: expected {LAYOUT}"
            )
    tree.refuse_loops()
    report = Report()
    splits: dict[str, list[Sample]] = {}
    images_by_split, masks_by_split = tree.subfolders(top["leftimg8bit"]), tree.subfolders(top["gtfine"])
    for split, folder in images_by_split.items():
        if split == "test":
            report.notes.append(
                f"{tree.path(folder)} is left out: the published masks of test are dummies, the server keeps the true"
                " ones"
            )
        elif split not in masks_by_split:
            report.notes.append(f"{tree.path(folder)} is left out: {tree.path(top['gtfine']) / split} is not there")
        else:
            images = list_files(tree, folder, report, "_leftImg8bit")
            ids, train_ids = (list_files(tree, masks_by_split[split], report, ending) for ending in MASK_ENDINGS)
            pairs = match_all(images, Files(ids.folder, {**train_ids.files, **ids.files}), report)
            if pairs:
                splits[split] = [
                    FileSample(pair.name, pair.image, pair.mask, OF_IDS if pair.name in ids.files else OF_TRAIN_IDS)
                    for pair in pairs
                ]
    report.notes += [
        f"{tree.path(folder)} is left out: {tree.path(top['leftimg8bit']) / split} is not there"
        for split, folder in masks_by_split.items()
        if split not in (*images_by_split, "test")
    ]
    if not splits:
        raise UserError(
            f"{tree.root} holds no image with a mask{report.first()}; expected {LAYOUT} (masks that"
            " are only _gtFine_polygons.json become images with csCreateTrainIdLabelImgs of cityscapesScripts)"
        )
    return report.dataset("cityscapes", tree, CLASSES, splits)


OF_IDS = id_lookup(IDS, [*range(34), IGNORE])
OF_TRAIN_IDS = id_lookup(range(len(CLASSES)), [IGNORE])
