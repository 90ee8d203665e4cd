"""COCO's panoptic annotations, read as a semantic segmentation: every pixel has the category of its segment.

    annotations/panoptic_train2017.json     panoptic_val2017.json
    annotations/panoptic_train2017/000000000009.png …       (published as a zip there; or beside annotations/)
    train2017/000000000009.jpg …            val2017/…       (or below images/)

A pixel of a PNG has the segment id R + 256 G + 65536 B, and 0 is void; the JSON gives each segment its category. The
classes are all categories, things and stuff, in the order of their ids, names and colours as in the file. Crowds have
their category, as in the official converter (panoptic2semantic_segmentation.py).

Format: https://cocodataset.org/#format-data; code: https://github.com/cocodataset/panopticapi.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....classes import IGNORE, ClassTable
from ....errors import UserError
from ....images import read_image
from ...samples import Dataset, MaskFileSample
from ...tree import Tree, few
from .files import Findings, Image, annotation_files

LAYOUT = "annotations/panoptic_train.json with annotations/panoptic_train/a.png and train/a.jpg"


def detect(tree: Tree) -> bool:
    """Whether an annotation file has one of the names."""
    return bool(annotation_files(tree, "panoptic"))


def read(tree: Tree) -> Dataset:
    """Read every annotation file; no image is opened."""
    found = Findings()
    labels: dict[int, int] = {}  # of each category; complete before the first mask is read
    splits = {
        split: _samples(tree, file, data["annotations"], images, found, labels)
        for split, file, data, images in found.files(tree, "panoptic", LAYOUT)
    }
    found.refuse_empty(tree, splits, LAYOUT)
    order = sorted(found.categories)
    labels |= {category: i for i, category in enumerate(order)}
    colours: list[Any] = [found.categories[category].get("color") for category in order]
    classes = ClassTable.of(
        [found.categories[category]["name"] for category in order],
        colours if all(isinstance(colour, list) and len(colour) == 3 for colour in colours) else None,
        found.source,
    )
    return found.dataset("coco-panoptic", tree, classes, splits, LAYOUT)


def _samples(
    tree: Tree,
    file: str,
    annotations: list[dict[str, Any]],
    images: dict[Any, Image],
    found: Findings,
    labels: dict[int, int],
) -> list[PanopticSample]:
    """The images that have a PNG, and what its segments are."""
    if not images:
        return []  # of which a note tells
    path = tree.path(file)
    place = next((f for f in (file.removesuffix(".json"), path.stem) if f in tree.folders), None)
    if place is None:
        raise UserError(f"{path} has no folder {path.with_suffix('')} of PNGs beside it; unpack {path.stem}.zip there")
    folder = tree.path(place)
    samples: dict[Any, PanopticSample] = {}
    absent = []
    bare = dict(images)
    for entry in annotations:
        image, name, segments = entry.get("image_id"), entry.get("file_name"), entry.get("segments_info")
        on_disk = images.get(image) if isinstance(image, int | str) else None
        if on_disk is None:
            continue  # a note says so
        bare.pop(image, None)
        if not isinstance(name, str) or not isinstance(segments, list):
            found.problems.append(f"{path}: the annotation of {on_disk.name} has no file_name or segments_info; add it")
        elif image in samples:
            found.problems.append(
                f"{path}: {on_disk.image} has two masks, {samples[image].mask.name} and {name}; remove one"
            )
        elif not tree.has(f"{place}/{name}"):
            absent.append(name)
        else:
            entries: list[dict[str, Any]] = [s if isinstance(s, dict) else {} for s in segments]
            ids: list[Any] = [segment.get("id") for segment in entries]
            categories: list[Any] = [segment.get("category_id") for segment in entries]
            if not all(type(i) is int and 0 < i < 1 << 24 for i in ids) or len(set(ids)) < len(ids):
                found.problems.append(
                    f"{path}: the segments of {name} have the ids {few(ids)}; give each its own number"
                )
                continue
            wrong = sorted({repr(c) for c in categories if type(c) is not int or c not in found.categories})
            if wrong:
                found.problems.append(
                    f"{path}: segments of {name} have the category {few(wrong)}, which is not declared; declare it in"
                    " categories"
                )
                continue
            known: dict[int, int] = dict(zip(ids, categories, strict=True))
            samples[image] = PanopticSample(on_disk.name, on_disk.image, folder / name, known, labels)
    found.left_out(absent, len(images), f"have no mask in {folder}")
    found.left_out([on_disk.name for on_disk in bare.values()], len(images), f"have no annotation in {path}")
    return sorted(samples.values(), key=lambda sample: sample.name)


@dataclass(frozen=True, eq=False)
class PanopticSample(MaskFileSample):
    """An image and a PNG of its segments.

    Attributes:
        segments: the category of each segment id of the PNG.
        labels: the label of each category.
    """

    segments: Mapping[int, int]
    labels: Mapping[int, int]

    def read_labels(self) -> NDArray[np.uint8]:
        """See `MaskFileSample`; `IGNORE` where no segment is. Unknown segments are refused."""
        colours = read_image(self.mask)
        ids, place = np.unique(colours.astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], np.int32), return_inverse=True)
        known = {0: IGNORE} | {segment: self.labels[category] for segment, category in self.segments.items()}
        unknown = [i for i in ids.tolist() if i not in known]
        if unknown:
            raise UserError(
                f"{self.mask} holds segments that its JSON does not list: {few(unknown)}; export both again"
            )
        return np.array([known[i] for i in ids.tolist()], dtype=np.uint8)[place].reshape(colours.shape[:2])
