"""COCO's annotation files: which split each is of, what it declares, and where its images are.

What the readers of instance (`coco`) and of panoptic annotations (`coco_panoptic`) share.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ...errors import UserError
from .disk import files_below, is_image, left_out, listing, read_json, split_name, stem
from .polygons import declared_size

LOOSE = ("_annotations.coco.json", "annotations.json")
"""How exports call the file of a whole folder."""


def annotation_files(root: Path, kind: str) -> dict[str, tuple[str, Path]]:
    """By split: what the file is named for ("train2017", "valid", "default") and its path.

    Raises:
        UserError: a folder cannot be listed, or two files are of one split.
    """
    listed: list[tuple[str, Path]] = []
    with listing():
        top = sorted(os.listdir(root))
        folders = [root / name for name in top if os.path.isdir(root / name)]
        for folder in [root, root / "annotations"]:
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                if match := re.fullmatch(rf"{kind}_(.+)\.json", name):
                    listed.append((match[1], folder / name))
    if kind == "instances" and not listed:
        listed = [(f.name, f / LOOSE[0]) for f in folders if os.path.isfile(f / LOOSE[0])]
        listed += [("default", root / name) for name in LOOSE if name in top and not listed]
    files: dict[str, tuple[str, Path]] = {}
    for tag, path in listed:
        split = split_name(re.sub(r"_?(19|20)\d\d$", "", tag))
        if split in files:
            raise UserError(f"{files[split][1]} and {path} are both of the split '{split}'; move one of them away")
        files[split] = tag, path
    return files


def read_tables(path: Path) -> dict[str, list[Any]]:
    """The lists of images, annotations and categories of an annotation file.

    Raises:
        UserError: the file is missing or no JSON, or one of the lists is.
    """
    data = read_json(path)
    for table in ("images", "annotations", "categories"):
        if not isinstance(data.get(table), list) or not all(isinstance(entry, dict) for entry in data[table]):
            raise UserError(f"{path} has no list '{table}' as COCO's annotation files have; export it again as COCO")
    return data


class Image(NamedTuple):
    """An entry of `images` whose file is on disk; its size (height, width) is None where the entry does not tell."""

    name: str
    image: Path
    size: tuple[int, int] | None


@dataclass
class Findings:
    """What is gathered over the files of all splits; `broken` are those of the problems that are whole files."""

    categories: dict[int, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def tables(self, path: Path) -> dict[str, list[Any]] | None:
        """What `read_tables` reads; None where the file is broken, so that those of other splits are looked at too."""
        try:
            return read_tables(path)
        except UserError as error:
            self.broken.append(str(error))
            self.problems.append(str(error))
            return None

    def declare(self, path: Path, entries: list[dict[str, Any]]) -> None:
        """Take in the categories of a file."""
        for entry in entries:
            key, name = entry.get("id"), entry.get("name")
            if type(key) is not int or not isinstance(name, str):
                self.problems.append(f"{path}: a category has the id {key!r} and the name {name!r}; give it both")
            elif self.categories.setdefault(key, entry)["name"] != name:
                self.problems.append(
                    f"{path}: category {key} is called both '{self.categories[key]['name']}' and '{name}'; give each"
                    " category one id in the files of all splits"
                )

    def classes(self, used: set[int]) -> dict[int, str]:
        """Names by id, in the order of the ids; without Roboflow's entry that only heads the others (of no use)."""
        heads = {str(entry.get("supercategory")) for entry in self.categories.values()}
        order = sorted(self.categories)
        return {
            key: self.categories[key]["name"]
            for key in order
            if key in used
            or self.categories[key]["name"] not in heads
            or self.categories[key].get("supercategory") != "none"
        }

    def images(self, root: Path, split: str, tag: str, path: Path, entries: list[dict[str, Any]]) -> dict[Any, Image]:
        """The images of a file that are on disk, by their id."""
        names: dict[Any, str] = {}
        sizes: dict[Any, tuple[int, int] | None] = {}
        for entry in entries:
            key, name = entry.get("id"), entry.get("file_name")
            if not isinstance(key, int | str) or not isinstance(name, str) or key in names:
                self.problems.append(
                    f"{path}: an image has the id {key!r} and the file_name {name!r}; give each a file_name and an id"
                    " of its own"
                )
                continue
            names[key] = str(PurePosixPath(name.replace("\\", "/")))
            sizes[key] = declared_size(entry.get("height"), entry.get("width"))
        folder, on_disk = _folder(root, split, tag, path, list(names.values()))
        images: dict[Any, Image] = {}
        takers: dict[str, Any] = {}
        missing = []
        for key, name in names.items():
            file = name if name in on_disk else name.rpartition("/")[2]
            if file not in on_disk:
                missing.append(name)
            elif stem(file) in takers:
                self.problems.append(
                    f"{path}: the images {takers[stem(file)]!r} and {key!r} are both {folder / file}, two masks for one"
                    " image; join their annotations under one id"
                )
            else:
                takers[stem(file)] = key
                images[key] = Image(stem(file), folder / file, sizes[key])
        self.notes += left_out(missing, len(names), f"that {path} lists are not in {folder}")
        extra = len([file for file in on_disk if is_image(file) and stem(file) not in takers])
        if extra and folder.name == tag:
            self.notes.append(f"{extra} images in {folder} are not listed in {path} and are left out")
        return images


def _folder(root: Path, split: str, tag: str, path: Path, names: list[str]) -> tuple[Path, set[str]]:
    """The folder that holds images of a file, and what is in it; the likeliest one where none does."""
    places = [root / tag, root / "images" / tag, root / "images" / split, root / "images", path.parent, root]
    for place in places:
        if os.path.isdir(place):
            files = set(files_below(place))
            if any(name in files or name.rpartition("/")[2] in files for name in names):
                return place, files
    return places[0], set()
