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
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....errors import UserError, require
from ...assembly import assemble
from ...class_lists import find_class_lists
from ...families import role
from ...mask_survey import Masks, reader_of
from ...pairing import MASK_SUFFIXES, Pair, Report
from ...parquet import Cell, CellSample, cells_of, has_masks
from ...reading import FOUND
from ...samples import Dataset
from ...settings import read_settings
from ...small_files import read_table, read_text
from ...split_names import SPLITS, WORD, split_name
from ...tree import Tree, stem, suffix_of

LAYOUT = "metadata.jsonl with file_name and mask beside the images, or Parquet files with columns of images and masks"
METADATA = ("metadata.jsonl", "metadata.csv")


def detect(tree: Tree) -> bool:
    """Whether metadata names masks, or a Parquet file has two columns of images."""
    return bool(_metadata(tree)) or any(has_masks(tree.path(file)) for file in _parquet(tree)[:1])


def read(tree: Tree) -> Dataset:
    """Read metadata or Parquet files; masks are decoded to find what they mean."""
    report = Report()
    settings = read_settings(tree.path("dataset.yaml"))
    lists = find_class_lists(tree, "")
    if metadata := _metadata(tree):
        splits: dict[str, list[Pair]] = {}
        for file, rows in metadata.items():
            folder = file.rpartition("/")[0]
            split = split_name(folder.rpartition("/")[2])
            pairs = _pairs(tree, f"{folder}/" if folder else "", file, rows, report)
            splits.setdefault(split if split in SPLITS else "train", []).extend(pairs)
        report.refuse_empty(tree, splits, LAYOUT)
        return replace(assemble("huggingface", tree.root, splits, FOUND, settings, lists, report), reading=FOUND)
    require("reading Parquet files", "pyarrow")
    cells: dict[str, list[tuple[Cell, Cell]]] = {}
    for name in _parquet(tree):
        said = WORD.search(name)
        cells.setdefault(split_name(said[0]) if said is not None else "train", []).extend(cells_of(tree.path(name)))
    report.refuse_empty(tree, cells, LAYOUT)
    masks = Masks(tree.root, [mask for of in cells.values() for _, mask in of], Cell.values)
    meaning = masks.find(lists, void=settings.void)
    report.notes += masks.notes
    meant = reader_of(meaning)(Pair("", tree.root, tree.root), tree.root, "")
    samples = {split: [CellSample(mask.name, image, mask, meant) for image, mask in of] for split, of in cells.items()}
    return report.dataset("huggingface", tree, meaning.classes, samples, LAYOUT)


def _parquet(tree: Tree) -> list[str]:
    return tree.below("", {".parquet"})


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
    column = _mask_column(rows[0]) or ""
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
