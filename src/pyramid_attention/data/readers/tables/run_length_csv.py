"""Kaggle's tables of run lengths: a row a mask, in the column EncodedPixels.

    train.csv           ImageId,ClassId,EncodedPixels: a row an object or a class; or ImageId_ClassId ("a.jpg_3") in
                        one column; without class all are "object"
    train_images/a.jpg  anywhere below; an id has a suffix or not

Pixels are counted from 1, down the columns; a row without run lengths shows nothing. Class 0 is the background, then
come the classes in their order; images that no row names are left out. Later rows are drawn over earlier ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....classes import ClassTable
from ....errors import UserError
from ...pairing import Report
from ...run_lengths import kaggle_pairs
from ...samples import Dataset, ImageFileSample, size_of
from ...small_files import read_table
from ...tree import Tree, stem

LAYOUT = "train.csv with ImageId,ClassId,EncodedPixels and the images"
RUNS = ("encodedpixels", "encoded_pixels", "rle", "rle_mask", "annotation", "segmentation")
IDS = ("imageid", "image_id", "image", "id", "img", "imageid_classid", "image_label", "filename", "file_name")
CLASSES = ("classid", "class_id", "class", "label", "cell_type", "category")


@dataclass(frozen=True)
class _Columns:
    image: int
    label: int | None
    runs: int


def detect(tree: Tree) -> bool:
    """Whether a table in the folder has columns of images and of run lengths."""
    return _table(tree) is not None


def _table(tree: Tree) -> tuple[Path, _Columns, list[list[str]]] | None:
    """The table, its columns and rows; that of train where there are several."""
    for name in sorted(tree.names(), key=lambda name: ("train" not in name.lower(), name)):
        if not name.lower().endswith(".csv") or "submission" in name.lower():
            continue
        try:
            headings, rows = read_table(tree.path(name))
        except UserError:
            continue
        image, label, runs = (
            next((headings.index(one) for one in known if one in headings), None) for known in (IDS, CLASSES, RUNS)
        )
        if image is None or runs is None:
            continue
        if any(len(row) > runs and re.fullmatch(r"\d+( \d+)+", row[runs]) for row in rows):
            return tree.path(name), _Columns(image, label, runs), rows
    return None


def read(tree: Tree) -> Dataset:
    """Read the table; no image is opened."""
    found = _table(tree)
    if found is None:
        raise UserError(f"{tree.root} holds no table of run lengths; expected {LAYOUT}")
    path, columns, rows = found
    by_name = {one.rpartition("/")[2]: file for file in reversed(tree.images()) for one in (stem(file), file)}
    masks: dict[str, list[tuple[str, str]]] = {}
    absent = set()
    for row in rows:
        image, label = row[columns.image], "object" if columns.label is None else row[columns.label]
        if image not in by_name and columns.label is None and (match := re.fullmatch(r"(.+)_([^_]+)", image)):
            image, label = match[1], match[2]  # the two in one column
        if image not in by_name:
            absent.add(image)
            continue
        masks.setdefault(by_name[image], [])
        if len(row) > columns.runs and row[columns.runs] not in ("", "-1"):
            masks[by_name[image]].append((label, row[columns.runs]))
    report = Report()
    report.left_out(sorted(absent), len(masks) + len(absent), f"that {path} names are not below {tree.root}")
    names = sorted({label for of in masks.values() for label, _ in of}, key=lambda name: (len(name), name))
    labels = {name: number for number, name in enumerate(names, 1)}
    classes = ClassTable.of(["background", *(f"class {name}" if name.isdecimal() else name for name in names)])
    samples = [
        RunLengthSample(stem(file), tree.path(file), path, tuple(of), labels) for file, of in sorted(masks.items())
    ]
    return report.dataset("rle-csv", tree, classes, {"train": samples}, LAYOUT)


@dataclass(frozen=True, eq=False)
class RunLengthSample(ImageFileSample):
    """An image and the rows of a table that give its mask: class and run lengths of each."""

    source: Path
    rows: tuple[tuple[str, str], ...]
    labels: Mapping[str, int]

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8.

        Raises:
            UserError: the image is unreadable, or run lengths are broken or of another size.
        """
        size = size_of(self.image)
        mask = np.zeros(size, np.uint8)
        for name, text in self.rows:
            try:
                mask[kaggle_pairs(text, size)] = self.labels[name]
            except ValueError as error:
                raise UserError(f"{self.source}: a row of {self.image.name} {error}; correct or remove it") from None
        return mask
