"""COCO's instance annotations: objects outlined by polygons or run lengths, many images in one JSON file.

    annotations/instances_train2017.json    instances_val2017.json      the data set itself
    train2017/000000000009.jpg …            val2017/…                   (or below images/)

    train/_annotations.coco.json            train/a.jpg …               valid/, test/: as Roboflow exports it
    annotations/instances_default.json      images/a.jpg …              as CVAT exports it; or annotations.json

Class 0 is the background, then come the categories in the order of their ids, named as in the file. Every pixel has the
category of the smallest object there: larger ones (by pixels) are drawn first, so that a plate stays visible on its
table; of equal ones the later in the file. Regions of a crowd (`iscrowd`) are void where no single object is drawn over
them. Which pixels are inside an outline is decided by pycocotools, the official code.

Format: https://cocodataset.org/#format-data; code: https://github.com/cocodataset/cocoapi (PythonAPI/pycocotools).
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....classes import IGNORE, ClassTable
from ....errors import UserError, require
from ....images import MAX_PIXELS
from ...outlines import FARTHEST, Overhang, as_points, background_first, check_declared_size, within_reach
from ...run_lengths import coco_counts
from ...samples import Dataset, ImageFileSample, size_of
from ...tree import Tree, few
from .files import Findings, Image, annotation_files

LAYOUT = "annotations/instances_train.json with train/a.jpg, or train/_annotations.coco.json with train/a.jpg"


def detect(tree: Tree) -> bool:
    """Whether an annotation file has one of the names."""
    return bool(annotation_files(tree, "instances"))


def read(tree: Tree) -> Dataset:
    """Read every annotation file; no image is opened."""
    require("reading COCO's outlines", "pycocotools")
    found = Findings()
    overhang = Overhang()
    labels: dict[int, int] = {}  # of each category; complete before the first mask is read
    splits = {}
    used: set[int] = set()
    for split, file, data, images in found.files(tree, "instances", LAYOUT):
        path = tree.path(file)
        outlines = _outlines(path, data, images, found, overhang)
        used |= {outline.category for listed in outlines.values() for outline in listed}
        splits[split] = [
            CocoSample(on_disk.name, on_disk.image, path, on_disk.size, tuple(outlines[i]), labels)
            for i, on_disk in sorted(images.items(), key=lambda item: item[1].name)
        ]
        bare = [on_disk.name for i, on_disk in images.items() if not outlines[i]]
        if bare:
            found.notes.append(f"{len(bare)} images of {path} show no object and are all background ({few(bare)})")
    names, by_category = background_first(found.classes(used))
    labels |= by_category
    if annotation_files(tree, "panoptic"):
        found.notes.append(f"{tree.root} has panoptic masks too, which --format coco-panoptic reads")
    found.notes += overhang.notes(tree.root)
    return found.dataset("coco", tree, ClassTable.of(names, source=found.source), splits, LAYOUT)


class Outline(NamedTuple):
    """One annotation: polygons as rows x1 y1 x2 y2 …, or compressed run lengths as pycocotools has them."""

    category: int
    crowd: bool
    parts: list[array[float]] | dict[str, Any]


def _outlines(
    path: Path, data: dict[str, list[Any]], images: dict[Any, Image], found: Findings, overhang: Overhang
) -> dict[Any, list[Outline]]:
    """The outlines of each image, in the order of the file."""
    outlines: dict[Any, list[Outline]] = defaultdict(list)
    listed = {entry["id"] for entry in data["images"] if isinstance(entry.get("id"), int | str)}
    homeless, bare, undeclared = [], [], defaultdict(list)
    for entry in data["annotations"]:
        key, image, category = entry.get("id"), entry.get("image_id"), entry.get("category_id")
        if not isinstance(image, int | str) or image not in listed:
            homeless.append(key)
            continue
        on_disk = images.get(image)
        if on_disk is None:
            continue  # a note says so
        if type(category) is not int or category not in found.categories:
            undeclared[repr(category)].append(key)
        elif not entry.get("segmentation"):
            bare.append(key)
        else:
            try:
                parts = _parts(entry["segmentation"], on_disk, overhang)
            except ValueError as error:
                found.problems.append(f"{path}: annotation {key} of {on_disk.name} {error}; draw it again or remove it")
            else:
                outlines[image].append(Outline(category, bool(entry.get("iscrowd")), parts))
    for category, keys in undeclared.items():
        found.problems.append(
            f"{path}: {len(keys)} annotations ({few(keys)}) have the category {category}, which is not declared;"
            " declare it in categories or remove them"
        )
    if homeless:
        found.problems.append(
            f"{path}: {len(homeless)} annotations ({few(homeless)}) belong to images that are not listed; add the"
            " images or remove them"
        )
    if bare:
        found.problems.append(
            f"{path}: {len(bare)} annotations ({few(bare)}) have no outline, at most a box, and would be taken for"
            " background; outline them or remove them"
        )
    return outlines


def _parts(segmentation: Any, on_disk: Image, overhang: Overhang) -> list[array[float]] | dict[str, Any]:
    """What `Outline` keeps of an annotation's segmentation; a `ValueError` says what is wrong with it."""
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation, on_disk)
    if not isinstance(segmentation, list):
        raise ValueError("has a segmentation that is neither polygons nor run lengths")
    parts = []
    for polygon in segmentation:
        try:  # an `array` is ten times as fast as NumPy here, which counts for the 860,000 outlines of train2017
            row = array("d", polygon if isinstance(polygon, list) else ())
            sound = len(row) >= 6 and len(row) % 2 == 0 and math.isfinite(sum(row))
        except (TypeError, OverflowError):  # no numbers, or one that no float holds
            sound = False
        if not sound:
            row = array("d", as_points(polygon).ravel().tolist())
        columns, rows = row[::2], row[1::2]
        box = min(columns), min(rows), max(columns), max(rows)
        if max(map(abs, box)) > FARTHEST:
            row = array("d", within_reach(as_points(row)).ravel().tolist())
        if on_disk.size is not None:
            overhang.see(on_disk.name, box, on_disk.size[1], on_disk.size[0])
        parts.append(row)
    return parts


