"""Supervisely's projects: a JSON file an image, with polygons, rectangles and painted bitmaps.

    meta.json                       the classes, in their order: {"classes": [{"title": "cat", "color": "#80FF00"}, …]}
    DATASET/img/a.jpg               each data set of a project is a split where it has a split's name, else train
    DATASET/ann/a.jpg.json          or a.json

Class 0 is the background; later objects are drawn over earlier ones. Lines, points and cuboids are left out.

Format: https://docs.supervisely.com/data-organization/00_ann_format_navi
"""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from typing import Any

from ....errors import UserError
from ...annotated import Annotated, Annotations, Named
from ...outlines import Shape, Stamp, as_points, box, declared_size
from ...samples import Dataset
from ...small_files import read_json_object
from ...split_names import SPLITS, split_name
from ...tree import Tree, stem

LAYOUT = "meta.json with DATASET/img/a.jpg and DATASET/ann/a.jpg.json"


def detect(tree: Tree) -> bool:
    """Whether there is a meta.json, and a folder ann with JSON files beside a folder img."""
    return tree.has("meta.json") and bool(_folders(tree))


def _folders(tree: Tree) -> list[str]:
    """The folders that hold img and ann, with "/" at their ends."""
    found = [folder.removesuffix("img") for folder in tree.folders if f"/{folder}".endswith("/img")]
    return [folder for folder in found if tree.below(f"{folder}ann", {".json"})]


def read(tree: Tree) -> Dataset:
    """Read every annotation file; no image is opened."""
    meta = read_json_object(tree.path("meta.json"))
    classes = meta.get("classes")
    if not isinstance(classes, list) or not all(isinstance(entry, dict) and "title" in entry for entry in classes):
        raise UserError(f"{tree.path('meta.json')} has no list of classes with titles; export the project again")
    found = Annotations()
    splits: dict[str, list[Annotated]] = {}
    left_out: Counter[str] = Counter()
    for folder in _folders(tree):
        name = folder.strip("/").rpartition("/")[2]
        split = split_name(name) if split_name(name) in SPLITS else "train"
        images = tree.images(f"{folder}img")
        bare = []
        for image in images:
            start = len(folder) + len("img/")
            file = next((f for s in (image, stem(image)) if tree.has(f := f"{folder}ann/{s[start:]}.json")), None)
            if file is None:
                bare.append(image)
                continue
            title = stem(image[start:]) if split != "train" or not name else f"{name}/{stem(image[start:])}"
            try:
                one = _annotated(tree, title, image, file, found, left_out)
            except UserError as error:
                found.problems.append(str(error))
            else:
                splits.setdefault(split, []).append(one)
        found.left_out(bare, len(images), f"in {tree.path(folder)} have no annotation")
    found.notes += [f"{count} objects of the type {kind} are left out" for kind, count in sorted(left_out.items())]
    declared = {str(entry["title"]): str(entry["title"]) for entry in classes}
    return found.finish("supervisely", tree, splits, declared, str(tree.path("meta.json")), LAYOUT)


def _annotated(tree: Tree, name: str, image: str, file: str, found: Annotations, left_out: Counter[str]) -> Annotated:
    data = read_json_object(tree.path(file))
    said = data.get("size")
    size = declared_size(said.get("height"), said.get("width")) if isinstance(said, dict) else None
    regions = []
    for number, entry in enumerate(data.get("objects") or ()):
        try:
            region = _region(entry)
        except (ValueError, KeyError, TypeError) as error:
            reason = error if type(error) is ValueError else f"cannot be understood ({error!r})"
            found.problems.append(f"{tree.path(file)}: object {number} {reason}; draw it again or remove it")
            continue
        if region is None:
            left_out[str(entry.get("geometryType"))] += 1
        else:
            regions.append(Named(str(entry["classTitle"]), region))
            if size is not None and isinstance(region, Shape):
                found.overhang.see(name, box(region.points), size[1], size[0])
    return Annotated(name, tree.path(image), tree.path(file), size, regions)


def _region(entry: dict[str, Any]) -> Shape | Stamp | None:
    """A region; None for a kind that covers no area; a `ValueError` says what is wrong with it."""
    kind = entry["geometryType"]
    if kind == "bitmap":
        left, top = (int(part) for part in entry["bitmap"]["origin"])
        try:
            png = zlib.decompress(base64.b64decode(entry["bitmap"]["data"]))
        except (ValueError, zlib.error) as error:
            raise ValueError(f"has a bitmap that is damaged ({error})") from None
        return Stamp(0, left, top, png)
    if kind not in ("polygon", "rectangle"):
        return None
    points = as_points(entry["points"]["exterior"], 3 if kind == "polygon" else 2)
    if kind == "rectangle":
        return Shape(0, points, "rectangle")
    return Shape(0, points, holes=tuple(as_points(hole) for hole in entry["points"].get("interior") or ()))
