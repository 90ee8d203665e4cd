"""CVAT's export "Segmentation mask 1.1": masks in colours, in folders as PASCAL VOC has them.

    labelmap.txt                            name:r,g,b:parts:actions, one class a line; "#" begins a comment
    ImageSets/Segmentation/default.txt      the names of a split, one a line, without suffix; "default" is read as train
    SegmentationClass/a.png                 colours of the classes
    JPEGImages/a.jpg                        only where the export was made with "save images"; or images/, or beside

The classes are those of labelmap.txt in its order, with their colours; `ignored` is void, and so is VOC's void colour
(224, 224, 192) where no class has it. Where no line has a colour, the colours are VOC's, by line.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-smask (written by Datumaro's VOC converter).
"""

from __future__ import annotations

import os
from pathlib import Path

from ...classes import IGNORE, ClassTable, Colour, voc_colours
from ...errors import UserError
from ..samples import ColourSample, Dataset
from .disk import few, files_below, is_picture, left_out, read_text, split_name, stem
from .folder_layouts import IMAGE_FOLDERS
from .pairs import subfolders

LAYOUT = "labelmap.txt with SegmentationClass/a.png, ImageSets/Segmentation/default.txt and JPEGImages/a.jpg"
VOID_NAME = "ignored"
VOID_COLOUR: Colour = (224, 224, 192)


def detect(root: Path) -> bool:
    """Whether the label map and the folder of masks are there; plain VOC has no label map."""
    return os.path.isfile(root / "labelmap.txt") and os.path.isdir(root / "SegmentationClass")


def read(root: Path) -> Dataset:
    """Read every split listed in `ImageSets/Segmentation`; no picture is opened.

    Raises:
        UserError: labelmap.txt, the lists, the masks or the photographs are missing or cannot be understood.
    """
    classes, colours = _label_map(root / "labelmap.txt")
    problems: list[str] = []
    masks = _by_stem(root / "SegmentationClass", "masks", problems)
    photographs = _by_stem(_image_folder(root), "photographs", problems)
    lists = root / "ImageSets" / "Segmentation"
    if not os.path.isdir(lists) or not (files := [name for name in files_below(lists) if name.endswith(".txt")]):
        raise UserError(f"{root} has no lists in {lists}; write the names of the masks into {lists / 'train.txt'}")
    notes: list[str] = []
    splits: dict[str, list[ColourSample]] = {}
    listed: set[str] = set()
    for file in files:
        names = dict.fromkeys(line.strip().strip('"') for line in read_text(lists / file).splitlines() if line.strip())
        listed |= set(names)
        split = split_name(stem(file))
        if split in splits:
            raise UserError(f"{lists} has two lists of the split '{split}'; join them in one file")
        splits[split] = [
            ColourSample(name, photographs[name], masks[name], colours)
            for name in sorted(names)
            if name in photographs and name in masks
        ]
        absent = [name for name in names if name not in photographs]
        notes += left_out(absent, len(names), f"that {lists / file} lists are not in {_image_folder(root)}")
        bare = [name for name in names if name in photographs and name not in masks]
        notes += left_out(bare, len(names), f"that {lists / file} lists have no mask in {root / 'SegmentationClass'}")
    if not any(splits.values()):
        raise UserError(f"{lists} lists no photograph that is there with its mask; expected {LAYOUT}")
    if extra := [name for name in masks if name not in listed]:
        notes.append(
            f"{len(extra)} masks in {root / 'SegmentationClass'} are in no list and are left out ({few(extra)})"
        )
    return Dataset("cvat", root, classes, splits, tuple(notes), tuple(problems))


def _label_map(path: Path) -> tuple[ClassTable, dict[Colour, int]]:
    """The classes, and the label of each colour."""
    names: list[str] = []
    colours: list[Colour | None] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.strip().rsplit(":", 3)
        values = fields[1].split(",") if len(fields) == 4 and fields[1] else []
        if len(fields) < 4 or len(values) not in (0, 3) or not all(v.strip().isdecimal() for v in values):
            raise UserError(f"{path}, line {number} is {line!r}; write name:red,green,blue:: as in cat:64,0,0::")
        names.append(fields[0].strip())
        colours.append((int(values[0]), int(values[1]), int(values[2])) if values else None)
    if not any(colours):
        colours = list(voc_colours(len(names)))
    if None in colours:
        raise UserError(f"{path}: '{names[colours.index(None)]}' has no colour and others have; give each class one")
    given = [colour for colour in colours if colour is not None]
    if twice := [name for name, colour in zip(names, given, strict=True) if given.count(colour) > 1]:
        raise UserError(f"{path}: {few(twice)} have the same colour; give each class its own")
    by_name = dict(zip(names, given, strict=True))
    labels = {VOID_COLOUR: IGNORE}
    if VOID_NAME in by_name:
        labels[by_name.pop(VOID_NAME)] = IGNORE
    try:
        classes = ClassTable.of([name for name in names if name != VOID_NAME], list(by_name.values()))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return classes, labels | {colour: i for i, colour in enumerate(by_name.values())}


def _image_folder(root: Path) -> Path:
    """The folder of photographs: JPEGImages, one of the usual names, or the export's own."""
    folders = subfolders(root)
    for name in ("jpegimages", *IMAGE_FOLDERS):
        if name in folders:
            return folders[name]
    if any(is_picture(name) for name in os.listdir(root)):
        return root
    raise UserError(f"{root} holds no photographs, only masks; put them into {root / 'JPEGImages'}")


def _by_stem(folder: Path, what: str, problems: list[str]) -> dict[str, Path]:
    """The pictures in a folder and below, by their path without suffix."""
    found: dict[str, Path] = {}
    for name in files_below(folder):
        if is_picture(name) and found.setdefault(stem(name), folder / name) != folder / name:
            problems.append(f"{folder} holds two {what} called {stem(name)}; remove one")
    return found
