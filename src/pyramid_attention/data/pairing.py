"""Images and their masks, matched by what their paths share: what every reader of trees of files stands on.

`match_patterns` matches the files of two patterns (`patterns`); `match` those that a list names. What is no pair is
left out and said in a `Report`, what would give an image a wrong mask is a problem there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..classes import ClassTable
from ..errors import UserError
from ..images import IMAGE_SUFFIXES, RASTER_SUFFIXES
from .patterns import SHARED, Pattern
from .samples import Dataset, FileSample, Sample
from .split_names import split_name
from .tree import Tree, few, stem

UNSPLIT = ""
"""The split of images that are in none."""
LABELS = ("class", "annotator")
"""Placeholders of masks that tell several files of one image apart."""
MASK_ENDING = re.compile("[_-](masks?|labels?|gt|seg|annotation)$")
"""What the stem of a second mask may add to that of the first."""
MASK_SUFFIXES = IMAGE_SUFFIXES | {".npy", ".mat"}


@dataclass
class Report:
    """What is said of a data set while it is read: see `Dataset.notes` and `Dataset.problems`."""

    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def left_out(self, names: Collection[object], of: int, what: str) -> None:
        """Note that `names` are left out, of so many images, because they `what`; nothing where there are none."""
        if names:
            self.notes.append(f"{len(names)} of {of} images {what} and are left out ({few(names)})")

    def alone(self, names: Collection[object], masks: Path, images: Path) -> None:
        """Note that masks in the folder `masks` are left out because they have no image in `images`."""
        if names:
            where = "" if masks == images else f" in {images}"
            self.notes.append(f"{len(names)} masks in {masks} have no image{where} and are left out ({few(names)})")

    def first(self) -> str:
        """The first note, to end a sentence with; nothing where there is none."""
        return f": {self.notes[0]}" if self.notes else ""

    def refuse_empty(self, tree: Tree, splits: Mapping[str, Sequence[object]], layout: str) -> None:
        """Raise where no split holds anything.

        Raises:
            UserError: none does; the message says that `layout` was expected.
        """
        if not any(splits.values()):
            said = " … ".join(self.problems[:3]) or f"{tree.root} holds no image with a mask{self.first()}"
            raise UserError(f"{said}; expected {layout}")

    def dataset(
        self, format: str, tree: Tree, classes: ClassTable, splits: Mapping[str, Sequence[Sample]], layout: str
    ) -> Dataset:
        """The data set of which this was said, without splits that are empty.

        Raises:
            UserError: see `refuse_empty`.
        """
        self.refuse_empty(tree, splits, layout)
        filled = {split: of for split, of in splits.items() if of}
        notes, problems = (tuple(dict.fromkeys(said)) for said in (self.notes, self.problems))
        return Dataset(format, tree.root, classes, filled, notes, problems)

    def double(self, folder: object, first: str, second: str) -> None:
        """Report two files of one stem."""
        self.problems.append(
            f"{folder} holds {first} and {second}: one stem, two files, and only one can be meant; remove one"
        )


class Pair(NamedTuple):
    """An image and its mask.

    Attributes:
        name: see `Sample`.
        mask: the file, or the first of `masks`.
        masks: all files that make the mask.
        labels: of each of `masks` the class or the annotator that its path names; "" where it names none.
        group: what `{group}` stands for; "" where the pattern has none.
    """

    name: str
    image: Path
    mask: Path
    masks: tuple[Path, ...] = ()
    labels: tuple[str, ...] = ()
    group: str = ""

    def with_ids(self, lookup: NDArray[np.int16]) -> FileSample:
        """The sample whose mask holds ids, see `id_lookup`."""
        return FileSample(self.name, self.image, self.mask, lookup)


# By stems, and lists of them


@dataclass(frozen=True)
class Files:
    """Files of a folder and below, by their relative path without suffix and ending, sorted."""

    folder: Path
    files: dict[str, Path]


def list_files(
    tree: Tree, folder: str, report: Report, ending: str = "", suffixes: Collection[str] = IMAGE_SUFFIXES
) -> Files:
    """The files in `folder` and below whose stem ends in `ending`; of two of one stem the first, with a problem."""
    files: dict[str, Path] = {}
    start = len(folder) + 1 if folder else 0
    for file in tree.below(folder, suffixes):
        if not stem(file).endswith(ending):
            continue
        name = stem(file)[start:].removesuffix(ending)
        if name in files:
            report.double(tree.path(folder), files[name].name, file.rpartition("/")[2])
        else:
            files[name] = tree.path(file)
    return Files(tree.path(folder), files)


def match(names: Iterable[str], images: Files, masks: Files, source: Path, report: Report) -> list[Pair]:
    """The images of a split with their masks, in the order of `names`.

    Args:
        source: what names them, a list or their folder, for the report.
    """
    names = list(names)
    absent = [name for name in names if name not in images.files]
    bare = [name for name in names if name in images.files and name not in masks.files]
    if not names:
        report.notes.append(f"{source} names no images")
    report.left_out(absent, len(names), f"of {source} are not in {images.folder}")
    report.left_out(bare, len(names), f"of {source} have no mask in {masks.folder}")
    lacking = {*absent, *bare}
    return [Pair(name, images.files[name], masks.files[name]) for name in names if name not in lacking]


def match_all(images: Files, masks: Files, report: Report) -> list[Pair]:
    """All images of a folder with their masks."""
    pairs = match(images.files, images, masks, images.folder, report)
    report.alone([name for name in masks.files if name not in images.files], masks.folder, images.folder)
    return pairs


# By patterns


class _Found(NamedTuple):
    """A file that a pattern matches, and what its placeholders stand for."""

    file: str
    values: dict[str, str]

    @property
    def folder(self) -> str:
        return self.file.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.file.rpartition("/")[2]

    def key(self, shared: Sequence[str], padded: bool) -> tuple[str, ...]:
        return tuple(without_zeros(self.values[name]) if padded else self.values[name] for name in shared)


def without_zeros(text: str) -> str:
    """A text with the zeros before its numbers left out: "a007" becomes "a7"."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)


