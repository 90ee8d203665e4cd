"""Cityscapes with its fine annotations: 2,975 images of streets in `train`, 500 in `val`.

    leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png   …       val/ …      test/ …
    gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png    …       val/ …      test/ …

Masks hold the ids of cityscapesScripts (helpers/labels.py, https://github.com/mcordts/cityscapesScripts), of which 19
are classes and the others void. An image without `_labelIds` may have `_labelTrainIds`, as the scripts
write it: 0 … 18, and 255 for void. The masks that are published for `test` are dummies without classes (the server
keeps the true ones), so that split is left out.
"""

from __future__ import annotations

from ....classes import IGNORE
from ....errors import UserError
from ...pairing import Files, Report, list_files, match_all
from ...published import CITYSCAPES, CITYSCAPES_IDS
from ...samples import Dataset, Sample, id_lookup
from ...tree import Tree, stem

MASK_ENDINGS = ("_gtFine_labelIds", "_gtFine_labelTrainIds")
LAYOUT = "leftImg8bit/train/CITY/a_leftImg8bit.png with gtFine/train/CITY/a_gtFine_labelIds.png, val/ alike"
POLYGONS = "masks that are only _gtFine_polygons.json become images with csCreateTrainIdLabelImgs of cityscapesScripts"
OF_IDS = id_lookup(CITYSCAPES_IDS, [*range(34), IGNORE])
OF_TRAIN_IDS = id_lookup(range(len(CITYSCAPES)), [IGNORE])


def detect(tree: Tree) -> bool:
    """Whether images have Cityscapes' names and, where there are masks, these too: its folders are others' as well."""
    top = tree.subfolders()
    if not any(stem(file).endswith("_leftImg8bit") for file in tree.images(top.get("leftimg8bit", "-"))):
        return False
    masks = tree.images(top.get("gtfine", "-"))
    return not masks or any(stem(file).endswith(MASK_ENDINGS) for file in masks)


def read(tree: Tree) -> Dataset:
    """Read every split but `test`; no image is opened."""
    top = tree.subfolders()
    for name in ("leftImg8bit", "gtFine"):
        if name.lower() not in top:
            raise UserError(
                f"{tree.root} holds no folder {name}; unpack {name}_trainvaltest.zip there: expected {LAYOUT}"
            )
    homes = [top["leftimg8bit"], top["gtfine"]]
    by_split = [tree.subfolders(home) for home in homes]
    report = Report()
    splits: dict[str, list[Sample]] = {}
    if (test := by_split[0].pop("test", None)) is not None:
        report.notes.append(
            f"{tree.path(test)} is left out: the published masks of test are dummies, the server keeps the true ones"
        )
    for split in sorted({*by_split[0], *by_split[1]} - {"test"}):
        of_images, of_masks = (of.get(split, f"{home}/{split}") for of, home in zip(by_split, homes, strict=True))
        images = list_files(tree, of_images, report, "_leftImg8bit")
        ids, train_ids = (list_files(tree, of_masks, report, ending) for ending in MASK_ENDINGS)
        pairs = match_all(images, Files(ids.folder, {**train_ids.files, **ids.files}), report)
        splits[split] = [pair.with_ids(OF_IDS if pair.name in ids.files else OF_TRAIN_IDS) for pair in pairs]
    return report.dataset("cityscapes", tree, CITYSCAPES, splits, f"{LAYOUT} ({POLYGONS})")
