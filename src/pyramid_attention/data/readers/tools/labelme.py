"""labelme's annotations: one JSON file an image.

    a.jpg  a.json  b.jpg  b.json  …  labels.txt         or the same in train/ and val/ (valid/, test/)

A JSON file names its image in `imagePath` (relative to itself), or holds it in `imageData`. Of its shapes polygons
(oriented rectangles too), rectangles and circles are read, later ones over earlier ones; lines, points and masks are
not, and a note tells of them. What no shape covers is background, class 0.

`labels.txt`, optional, has one class name a line, as labelme's own converters want it: the first may be `__ignore__`
(void), the next `_background_`. Without it the classes are the sorted names of all shapes. With it and without, a shape
called `__ignore__` is void, and one called `_background_` or `background` is class 0.

Code: https://github.com/wkentaro/labelme (labelme/utils/shape.py, examples/semantic_segmentation/labelme2voc.py).
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import UserError
from ....images import decode_image
from ...annotated import VOID, Annotated, Annotations, Named, RegionSample, labelled
from ...outlines import Kind, Shape, as_points, box, declared_size, draw
from ...samples import Dataset
from ...small_files import read_json_object, read_lines
from ...split_names import SPLITS, split_name
from ...tree import Tree, few, stem

LAYOUT = "a.jpg with labelme's a.json beside it, alone or in train/ and val/"
KINDS: dict[str | None, Kind] = {
    None: "polygon",  # before version 3 there was nothing else
    "polygon": "polygon",
    "oriented_rectangle": "polygon",
    "rectangle": "rectangle",
    "circle": "circle",
}


LOOKED_INTO = 50
"""JSON files that are opened to see whether they are labelme's."""


def detect(tree: Tree) -> bool:
    """Whether a JSON file in the folder, or in that of a split, begins as labelme's do."""
    files = [
        f for f in _json_files(tree) if "/" not in f or (f.count("/") == 1 and split_name(f.split("/")[0]) in SPLITS)
    ]
    for file in files[:LOOKED_INTO]:
        try:
            with open(tree.path(file), "rb") as opened:
                if b'"shapes"' in opened.read(4096):
                    return True
        except OSError:  # that it cannot be read is said when it is
            continue
    return False


def _json_files(tree: Tree) -> list[str]:
    return tree.below("", {".json"})


def _split(file: str) -> tuple[str, str]:
    """The split of a file, told by its folder, and its path there."""
    head, _, rest = file.partition("/")
    return (split_name(head), rest) if rest and split_name(head) in SPLITS else ("train", file)


def read(tree: Tree) -> Dataset:
    """Read every JSON file; no image is opened."""
    root = tree.root
    found = _Findings(tree)
    splits: dict[str, list[Annotated]] = {}
    taken: dict[tuple[str, str], str] = {}
    for file in _json_files(tree):
        split, name = _split(file)
        if taken.setdefault((split, stem(name)), file) != file:
            first = root / taken[split, stem(name)]
            found.problems.append(f"{first} and {root / file} are both {stem(name)} of {split}; rename one of them")
        elif (one := found.annotated(stem(name), root / file)) is not None:
            splits.setdefault(split, []).append(one)
    extra = [os.path.relpath(path, root) for path in sorted(found.on_disk - set(found.takers))]
    if extra:
        found.notes.append(f"{len(extra)} images in {root} have no JSON file and are left out ({few(extra)})")
    found.say()
    names = tree.path("labels.txt")
    declared = {name: name for name in read_lines(names) if name != VOID} if names.exists() else None
    return found.finish("labelme", tree, splits, declared, str(names), LAYOUT)