def files_of(tree: Tree, pattern: Pattern, suffixes: Collection[str], but: Collection[str] = ()) -> list[_Found]:
    """The files that a pattern matches, those in `but` left out; the value of {split} is the split's name here."""
    found = []
    splits: dict[str, str] = {}
    for file in tree.below(pattern.fill({}), suffixes):
        values = pattern.match(file)
        if values is not None and file not in but:
            if "split" in values:
                split = values["split"]
                values["split"] = splits.get(split) or splits.setdefault(split, split_name(split))
            found.append(_Found(file, values))
    return found


def match_patterns(tree: Tree, images: Pattern, masks: Pattern, report: Report) -> dict[str, list[Pair]]:
    """The images that one pattern matches with the masks that another does, by split, sorted by name.

    Both are matched by all placeholders that the two patterns share; where that matches none at all, zeros before
    numbers do not count. Images in no split are in `UNSPLIT`.
    """
    of_masks = files_of(tree, masks, MASK_SUFFIXES)
    of_images = files_of(tree, images, IMAGE_SUFFIXES | RASTER_SUFFIXES, {found.file for found in of_masks})
    shared = [name for name in SHARED if name in images.names and name in masks.names]
    label = next((name for name in LABELS if name in masks.names and name not in images.names), "")
    many = masks.has_many or label != ""
    padded = False
    keys = [image.key(shared, padded) for image in of_images]
    with_image = dict(zip(keys, of_images, strict=True))
    if with_image.keys().isdisjoint(mask.key(shared, padded) for mask in of_masks):
        without = [image.key(shared, True) for image in of_images]
        if padded := len(set(without)) == len(with_image):
            keys, with_image = without, dict(zip(without, of_images, strict=True))
    by_key: dict[tuple[str, ...], list[_Found]] = {}
    for mask in of_masks:
        by_key.setdefault(mask.key(shared, padded), []).append(mask)
    splits: dict[str, list[Pair]] = {}
    bare: dict[str, list[str]] = {}
    taken: dict[tuple[str, str], _Found] = {}
    for key, image in zip(keys, of_images, strict=True):
        fitting = by_key.get(key, [])
        split = next((found.values["split"] for found in (image, *fitting) if "split" in found.values), UNSPLIT)
        name = "/".join(image.values[part] for part in images.names if part != "split")
        first = taken.setdefault((split, name), image)
        if first is not image:
            report.double(tree.path(first.folder), first.name, image.name)
        elif len(fitting) > 1 and not many:
            files = " and ".join(mask.name for mask in fitting)
            report.problems.append(
                f"{tree.path(image.file)} has two masks in {tree.path(fitting[0].folder)}, {files}; remove one"
            )
        elif fitting:
            paths = tuple(tree.path(mask.file) for mask in fitting)
            labels = tuple(mask.values.get(label or "class", "") for mask in fitting)
            group = image.values.get("group", "")
            splits.setdefault(split, []).append(Pair(name, tree.path(image.file), paths[0], paths, labels, group))
        else:
            bare.setdefault(split, []).append(name)
    alone: dict[str, list[str]] = {}
    for mask in (mask for key, found in by_key.items() if key not in with_image for mask in found):
        plain = _Found(mask.file, mask.values | {"id": MASK_ENDING.sub("", mask.values["id"])}).key(shared, padded)
        if plain in by_key and plain in with_image:
            first, where = by_key[plain][0], tree.path(mask.folder)
            of_both = tree.path(with_image[plain].file)
            report.problems.append(f"{of_both} has two masks in {where}, {first.name} and {mask.name}; remove one")
        else:
            alone.setdefault(mask.values.get("split", UNSPLIT), []).append(mask.name)
    for split in sorted(bare.keys() | alone.keys()):
        where, whence = (tree.path(_common_folder(*sides, split)) for sides in ((images, of_images), (masks, of_masks)))
        count = sum(of_split == split for of_split, _ in taken)
        report.left_out(bare.get(split, ()), count, f"of {where} have no mask in {whence}")
        report.alone(alone.get(split, ()), whence, where)
    return {split: sorted(splits[split], key=lambda pair: pair.name) for split in sorted(splits)}


def match_layout(tree: Tree, images: str, masks: str, report: Report) -> dict[str, list[Pair]]:
    """As `match_patterns`, of patterns as they are written."""
    return match_patterns(tree, Pattern.parse(images, "images"), Pattern.parse(masks, "masks"), report)


def with_ids(splits: Mapping[str, Sequence[Pair]], lookup: NDArray[np.int16]) -> dict[str, list[FileSample]]:
    """The samples of pairs whose masks hold ids, by split, see `id_lookup`."""
    return {split: [pair.with_ids(lookup) for pair in pairs] for split, pairs in splits.items()}


def _common_folder(pattern: Pattern, found: Sequence[_Found], split: str) -> str:
    """The folder that holds the files of a split, or else all that the pattern may match."""
    folders = [file.folder for file in found if file.values.get("split", split) == split]
    return os.path.commonpath(folders) if folders else pattern.fill({})
