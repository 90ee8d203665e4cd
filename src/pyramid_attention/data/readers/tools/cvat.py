"""CVAT's export "Segmentation mask 1.1": masks in colours, in folders as PASCAL VOC has them.

    labelmap.txt                            name:r,g,b:parts:actions, one class a line; "#" begins a comment
    ImageSets/Segmentation/default.txt      optional: the names of a split, one a line, without suffix; "default" is
                                            read as train, and without lists all are
    SegmentationClass/a.png                 colours of the classes
    JPEGImages/a.jpg                        only where the export was made with "save images"; or images/, or beside

What labelmap.txt says and how masks are read by it: see `mask_tables`. Unlike `voc`, the images may lie elsewhere.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-smask (written by Datumaro's VOC converter).
"""

from __future__ import annotations

from ....errors import UserError
from ...families import role
from ...mask_tables import read_table
from ...pairing import Report, list_files, match, match_all
from ...samples import Dataset, Sample
from ...split_lists import lists_below, read_names
from ...tree import Tree, few

LAYOUT = "labelmap.txt with SegmentationClass/a.png, ImageSets/Segmentation/default.txt and JPEGImages/a.jpg"


def detect(tree: Tree) -> bool:
    """Whether the label map and the folder of masks are there; plain VOC has no label map."""
    return tree.has("labelmap.txt") and "SegmentationClass" in tree.folders


def read(tree: Tree) -> Dataset:
    """Read every split listed in `ImageSets/Segmentation`, without lists all as `train`; no image is opened."""
    table = read_table(tree.root)
    if table is None or "SegmentationClass" not in tree.folders:
        raise UserError(f"{tree.root} is not in the layout of CVAT's masks; expected {LAYOUT}")
    report = Report()
    images = list_files(tree, _image_folder(tree), report)
    masks = list_files(tree, "SegmentationClass", report)
    lists = lists_below(tree, "ImageSets/Segmentation")
    splits: dict[str, list[Sample]] = {}
    if not lists:
        splits = {"train": [table.sample(pair) for pair in match_all(images, masks, report)]}
    listed: set[str] = set()
    for split, path in lists.items():
        names = read_names(path)
        listed |= set(names)
        splits[split] = [table.sample(pair) for pair in match(names, images, masks, path, report)]
    if lists and (extra := [name for name in masks.files if name not in listed]):
        report.notes.append(f"{len(extra)} masks in {masks.folder} are in no list and are left out ({few(extra)})")
    return report.dataset("cvat", tree, table.classes, splits, LAYOUT)


def _image_folder(tree: Tree) -> str:
    """The folder of images: JPEGImages, one of the usual names, or the export's own."""
    for name, folder in sorted(tree.subfolders().items(), key=lambda two: two[0] != "jpegimages"):
        if name == "jpegimages" or (role(name) == "image" and tree.images(folder)):
            return folder
    if any("/" not in file for file in tree.images()):
        return ""
    raise UserError(f"{tree.root} holds no images, only masks; put them into {tree.path('JPEGImages')}")
