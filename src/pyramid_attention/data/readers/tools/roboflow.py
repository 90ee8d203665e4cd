"""Roboflow's export "Semantic Segmentation Masks": grey PNG masks beside the images.

    train/_classes.csv      Pixel Value, Class: the id on disk and the name of each class
    train/a.jpg  train/a_mask.png  …        valid/  …       test/  …

The classes are those of `_classes.csv` in the order of their values; 255 is void unless it is named.

Format: "Semantic Segmentation Masks" of https://roboflow.com/formats.
"""

from __future__ import annotations

from pathlib import Path

from ....classes import IGNORE, ClassTable
from ....errors import UserError
from ...pairing import UNSPLIT, Report, match_layout, with_ids
from ...samples import Dataset, FileSample, id_lookup
from ...small_files import read_table
from ...split_names import SPLITS, split_name
from ...tree import Tree

LAYOUT = "train/_classes.csv with train/a.jpg and train/a_mask.png, valid/ and test/ alike"
TABLE = "_classes.csv"
ENDING = "_mask.png"


def detect(tree: Tree) -> bool:
    """Whether a folder has the table of classes and a mask; exports for classification have such a table too."""
    return any(file.endswith(ENDING) for folder in _folders(tree).values() for file in tree.below(folder))


def read(tree: Tree) -> Dataset:
    """Read every split found; no image is opened."""
    splits: dict[str, list[FileSample]] = {}
    report = Report()
    tables: dict[Path, dict[int, str]] = {}
    folders = _folders(tree)
    for split, folder in folders.items():
        table = tree.path(folder) / TABLE
        tables[table] = names = _names(table)
        first, known = next(iter(tables.items()))
        if names != known:
            report.problems.append(f"{table} differs from {first}; export all splits at once")
        start = f"{folder}/" if folder else ""
        pairs = match_layout(tree, f"{start}{{id}}.*", f"{start}{{id}}{ENDING}", report)
        splits[split] = with_ids(pairs, id_lookup(sorted(names), [IGNORE])).get(UNSPLIT, [])
    report.notes += [
        f"{tree.path(folder)} is left out, for it has no {TABLE}; copy that of another split there"
        for name, folder in tree.subfolders().items()
        if folders and "" not in folders.values() and folder not in folders.values() and split_name(name) in SPLITS
    ]
    path, names = next(iter(tables.items()), (tree.root, {0: ""}))
    classes = ClassTable.of([names[i] for i in sorted(names)], source=path)
    return report.dataset("roboflow", tree, classes, splits, LAYOUT)


def _folders(tree: Tree) -> dict[str, str]:
    """The folders that have a table of classes, by their split; the root itself is train where it has one."""
    folders = {split_name(name): folder for name, folder in tree.subfolders().items()}
    found = {split: folder for split, folder in sorted(folders.items()) if tree.has(f"{folder}/{TABLE}")}
    return found or ({"train": ""} if tree.has(TABLE) else {})


def _names(path: Path) -> dict[int, str]:
    """Class names by their value in the masks."""
    headings, rows = read_table(path)
    if headings != ["pixel value", "class"]:
        raise UserError(f"{path} does not begin with 'Pixel Value, Class'; export the data as semantic PNG masks")
    names: dict[int, str] = {}
    for row in rows:
        if len(row) != 2 or not row[0].isdecimal() or not 0 <= int(row[0]) <= 255 or not row[1]:
            raise UserError(f"{path} has the row {','.join(row)!r}; write a value of 0 to 255 and a name, as in 1, cat")
        if int(row[0]) in names:
            raise UserError(f"{path} names the value {row[0]} twice; remove one of the rows")
        names[int(row[0])] = row[1]
    return names
