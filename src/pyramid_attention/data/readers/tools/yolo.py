"""YOLO's segmentation data as Ultralytics reads it: polygons in text files, or masks of class ids, and a data.yaml.

    data.yaml               path, train, val, test, names (a list, or {0: cat, 1: dog})
    images/train/a.jpg      labels/train/a.txt          or train/images/a.jpg, train/labels/a.txt

`train`, `val` and `test` are each a folder, a text file of paths, or a list of these, relative to `path`, which is
relative to data.yaml (and taken for its folder where it does not exist, as after a move). The last `images` of a
image's path becomes `labels`. A line of a label file is `class x1 y1 x2 y2 …`, from 0 to 1 of width and height;
smaller polygons are drawn over larger ones, as Ultralytics does for semantic segmentation. An image without a label
file shows no object. Class 0 is the background (Ultralytics appends it instead), then come the `names`.

With `masks_dir: masks` in data.yaml the last `images` becomes `masks`, and the masks hold the ids of `names`, 255 being
void; no background is added. `label_mapping: {7: 0, 8: 1, 9: ignore_label}` tells other ids on disk.

Format: https://docs.ultralytics.com/datasets/segment/ and https://docs.ultralytics.com/datasets/semantic/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....classes import IGNORE, ClassTable
from ....errors import UserError
from ....images import IMAGE_SUFFIXES
from ...outlines import Overhang, background_first, box
from ...pairing import Report
from ...samples import UNKNOWN, Dataset, FileSample, Sample
from ...small_files import read_lines, read_text, read_yaml
from ...split_names import SPLITS
from ...tree import Tree, few, listing, stem, suffix_of
from .yolo_labels import YoloSample, read_polygons

LAYOUT = "data.yaml with images/train/a.jpg and labels/train/a.txt"
FILES = ("data.yaml", "data.yml", "dataset.yaml")
"""The last is also what the `folder` format calls its own, which names no splits."""


def detect(tree: Tree) -> bool:
    """Whether there is a data.yaml that names classes and a split."""
    path = _settings_file(tree)
    if path is None:
        return False
    text = read_text(path)
    return "names:" in text and re.search(r"^\W*(train|val)\W*:", text, re.MULTILINE) is not None


def read(tree: Tree) -> Dataset:
    """Read every split that data.yaml names; no image is opened, but every label file is."""
    path = _settings_file(tree)
    if path is None:
        raise UserError(f"{tree.root} has no data.yaml; expected {LAYOUT}")
    settings, names = _settings(path)
    found = _Findings(source=path, base=_base(path, settings))
    images = {split: found.images(split, settings[split]) for split in SPLITS if settings.get(split)}
    if not any(images.values()):
        raise UserError(
            f"{path}: none of its splits has images; correct path, train and val. " + " ".join(found.problems)
        )
    masks_dir = settings.get("masks_dir")
    listed, labels = background_first(names)
    classes = ClassTable.of(listed if masks_dir is None else list(names.values()), source=path)
    splits: dict[str, list[Any]] = {}
    for split, by_name in images.items():
        if not by_name:
            continue  # of which a note or a problem tells
        if masks_dir is None:
            splits[split] = found.outlined(split, by_name, labels)
        else:
            lookup = _lookup(path, names, settings.get("label_mapping"))
            splits[split] = found.masked(str(masks_dir), by_name, classes, lookup)
    found.notes += [*found.orphans(), *found.overhang.notes(tree.root)]
    return found.dataset("yolo", tree, classes, splits, LAYOUT)


# data.yaml


def _settings_file(tree: Tree) -> Path | None:
    return next((tree.path(name) for name in FILES if tree.has(name)), None)


def _settings(path: Path) -> tuple[dict[str, Any], dict[int, str]]:
    """The fields of data.yaml, and the class names by id, in the order of the ids."""
    settings = read_yaml(path, "names: [cat, dog]")
    names = settings.get("names") if isinstance(settings, dict) else None
    by_id = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(by_id, dict) or not by_id or not all(type(i) is int and i >= 0 for i in by_id):
        raise UserError(f"{path}: names is {names!r}; write a list, [cat, dog], or ids, {{0: cat, 1: dog}}")
    for i, name in by_id.items():
        if type(name) not in (str, int, float):  # "yes" and "no" are true and false in YAML
            raise UserError(f"{path}: the name of class {i} is {name!r}, which YAML does not take as text; quote it")
    return settings, {i: str(by_id[i]) for i in sorted(by_id)}


def _base(path: Path, settings: dict[str, Any]) -> Path:
    """The folder that the splits are relative to."""
    said = settings.get("path")
    base = path.parent / str(said) if said else path.parent
    return base if os.path.isdir(base) else path.parent


def _lookup(path: Path, names: dict[int, str], mapping: Any) -> NDArray[np.int16]:
    """The labels of the ids on disk, as `FileSample` wants them; ids that are not mapped stand for themselves."""
    order = {i: label for label, i in enumerate(names)}
    labels = {IGNORE: IGNORE} | order
    if not isinstance(mapping, dict | None):
        raise UserError(f"{path}: label_mapping is {mapping!r}; write ids, {{7: 0, 8: ignore_label}}")
    for source, target in (mapping or {}).items():
        label = (
            IGNORE if target in ("ignore_label", None, IGNORE) else order.get(target) if type(target) is int else None
        )
        if type(source) is not int or source > 65535 or label is None:
            raise UserError(
                f"{path}: label_mapping has {source!r}: {target!r}; map an id of the masks to an id of names or to"
                " ignore_label"
            )
        if source >= 0:  # Cityscapes has an id -1, which no PNG can hold
            labels[source] = label
    lookup = np.full(max(labels) + 2, UNKNOWN, dtype=np.int16)
    lookup[list(labels)] = list(labels.values())
    return lookup


# Images and what belongs to them


@dataclass(kw_only=True)
class _Findings(Report):
    """What is gathered over all splits."""

    source: Path
    base: Path
    overhang: Overhang = field(default_factory=Overhang)
    folders: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    taken: dict[str, set[str]] = field(default_factory=dict)

    def files(self, folder: str) -> dict[str, list[str]]:
        """The files of a folder by their stem; each folder is listed once."""
        if folder not in self.folders:
            by_stem: dict[str, list[str]] = {}
            with listing():
                for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                    by_stem.setdefault(os.path.splitext(name)[0], []).append(name)
            self.folders[folder] = by_stem
        return self.folders[folder]

    def images(self, split: str, value: Any) -> dict[str, Path]:
        """The images of a split, by name."""
        found: dict[str, Path] = {}
        entries = value if isinstance(value, list) else [value]
        for entry in entries:
            place = self._place(str(entry))
            if place is None:
                text = f"{self.source}: the {split} folder {entry} is not in {self.base}"
                if split == "test":
                    self.notes.append(f"{text} and is left out")
                else:
                    self.problems.append(f"{text}; put it there or correct {split}")
            elif os.path.isdir(place):
                start = place if len(entries) == 1 else self.base
                self._take([place / name for name in Tree.scan(place).images()], start, found)
            else:
                self._take(self._listed(place), self.base, found)
        return dict(sorted(found.items()))

    def _take(self, paths: list[Path], start: Path, found: dict[str, Path]) -> None:
        for path in paths:
            name = stem(Path(os.path.relpath(path, start)).as_posix())
            if found.setdefault(name, path) != path:
                self.problems.append(f"{found[name]} and {path.name} have one label file; remove one of them")

    def _place(self, entry: str) -> Path | None:
        """Where a split is; Roboflow writes "../train/images" for what is beside data.yaml."""
        places = [self.base / entry, self.base / entry.removeprefix("../")]
        return next((Path(os.path.normpath(place)) for place in places if os.path.exists(place)), None)

    def _listed(self, path: Path) -> list[Path]:
        """The images of a list file, relative to it or to the base, that are on disk."""
        lines = read_lines(path)
        found, absent = [], []
        for line in lines:
            for start in (path.parent, self.base):
                place = Path(os.path.normpath(start / line))
                if place.name in self.files(str(place.parent)).get(place.stem, ()):
                    found.append(place)
                    break
            else:
                absent.append(line)
        self.left_out(absent, len(lines), f"that {path} lists are not on disk")
        return found

    def outlined(self, split: str, images: dict[str, Path], labels: Mapping[int, int]) -> list[YoloSample]:
        """The images with their label files, each of which is read once to find what is wrong with it."""
        samples, bare = [], []
        for name, image in images.items():
            path = parallel(image, "labels").with_suffix(".txt")
            self.taken.setdefault(str(path.parent), set()).add(path.stem)
            source = path if path.name in self.files(str(path.parent)).get(path.stem, ()) else None
            if source is None:
                bare.append(name)
            else:
                try:
                    polygons, faults = read_polygons(source, labels)
                except UserError as error:
                    self.problems.append(str(error))
                    continue
                if faults:
                    more = f" (and {len(faults) - 1} more lines are wrong)" if len(faults) > 1 else ""
                    self.problems.append(f"{source}: {faults[0]}{more}; correct or remove it")
                for _, points in polygons:
                    self.overhang.see(name, box(points * 1000), 1000, 1000)
            samples.append(YoloSample(name, image, source, labels))
        if bare and len(bare) == len(images):
            where = parallel(images[bare[0]], "labels").parent
            self.problems.append(f"no image of {split} has a label file in {where}; put the label files there")
        elif bare:
            self.notes.append(f"{len(bare)} images of {split} have no label file: all background ({few(bare)})")
        return samples

    def orphans(self) -> list[str]:
        """Notes on label files that belong to no image of any split."""
        notes = []
        for folder, taken in self.taken.items():
            extra = [
                f for s, files in self.files(folder).items() for f in files if f.endswith(".txt") and s not in taken
            ]
            if extra and "labels" in Path(folder).parts:  # beside images a text file may be anything
                notes.append(f"{len(extra)} label files in {folder} belong to no image of a split ({few(extra)})")
        return notes

    def masked(
        self, masks_dir: str, images: dict[str, Path], classes: ClassTable, lookup: NDArray[np.int16]
    ) -> list[Sample]:
        """The images that have a mask."""
        samples: list[Sample] = []
        bare = []
        for name, image in images.items():
            path = parallel(image, masks_dir)
            files = [
                file for file in self.files(str(path.parent)).get(path.stem, ()) if suffix_of(file) in IMAGE_SUFFIXES
            ]
            if len(files) > 1:
                self.problems.append(f"{image} has two masks in {path.parent}, {few(files)}; remove one")
            elif not files or path.parent / files[0] == image:
                bare.append(name)
            else:
                samples.append(FileSample(name, image, path.parent / files[0], lookup))
        self.left_out(bare, len(images), f"have no mask in {masks_dir}")
        return samples


def parallel(image: Path, folder: str) -> Path:
    """The path with its last folder `images` replaced; as it is where there is none."""
    parts = list(image.parts)
    places = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = folder
    return Path(*parts)
