"""CVAT's export "Segmentation mask 1.1": masks in colours, in folders as PASCAL VOC has them.

    labelmap.txt                            name:r,g,b:parts:actions, one class a line; "#" begins a comment
    ImageSets/Segmentation/default.txt      optional: the names of a split, one a line, without suffix; "default" is
                                            read as train, and without lists all are
    SegmentationClass/a.png                 colours of the classes
    JPEGImages/a.jpg                        only where the export was made with "save images"; or images/, or beside

What labelmap.txt says and how masks are read by it: see `voc_masks`. Unlike `voc`, the images may lie elsewhere.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-smask (written by Datumaro's VOC converter).
"""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import UserError
from ..samples import Dataset
from .disk import few, is_image
from .folder_layouts import IMAGE_FOLDERS
from .listing import list_files, match, match_all, read_names
from .pairs import subfolders
from .split_lists import lists_below
from .voc_masks import MaskSample, read_table

LAYOUT = "labelmap.txt with SegmentationClass/a.png, ImageSets/Segmentation/default.txt and JPEGImages/a.jpg"


def detect(root: Path) -> bool:
    """Whether the label map and the folder of masks are there; plain VOC has no label map."""
    return os.path.isfile(root / "labelmap.txt") and os.path.isdir(root / "SegmentationClass")


def read(root: Path) -> Dataset:
    """Read every split listed in `ImageSets/Segmentation`, without lists all as `train`; no image is opened.

    Raises:
        UserError: labelmap.txt, the lists, the masks or the images are missing or cannot be understood.
    """
    table, folder, of_lists = read_table(root), root / "SegmentationClass", root / "ImageSets" / "Segmentation"
    if table is None or not os.path.isdir(folder):
        raise UserError(f"{root} is not in the layout of CVAT's masks; expected {LAYOUT}")
    images, masks = list_files(_image_folder(root)), list_files(folder)
    lists = lists_below(of_lists) if os.path.isdir(of_lists) else {}
    notes: list[str] = []
    splits: dict[str, list[MaskSample]] = {}
    if not lists:
        pairs, notes = match_all(images, masks)
        splits = {"train": [table.sample(*pair) for pair in pairs]}
    listed: set[str] = set()
    for split, path in lists.items():
        names = read_names(path)
        pairs, left_out = match(names, images, masks, path)
        notes += left_out
        listed |= set(names)
        splits[split] = [table.sample(*pair) for pair in pairs]
    if not any(splits.values()):
        raise UserError(f"{root} holds no image with a mask{': ' + notes[0] if notes else ''}; expected {LAYOUT}")
    if lists and (extra := [name for name in masks.files if name not in listed]):
        notes.append(f"{len(extra)} masks in {folder} are in no list and are left out ({few(extra)})")
    return Dataset("cvat", root, table.classes, splits, tuple(notes), (*images.problems, *masks.problems))


def _image_folder(root: Path) -> Path:
    """The folder of images: JPEGImages, one of the usual names, or the export's own."""
    folders = subfolders(root)
    for name in ("jpegimages", *IMAGE_FOLDERS):
        if name in folders:
            return folders[name]
    if any(is_image(name) for name in os.listdir(root)):
        return root
    raise UserError(f"{root} holds no images, only masks; put them into {root / 'JPEGImages'}")
