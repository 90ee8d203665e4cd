"""Files by name and lists of names: what the readers share whose images and masks are matched by a common stem."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from ...images import IMAGE_SUFFIXES
from .disk import few, files_below, left_out, read_lines
from .pairs import Pair


@dataclass(frozen=True)
class Listing:
    """The files of a folder.

    Attributes:
        files: by relative path without suffix and ending, sorted.
        problems: stems that two files share, one sentence each; the first of the two is in `files`.
    """

    folder: Path
    files: dict[str, Path]
    problems: list[str]


def list_files(folder: Path, ending: str = "", suffixes: Collection[str] = IMAGE_SUFFIXES) -> Listing:
    """The files in `folder` and below whose stem ends in `ending`; none is opened.

    Raises:
        UserError: a folder cannot be listed, or a link leads back to a folder above it.
    """
    files: dict[str, Path] = {}
    problems = []
    for relative in files_below(folder):
        stem, suffix = os.path.splitext(relative)
        if suffix.lower() not in suffixes or not stem.endswith(ending):
            continue
        name = stem.removesuffix(ending)
        if name in files:
            names = f"{files[name].name} and {os.path.basename(relative)}"
            problems.append(f"{folder} holds {names}: one stem, two files, and only one can be meant; remove one")
        else:
            files[name] = folder / relative
    return Listing(folder, files, problems)


_FILE = re.compile(rf"(.+?({'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))}))(\s|$)", re.IGNORECASE)
"""The first file of a line; its name may have blanks."""


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


def match(names: Iterable[str], images: Listing, masks: Listing, source: Path) -> tuple[list[Pair], list[str]]:
    """The images of a split with their masks, in the order of `names`, and notes on what `source` lacks.

    Args:
        source: what names them: a list, or their folder.
    """
    names = list(names)
    absent = [name for name in names if name not in images.files]
    bare = [name for name in names if name in images.files and name not in masks.files]
    notes = [] if names else [f"{source} names no images"]
    notes += left_out(absent, len(names), f"of {source} are not in {images.folder}")
    notes += left_out(bare, len(names), f"of {source} have no mask in {masks.folder}")
    lacking = {*absent, *bare}
    return [(name, images.files[name], masks.files[name]) for name in names if name not in lacking], notes


def match_all(images: Listing, masks: Listing) -> tuple[list[Pair], list[str]]:
    """All images of a folder with their masks, and notes on those of either that lack the other."""
    pairs, notes = match(images.files, images, masks, images.folder)
    alone = [name for name in masks.files if name not in images.files]
    if alone:
        notes.append(
            f"{len(alone)} masks in {masks.folder} have no image in {images.folder} and are left out ({few(alone)})"
        )
    return pairs, notes
