"""Data sets as the `datasets` library of Hugging Face stores them: an image folder with metadata, or Parquet files.

    train/metadata.jsonl    {"file_name": "a.jpg", "mask": "masks/a.png"} a line; or metadata.csv; paths from there
    train/a.jpg …           the folder of a split is its name; at the root all are train
    data/train-00000-of-00002.parquet       columns of images {bytes, path}; one of images, one of masks

Which column holds the masks is told by its name (mask, label, annotation, …), and what masks mean is found by reading
them, as for folders. Parquet needs pyarrow.

Format: https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import UserError, require
from ....images import MaskValues, decode_image, image_size, read_mask_values
from ...class_lists import find_class_lists
from ...families import role
from ...mask_survey import Masks, OneMask, reader_of
from ...pairing import MASK_SUFFIXES, Pair, Report
from ...reading import FOUND
from ...samples import Dataset
from ...small_files import read_table, read_text
from ...split_names import SPLITS, WORD, split_name
from ...tree import Tree, stem, suffix_of
from ..folders.folder import assemble
from ..folders.settings import read_settings

LAYOUT = "metadata.jsonl with file_name and mask beside the images, or Parquet files with columns of images and masks"
METADATA = ("metadata.jsonl", "metadata.csv")


def detect(tree: Tree) -> bool:
    """Whether metadata names masks, or a Parquet file has two columns of images."""
    return bool(_metadata(tree)) or any(_columns(tree.path(file)) for file in _parquet(tree)[:1])


def read(tree: Tree) -> Dataset:
    """Read metadata or Parquet files; masks are decoded to find what they mean.

    Raises:
        UserError: there are neither, no image has a mask, or the masks' values are no classes.
        MissingExtra: pyarrow is needed and not installed.
    """
    tree.refuse_loops()
    report = Report()
    settings = read_settings(tree.path("dataset.yaml"))
    if metadata := _metadata(tree):
        splits: dict[str, list[Pair]] = {}
        for file, rows in metadata.items():
            folder = file.rpartition("/")[0]
            split = split_name(folder.rpartition("/")[2])
            pairs = _pairs(tree, f"{folder}/" if folder else "", file, rows, report)
            splits.setdefault(split if split in SPLITS else "train", []).extend(pairs)
        if not any(splits.values()):
            raise UserError(f"{tree.root} names no image with a mask that is there{report.first()}")
        lists = find_class_lists(tree, "")
        return replace(assemble("huggingface", tree.root, splits, FOUND, settings, lists, report), reading=FOUND)
    if not _parquet(tree):
        raise UserError(f"{tree.root} is no data set of Hugging Face; expected {LAYOUT}")
    require("reading Parquet files", "pyarrow")
    rows_of = {split: cells for split, cells in _cells(tree).items() if cells}
    every = [mask for cells in rows_of.values() for _, mask in cells]
    if not every:
        raise UserError(f"{tree.root}: no Parquet file has a column of images and one of masks; expected {LAYOUT}")
    masks = Masks(tree.root, every, read=lambda cell: cell.values())
    meaning = masks.find(find_class_lists(tree, ""), void=settings.void)
    report.notes += masks.notes
    meant = reader_of(meaning)(Pair("", Path(), Path()), Path(), "")
    samples = {
        split: [CellSample(mask.name, image, mask, meant) for image, mask in cells] for split, cells in rows_of.items()
    }
    return report.dataset("huggingface", tree, meaning.classes, samples)


# Metadata


def _metadata(tree: Tree) -> dict[str, list[dict[str, Any]]]:
    """The rows of each metadata file in which a column names masks."""
    found = {}
    for file in tree.files:
        if file.rpartition("/")[2] in METADATA:
            rows = _rows(tree.path(file))
            if rows and "file_name" in rows[0] and _mask_column(rows[0]) is not None:
                found[file] = rows
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        headings, rows = read_table(path)
        return [dict(zip(headings, row, strict=False)) for row in rows]
    try:
        return [json.loads(line) for line in read_text(path).splitlines() if line.strip()]
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON, a line an image ({error}); correct it") from None


def _mask_column(row: dict[str, Any]) -> str | None:
    names = [name for name, value in row.items() if isinstance(value, str) and suffix_of(value) in MASK_SUFFIXES]
    return next((name for name in names if name != "file_name" and role(name) == "mask"), None)


def _pairs(tree: Tree, folder: str, file: str, rows: Sequence[dict[str, Any]], report: Report) -> list[Pair]:
    column = _mask_column(rows[0])
    pairs, lacking = [], []
    for row in rows:
        image, mask = (f"{folder}{row.get(name) or ''}" for name in ("file_name", column))
        if tree.has(image) and tree.has(mask):
            path = tree.path(mask)
            pairs.append(Pair(stem(image[len(folder) :]), tree.path(image), path, (path,)))
        else:
            lacking.append(row.get("file_name"))
    report.left_out(lacking, len(rows), f"of {tree.path(file)} lack their file or their mask's")
    return sorted(pairs)


# Parquet


@dataclass(frozen=True)
class Cell:
    """An image in a Parquet file: the file, its row group, and the row and column in it."""

    file: Path
    group: int
    row: int
    column: str

    def __str__(self) -> str:
        return f"{self.file} (row {self.row} of group {self.group}, {self.column})"

    @property
    def name(self) -> str:
        """Of the sample."""
        return f"{self.file.stem}-{self.group}-{self.row:06}"

    def content(self) -> bytes:
        """The bytes of the image file."""
        value = _group(self.file, self.group, self.column)[self.row].as_py()
        if not isinstance(value, dict) or not value.get("bytes"):
            raise UserError(f"{self} holds no image; store images with their bytes")
        return bytes(value["bytes"])

    def values(self) -> MaskValues:
        """The values of a mask."""
        return read_mask_values(str(self), self.content())


@lru_cache(maxsize=8)
def _group(file: Path, group: int, column: str) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(file).read_row_group(group, columns=[column])[column]


def _parquet(tree: Tree) -> list[str]:
    return tree.below("", {".parquet"})


def _columns(path: Path) -> tuple[str, str] | None:
    """The columns of images and of masks of a Parquet file; None where it has not both."""
    require("reading Parquet files", "pyarrow")
    import pyarrow.parquet as pq

    try:
        fields = list(pq.read_schema(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no Parquet file or damaged ({error}); download it again") from None
    names = [one.name for one in fields if any(one.type.field(i).name == "bytes" for i in range(one.type.num_fields))]
    masks = [name for name in names if role(name) == "mask"]
    images = [name for name in names if name not in masks and role(name) != "other"]
    return (images[0], masks[0]) if images and masks else None


def _cells(tree: Tree) -> dict[str, list[tuple[Cell, Cell]]]:
    """The cells of images and masks by split, which the names of the files tell."""
    import pyarrow.parquet as pq

    found: dict[str, list[tuple[Cell, Cell]]] = {}
    for name in _parquet(tree):
        path = tree.path(name)
        if (columns := _columns(path)) is None:
            continue
        said = WORD.search(name)
        split = split_name(said[0]) if said is not None else "train"
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            for row in range(metadata.row_group(group).num_rows):
                image, mask = (Cell(path, group, row, column) for column in columns)
                found.setdefault(split, []).append((image, mask))
    return found


@dataclass(frozen=True, eq=False)
class CellSample:
    """An image and its mask in a Parquet file; `meant` knows what the mask's values mean."""

    name: str
    image: Cell
    mask: Cell
    meant: OneMask

    def read_image(self) -> NDArray[np.uint8]:
        """The image, H×W×3 uint8 RGB, upright.

        Raises:
            UserError: it is damaged or no image.
        """
        return decode_image(self.image.content(), str(self.image))

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1, `IGNORE` where void.

        Raises:
            UserError: it is damaged, holds what is no class, or has another size than its image.
        """
        labels = self.meant.translate(self.mask.values())
        size = image_size(str(self.image), self.image.content())
        if labels.shape != size:
            raise UserError(f"{self.mask} is {labels.shape[1]}×{labels.shape[0]} pixels, its image {size[1]}×{size[0]}")
        return labels
