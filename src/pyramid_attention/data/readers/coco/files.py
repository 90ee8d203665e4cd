"""COCO's annotation files: which split each is of, what it declares, and where its images are.

What the readers of instance (`coco`) and of panoptic annotations (`coco_panoptic`) share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ....errors import UserError
from ....images import IMAGE_SUFFIXES
from ...outlines import declared_size
from ...pairing import Report
from ...small_files import read_json_object
from ...split_names import split_name
from ...tree import Tree, stem, suffix_of

LOOSE = ("_annotations.coco.json", "annotations.json")
"""How exports call the file of a whole folder."""


def annotation_files(tree: Tree, kind: str) -> dict[str, tuple[str, str]]:
    """By split: what the file is named for ("train2017", "valid", "default") and its path.

    Raises:
        UserError: two files are of one split.
    """
    listed = [
        (match[1], folder + name)
        for folder in ("", "annotations/")
        for name in tree.names(folder[:-1])
        if (match := re.fullmatch(rf"{kind}_(.+)\.json", name))
    ]
    if kind == "instances" and not listed:
        listed = [
            (name, f"{name}/{LOOSE[0]}") for name in tree.folders if "/" not in name and tree.has(f"{name}/{LOOSE[0]}")
        ]
        listed += [("default", name) for name in LOOSE if tree.has(name) and not listed]
    files: dict[str, tuple[str, str]] = {}
    for tag, path in listed:
        split = split_name(re.sub(r"_?(19|20)\d\d$", "", tag))
        if split in files:
            other = tree.path(files[split][1])
            raise UserError(f"{other} and {tree.path(path)} are both of the split '{split}'; move one of them away")
        files[split] = tag, path
    return files


def read_tables(path: Path) -> dict[str, list[Any]]:
    """The lists of images, annotations and categories of an annotation file.

    Raises:
        UserError: the file is missing or no JSON, or one of the lists is.
    """
    data = read_json_object(path)
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
class Findings(Report):
    """What is gathered over the files of all splits; `source` names them, for messages."""

    categories: dict[int, dict[str, Any]] = field(default_factory=dict)
    source: str = ""

    def files(
        self, tree: Tree, kind: str, layout: str
    ) -> Iterator[tuple[str, str, dict[str, list[Any]], dict[Any, Image]]]:
        """Each annotation file that is not broken: its split, its path, what it holds, and its images by id.

        Raises:
            UserError: there is none, or two are of one split.
        """
        files = annotation_files(tree, kind)
        if not files:
            raise UserError(f"{tree.root} holds no annotation file as COCO names it; expected {layout}")
        self.source = f"the categories of {', '.join(str(tree.path(file)) for _, file in files.values())}"
        for split, (tag, file) in files.items():
            try:
                data = read_tables(tree.path(file))
            except UserError as error:  # those of other splits are looked at too
                self.problems.append(str(error))
                continue
            self.declare(tree.path(file), data["categories"])
            yield split, file, data, self.images(tree, split, tag, file, data["images"])

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

    def images(self, tree: Tree, split: str, tag: str, file: str, entries: list[dict[str, Any]]) -> dict[Any, Image]:
        """The images of a file that are on disk, by their id."""
        path = tree.path(file)
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
        place = _folder(tree, split, tag, file, list(names.values()))
        start = len(place) + 1 if place else 0
        on_disk = {found[start:] for found in tree.below(place)}
        images: dict[Any, Image] = {}
        takers: dict[str, Any] = {}
        missing = []
        for key, name in names.items():
            there = name if name in on_disk else name.rpartition("/")[2]
            if there not in on_disk:
                missing.append(name)
            elif stem(there) in takers:
                self.problems.append(
                    f"{path}: the images {takers[stem(there)]!r} and {key!r} are both {tree.path(place) / there}, two"
                    " masks for one image; join their annotations under one id"
                )
            else:
                takers[stem(there)] = key
                images[key] = Image(stem(there), tree.path(place) / there, sizes[key])
        self.left_out(missing, len(names), f"that {path} lists are not in {tree.path(place)}")
        extra = len([there for there in on_disk if suffix_of(there) in IMAGE_SUFFIXES and stem(there) not in takers])
        if extra and place.rpartition("/")[2] == tag:
            self.notes.append(f"{extra} images in {tree.path(place)} are not listed in {path} and are left out")
        return images


def _folder(tree: Tree, split: str, tag: str, path: str, names: list[str]) -> str:
    """The folder that holds images of a file; the likeliest one where none does."""
    places = [tag, f"images/{tag}", f"images/{split}", "images", path.rpartition("/")[0], ""]
    for place in places:
        before = f"{place}/" if place else ""
        if any(tree.has(before + name) or tree.has(before + name.rpartition("/")[2]) for name in names):
            return place
    return places[0]
