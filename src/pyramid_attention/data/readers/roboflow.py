"""Roboflow's export "Semantic Segmentation Masks": grey PNG masks beside the images.

    train/_classes.csv      Pixel Value, Class: the id on disk and the name of each class
    train/a.jpg  train/a_mask.png  …        valid/  …       test/  …

The classes are those of `_classes.csv` in the order of their values; 255 is void unless it is named.

Format: "Semantic Segmentation Masks" of https://roboflow.com/formats.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from ...classes import IGNORE, ClassTable
from ...errors import UserError
from ..samples import Dataset, FileSample, id_lookup
from .disk import few, files_below, is_image, left_out, read_text, split_name, stem
from .pairs import subfolders

LAYOUT = "train/_classes.csv with train/a.jpg and train/a_mask.png, valid/ and test/ alike"
TABLE = "_classes.csv"
ENDING = "_mask.png"


def detect(root: Path) -> bool:
    """Whether a folder has the table of classes and a mask; exports for classification have such a table too."""
    return any(any(name.endswith(ENDING) for name in files_below(folder)) for folder in _folders(root).values())


def read(root: Path) -> Dataset:
    """Read every split found in `root`; no image is opened.

    Raises:
        UserError: no split is found, or a table of classes cannot be understood.
    """
    splits: dict[str, list[FileSample]] = {}
    notes: list[str] = []
    problems: list[str] = []
    tables: dict[Path, dict[int, str]] = {}
    for split, folder in _folders(root).items():
        tables[folder] = names = _names(folder / TABLE)
        first, known = next(iter(tables.items()))
        if names != known:
            problems.append(f"{folder / TABLE} differs from {first / TABLE}; export all splits at once")
        lookup = id_lookup(sorted(names), [IGNORE])
        files = files_below(folder)
        stems = {stem(name) for name in files if is_image(name)}
        masks = {name.removesuffix(ENDING): name for name in files if name.endswith(ENDING)}
        masks = {name: mask for name, mask in masks.items() if name in stems or stem(mask) + "_mask" not in stems}
        images: dict[str, str] = {}
        for name in files:
            if is_image(name) and name not in masks.values() and images.setdefault(stem(name), name) != name:
                problems.append(f"{folder} holds {images[stem(name)]} and {name} for one mask; remove one")
        splits[split] = [
            FileSample(name, folder / file, folder / masks[name], lookup)
            for name, file in sorted(images.items())
            if name in masks
        ]
        bare = [file for name, file in images.items() if name not in masks]
        notes += left_out(bare, len(images), f"in {folder} have no mask")
        if extra := [mask for name, mask in masks.items() if name not in images]:
            notes.append(f"{len(extra)} masks in {folder} have no image and are left out ({few(extra)})")
    notes += [
        f"{folder} is left out, for it has no {TABLE}; copy that of another split there"
        for name, folder in subfolders(root).items()
        if tables and root not in tables and folder not in tables and split_name(name) in ("train", "val", "test")
    ]
    if not any(splits.values()):
        raise UserError(f"{root} holds no images with masks as Roboflow exports them; expected {LAYOUT}")
    folder, names = next(iter(tables.items()))
    try:
        classes = ClassTable.of([names[value] for value in sorted(names)])
    except UserError as error:
        raise UserError(f"{folder / TABLE}: {error}") from None
    return Dataset("roboflow", root, classes, splits, tuple(notes), tuple(problems))


def _folders(root: Path) -> dict[str, Path]:
    """The folders that have a table of classes, by their split; `root` itself is train where it has one."""
    folders = {split_name(name): folder for name, folder in subfolders(root).items()}
    found = {split: folder for split, folder in sorted(folders.items()) if os.path.isfile(folder / TABLE)}
    return found or ({"train": root} if os.path.isfile(root / TABLE) else {})


def _names(path: Path) -> dict[int, str]:
    """Class names by their value in the masks."""
    rows = [[field.strip() for field in row] for row in csv.reader(read_text(path).splitlines()) if any(row)]
    if not rows or [field.lower() for field in rows[0]] != ["pixel value", "class"]:
        raise UserError(f"{path} does not begin with 'Pixel Value, Class'; export the data as semantic PNG masks")
    names: dict[int, str] = {}
    for row in rows[1:]:
        if len(row) != 2 or not row[0].isdecimal() or not 0 <= int(row[0]) <= 255 or not row[1]:
            raise UserError(f"{path} has the row {','.join(row)!r}; write a value of 0 to 255 and a name, as in 1, cat")
        if int(row[0]) in names:
            raise UserError(f"{path} names the value {row[0]} twice; remove one of the rows")
        names[int(row[0])] = row[1]
    return names