def _run_lengths(segmentation: dict[str, Any], on_disk: Image) -> dict[str, Any]:
    """Run lengths, compressed; checked here, for pycocotools fills a mask that they do not cover with anything."""
    from pycocotools import mask as rle

    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(f"has run lengths of the size {size!r}")
    if on_disk.size is not None and tuple(size) != on_disk.size:
        raise ValueError(
            f"has run lengths for {size[1]}×{size[0]} pixels, its image {on_disk.size[1]}×{on_disk.size[0]}"
        )
    runs = coco_counts(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise ValueError("has run lengths that are no counts")
    if sum(runs) != size[0] * size[1]:
        raise ValueError(f"has run lengths of {sum(runs)} pixels in all, its mask {size[0] * size[1]}")
    if sum(runs) > MAX_PIXELS:
        raise ValueError(f"has run lengths of {sum(runs)} pixels, more than an image may have")
    if isinstance(counts, str):
        return {"size": size, "counts": counts.encode()}
    compressed: dict[str, Any] = rle.frPyObjects(segmentation, *size)
    return compressed


@dataclass(frozen=True, eq=False)
class CocoSample(ImageFileSample):
    """An image and the outlines on it.

    Attributes:
        source: the annotation file.
        size: (height, width) for which the outlines were made; None where the file does not tell.
        labels: the label of each category.
    """

    source: Path
    size: tuple[int, int] | None
    outlines: tuple[Outline, ...]
    labels: Mapping[int, int]

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1, `IGNORE` where only a crowd is.

        Raises:
            UserError: the image is unreadable, or of another size than the outlines were made for.
        """
        from pycocotools import mask as rle

        height, width = self.size or size_of(self.image)
        check_declared_size(self.source, (height, width), self.image)
        encoded = [
            parts if isinstance(parts, dict) else rle.merge(rle.frPyObjects(parts, height, width))
            for _, _, parts in self.outlines
        ]
        if any(tuple(one["size"]) != (height, width) for one in encoded):
            raise UserError(f"{self.source} has run lengths of another size than {self.image}; export it again")
        areas = rle.area(encoded) if encoded else []
        labels = np.zeros((height, width), dtype=np.uint8)
        for i in sorted(range(len(encoded)), key=lambda i: (not self.outlines[i].crowd, -int(areas[i]))):
            outline = self.outlines[i]
            labels[rle.decode(encoded[i]) == 1] = IGNORE if outline.crowd else self.labels[outline.category]
        return labels
