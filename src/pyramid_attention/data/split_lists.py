"""Lists of a split: train.txt, val.txt, …, each line the name of one image."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ..errors import UserError
from ..images import IMAGE_SUFFIXES
from .pairing import Pair, Report
from .small_files import read_lines, read_table
from .split_names import SPLITS, by_split, split_name
from .tree import Tree, few, suffix_of

_FILE = re.compile(rf"(.+?({'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))}))(\s|$)", re.IGNORECASE)
"""The first file of a line; its name may have blanks."""
TABLE_HEADINGS = ("split", "set", "subset", "partition", "phase")
_LIST = re.compile(r"(.+?)[_-]?(?:ids?|lists?|set|files|images|split)?", re.IGNORECASE)


def read_names(path: Path) -> list[str]:
    """The images that a list names, each once: a stem, a file name, or the paths of an image and its mask.

    Raises:
        UserError: see `read_lines`.
    """
    names = []
    for line in read_lines(path):
        line = line.strip('"')
        first = _FILE.match(line)
        names.append(line if first is None else os.path.splitext(os.path.basename(first[1]))[0])
    return list(dict.fromkeys(names))


def find_lists(tree: Tree, folder: str = "") -> dict[str, Path]:
    """The lists train.txt, val.txt and test.txt (or their other names) directly in a folder, by split.

    Raises:
        UserError: two lists are of one split.
    """
    named = []
    for name in tree.names(folder):
        if suffix_of(name) == ".txt" and (found := _LIST.fullmatch(os.path.splitext(name)[0])) is not None:
            named.append((found[1], name))
    lists = by_split(tree.path(folder), [(n, file) for n, file in named if split_name(n) in (*SPLITS, "trainval")])
    return {split: tree.path(folder) / name for split, name in lists.items()}


def lists_below(tree: Tree, folder: str) -> dict[str, Path]:
    """All lists in a folder and below, by split; of two of one split the one with the other name keeps that name."""
    found = {file[len(folder) + 1 : -4]: tree.path(file) for file in tree.below(folder, {".txt"})}
    lists: dict[str, Path] = {}
    for name, path in found.items():
        split = split_name(name)
        lists[name if split in lists or (split != name and split in found) else split] = path
    return lists


def name_in(line: str, names: Mapping[str, object]) -> str | None:
    """The one of `names` (paths without suffix) that a line means; None where it means none.

    It may have a suffix, further folders before it, and further fields behind it: "a", "a.jpg", "x/a",
    "/data/images/x/a.jpg" and "a 1 2" mean "x/a" or, where there is no such, "a".
    """
    for text in dict.fromkeys((line, *re.split(r"[\s,;]+", line)[:1])):
        path = PurePosixPath(text.strip('"').replace("\\", "/"))
        for start in range(len(path.parts)):
            inner = PurePosixPath(*path.parts[start:])
            for name in (str(inner), str(inner.with_suffix("")) if suffix_of(inner.name) in IMAGE_SUFFIXES else ""):
                if name in names:
                    return name
    return None


def split_by_lists(pairs: Iterable[Pair], lists: Mapping[str, Path], report: Report) -> dict[str, list[Pair]]:
    """Sort pairs into the splits whose lists name them; what lists and pairs do not share is left out and noted.

    Args:
        pairs: of images in no split.
        lists: a file for each split.

    Returns:
        the pairs of each split, sorted by name.

    Raises:
        UserError: a list cannot be read, or no line of one names an image.
    """
    by_name = {pair.name: pair for pair in pairs}
    by_stem = {pair.image.stem: pair.name for pair in by_name.values()}
    named: dict[str, set[str]] = {}
    for split, path in lists.items():
        lines = list(dict.fromkeys(read_lines(path)))
        found = {line: name_in(line, by_name) or by_stem.get(name_in(line, by_stem) or "") for line in lines}
        named[split] = {name for name in found.values() if name is not None}
        lost = [line for line, name in found.items() if name is None]
        if lost and not named[split]:
            raise UserError(
                f"no line of {path} names an image with a mask ({few(lost)}); write the stem of one a"
                f" line, as {next(iter(by_name), 'a')}"
            )
        if lost:
            report.notes.append(
                f"{len(lost)} of {len(lines)} lines of {path} name no image with a mask and are left out ({few(lost)})"
            )
    for first, second in itertools.combinations(lists, 2):
        if both := sorted(named[first] & named[second]):
            report.problems.append(_in_both(both, lists[first], lists[second]))
    if rest := sorted(by_name.keys() - set[str]().union(*named.values())):
        files = ", ".join(path.name for path in lists.values())
        report.notes.append(f"{len(rest)} images are in none of {files} and are left out ({few(rest)})")
    return {split: [by_name[name] for name in sorted(found)] for split, found in named.items()}


def split_by_table(tree: Tree, pairs: Iterable[Pair], report: Report) -> dict[str, list[Pair]]:
    """Sort pairs into the splits that a CSV file in the folder gives them; none where there is no such file.

    It has a column that names images and a column called split, set, subset, partition or phase.
    """
    by_name = {pair.name: pair for pair in pairs}
    names = dict.fromkeys(by_name) | {pair.image.stem: pair.name for pair in by_name.values()}
    for file in tree.names():
        if suffix_of(file) != ".csv":
            continue
        headings, rows = read_table(tree.path(file))
        column = next((place for place, heading in enumerate(headings) if heading in TABLE_HEADINGS), None)
        rows = [row for row in rows if len(row) == len(headings)]
        if column is None or not {split_name(row[column]) for row in rows} <= {*SPLITS, "trainval"}:
            continue
        for place in range(len(headings)):
            found = [(split_name(row[column]), name_in(row[place], names)) for row in rows if row[place]]
            splits: dict[str, list[Pair]] = {}
            for split, name in found:
                if name is not None and (pair := by_name.get(names[name] or name)) is not None:
                    splits.setdefault(split, []).append(pair)
            if place != column and splits:
                report.left_out(
                    sorted(by_name.keys() - {p.name for of in splits.values() for p in of}),
                    len(by_name),
                    f"are not in {tree.path(file)}",
                )
                return {split: sorted(splits[split], key=lambda pair: pair.name) for split in sorted(splits)}
    return {}


def _in_both(names: Sequence[str], first: Path, second: Path) -> str:
    what = "image is" if len(names) == 1 else "images are"
    return f"{len(names)} {what} in {first} and in {second} ({few(names)}); remove each from one of them"
