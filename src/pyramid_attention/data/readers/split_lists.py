"""Splits by their names, and lists of them: train.txt, val.txt, …, each line the name of one image."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ...errors import UserError
from .disk import SPLITS, few, is_image, read_lines, split_name
from .listing import list_files
from .pairs import Pair, file_names


def by_split(where: Path, named: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Folders or lists in `where`, each with its name, by the split that it is called after.

    Raises:
        UserError: two are of one split.
    """
    found: dict[str, Path] = {}
    for name, path in named:
        split = split_name(name)
        if split in found:
            raise UserError(f"{where} holds {found[split].name} and {path.name}, both the split '{split}'; join them")
        found[split] = path
    return found


def find_lists(root: Path) -> dict[str, Path]:
    """The lists train.txt, val.txt and test.txt (or their other names) directly in `root`, by split.

    Raises:
        UserError: two lists are of one split.
    """
    lists = [(os.path.splitext(name)[0], root / name) for name in file_names(root) if name.lower().endswith(".txt")]
    return by_split(root, [(name, path) for name, path in lists if split_name(name) in SPLITS])


def lists_below(folder: Path) -> dict[str, Path]:
    """All lists in a folder and below, by split; of two of one split the one with the other name keeps that name.

    Raises:
        UserError: the folder cannot be listed.
    """
    found = list_files(folder, suffixes={".txt"}).files
    lists: dict[str, Path] = {}
    for name, path in found.items():
        split = split_name(name)
        lists[name if split in lists or (split != name and split in found) else split] = path
    return lists


def name_in(line: str, names: Mapping[str, object]) -> str | None:
    """The one of `names` (paths without suffix) that a line means, which may have a suffix and further folders before
    it: "a", "a.jpg", "x/a" and "/data/images/x/a.jpg" mean "x/a" or, where there is no such, "a"."""
    path = PurePosixPath(line.replace("\\", "/"))
    for start in range(len(path.parts)):
        inner = PurePosixPath(*path.parts[start:])
        for name in (str(inner), str(inner.with_suffix("")) if is_image(inner.name) else ""):
            if name in names:
                return name
    return None


def split_by_lists(
    pairs: Iterable[Pair], lists: Mapping[str, Path]
) -> tuple[dict[str, list[Pair]], list[str], list[str]]:
    """Sort pairs into the splits whose lists name them.

    Args:
        pairs: of images in no split, sorted by name.
        lists: a file for each split.

    Returns:
        the pairs of each split, sorted by name; notes on lines and images left out; problems: images that are
        in two lists.

    Raises:
        UserError: a list cannot be read, or no line of one names an image.
    """
    by_name = {pair[0]: pair for pair in pairs}
    named: dict[str, set[str]] = {}
    notes, problems = [], []
    for split, path in lists.items():
        lines = list(dict.fromkeys(read_lines(path)))
        found = {line: name_in(line, by_name) for line in lines}
        named[split] = {name for name in found.values() if name is not None}
        lost = [line for line, name in found.items() if name is None]
        if lost and not named[split]:
            raise UserError(
                f"no line of {path} names an image with a mask ({few(lost)}); write the stem of one a"
                f" line, as {next(iter(by_name), 'a')}"
            )
        if lost:
            notes.append(
                f"{len(lost)} of {len(lines)} lines of {path} name no image with a mask and are left out ({few(lost)})"
            )
    for first, second in itertools.combinations(lists, 2):
        if both := sorted(named[first] & named[second]):
            problems.append(_in_both(both, lists[first], lists[second]))
    if rest := sorted(by_name.keys() - set[str]().union(*named.values())):
        files = ", ".join(path.name for path in lists.values())
        notes.append(f"{len(rest)} images are in none of {files} and are left out ({few(rest)})")
    return {split: [by_name[name] for name in sorted(found)] for split, found in named.items()}, notes, problems


def _in_both(names: Sequence[str], first: Path, second: Path) -> str:
    what = "image is" if len(names) == 1 else "images are"
    return f"{len(names)} {what} in {first} and in {second} ({few(names)}); remove each from one of them"