class _Findings(Annotations):
    """What is gathered over all JSON files."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.on_disk = {os.path.normpath(tree.path(file)) for file in tree.images()}
        self.beside = {os.path.splitext(path)[0]: path for path in sorted(self.on_disk, reverse=True)}
        self.inside = os.path.join(os.path.normpath(tree.root), "")
        self.takers: dict[str, Path] = {}
        self.foreign: list[str] = []
        self.absent: list[str] = []
        self.passed_over: Counter[str] = Counter()

    def annotated(self, name: str, path: Path) -> Annotated | None:
        """One JSON file; None where it is broken, not labelme's, or has no image."""
        try:
            data = read_json_object(path)
        except UserError as error:
            self.problems.append(str(error))
            return None
        if not isinstance(data.get("shapes"), list):
            self.foreign.append(path.name)
            return None
        image = self._image(path, data)
        if image is None and not data.get("imageData"):
            self.absent.append(path.name)
            return None
        if image is not None and self.takers.setdefault(str(image), path) != path:
            self.problems.append(f"{image} has two masks, {self.takers[str(image)]} and {path}; remove one")
            return None
        size = declared_size(data.get("imageHeight"), data.get("imageWidth"))
        regions = []
        for i, entry in enumerate(data["shapes"]):
            try:
                if (shape := self._shape(entry)) is None:
                    continue
            except ValueError as error:
                self.problems.append(f"{path}: shape {i} {error}; draw it again or remove it")
                continue
            regions.append(Named(entry["label"], shape))
            if size is not None and shape.kind != "circle":
                self.overhang.see(name, box(shape.points), size[1], size[0])
        return Annotated(name, image, path, size, regions)

    def _image(self, path: Path, data: dict[str, Any]) -> Path | None:
        """The image where `imagePath` says, else the one beside the JSON file that has its stem."""
        said = data.get("imagePath")
        if isinstance(said, str) and said:
            place = os.path.normpath(path.parent / said.replace("\\", "/"))
            if place in self.on_disk or (not place.startswith(self.inside) and os.path.isfile(place)):
                return Path(place)
        twin = self.beside.get(os.path.normpath(path.with_suffix("")))
        return None if twin is None else Path(twin)

    def _shape(self, shape: Any) -> Shape | None:
        """A shape; None for a kind that covers no area; a `ValueError` says what is wrong with it."""
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"].strip():
            raise ValueError("has no label")
        said = shape.get("shape_type")
        kind = KINDS.get(said) if said is None or isinstance(said, str) else None
        if kind is None:
            self.passed_over[str(said)] += 1
            return None
        points = as_points(shape.get("points"), 3 if kind == "polygon" else 2)
        if kind == "circle" and len(points) != 2:
            raise ValueError(f"is a circle of {len(points)} points where 2 are needed")
        return Shape(0, points, "polygon" if kind == "rectangle" and len(points) > 2 else kind)

    def sample(self, one: Annotated, labels: Mapping[str, int]) -> RegionSample:
        """The sample of a JSON file, which may hold its image."""
        if one.image is not None:
            return super().sample(one, labels)
        return EmbeddedSample(one.name, one.source, one.source, one.size, labelled(one, labels))

    def say(self) -> None:
        """Note what there is to say of all files."""
        if self.foreign:
            self.notes.append(
                f"{len(self.foreign)} JSON files are not labelme's and are left out ({few(self.foreign)})"
            )
        if self.absent:
            self.notes.append(
                f"{len(self.absent)} JSON files have no image, neither on disk nor in themselves, and are left out"
                f" ({few(self.absent)})"
            )
        for kind, count in sorted(self.passed_over.items()):
            self.notes.append(
                f"{count} shapes of the type {kind} are left out; polygons, rectangles and circles are read"
            )


@dataclass(frozen=True, eq=False)
class EmbeddedSample(RegionSample):
    """An image that lies in its JSON file, and the shapes on it."""

    def read_image(self) -> NDArray[np.uint8]:
        """The image, H×W×3 uint8 RGB, upright.

        Raises:
            UserError: it is damaged or no image.
        """
        try:
            content = base64.b64decode(read_json_object(self.source)["imageData"])
            return decode_image(content, f"the imageData of {self.source}")
        except (ValueError, UserError) as error:
            raise UserError(f"the imageData of {self.source} is damaged ({error}); put the image beside it") from error

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8, of the size of the image.

        Raises:
            UserError: see `read_image`.
        """
        return draw(self.read_image().shape[:2], self.regions)
