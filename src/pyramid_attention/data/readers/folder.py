"""Photographs and masks of one's own in folders.

Three layouts, `masks` being any of `MASK_FOLDERS` and `images` any of `IMAGE_FOLDERS` (in any case):

    images/train/a.jpg  masks/train/a.png       one folder of photographs, one of masks
    train/images/a.jpg  train/masks/a.png       one folder a split
    train/a.jpg         train_masks/a.png       two folders a split (train_images, train-masks, trainmasks, … too)

The splits train, val and test are known by other names too (`SPLITS`); further ones may have any name. A mask is an
indexed or grey picture of class ids with its photograph's stem (`a.png`, or `a_mask.png` and the like, see `pairs`). An
optional `dataset.yaml` beside them:

    names: [background, cat, dog]               # or, by id on disk, {0: background, 7: cat, 8: dog}
    colours: [[0, 0, 0], [64, 0, 0], [64, 0, 128]]      # optional, given the same way as names
    ignore: [255]                               # optional: the ids that are void; 255 (unless it is named) if not given

Without names every mask is read once to find the largest id, and the classes are called "class 0", "class 1", ….
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ...classes import IGNORE, ClassTable, Colour
from ...errors import UserError, nearest
from ...images import read_label_map
from ..samples import Dataset, FileSample, id_lookup
from .pairs import Pair, pair, pictures, subfolders

LAYOUT = "images/train/a.jpg with masks/train/a.png, images/val/ with masks/val/"
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "photos", "photographs", "pictures")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot", "gt")
SPLITS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}

SplitFolders = dict[str, tuple[Path, Path | None]]
"""The photographs and the masks (None: no such folder) of each split."""


def detect(root: Path) -> bool:
    """Whether one of the layouts is there: photographs and masks side by side."""
    return _flat(root) is not None or any(masks is not None for _, masks in _find_splits(root).values())


def read(root: Path) -> Dataset:
    """Read every split found in `root`; no picture is opened, except the masks where `dataset.yaml` gives no names.

    Raises:
        UserError: no split is found, masks are missing or ambiguous, or `dataset.yaml` cannot be understood.
    """
    flat = _flat(root)
    if flat is not None:
        raise UserError(
            f"{flat} holds photographs that belong to no split; sort them into {flat / 'train'} and {flat / 'val'},"
            " and the masks alike"
        )
    pairs: dict[str, list[Pair]] = {}
    notes: list[str] = []
    for split, (images, masks) in _find_splits(root).items():
        pairs[split], left_out = pair(split, images, masks)
        notes += left_out
    if not any(pairs.values()):
        raise UserError(f"{root} holds no photographs with masks; expected {LAYOUT}")
    settings = _read_settings(root / "dataset.yaml")
    names = settings.names
    if names is None:
        names = _scan(root, [mask for found in pairs.values() for _, _, mask in found], settings.void)
    classes = _class_table(root / "dataset.yaml", names, settings.colours)
    lookup = id_lookup(sorted(names), settings.void)
    splits = {
        split: [FileSample(name, image, mask, classes, lookup) for name, image, mask in found]
        for split, found in pairs.items()
    }
    return Dataset("folder", root, classes, splits, tuple(notes))


# Where the splits are


def _find_splits(root: Path) -> SplitFolders:
    """The splits in the first of the three layouts that has any."""
    top = subfolders(root)
    return _by_kind(root, top) or _by_split(root, top) or _by_name(root, top)


def _by_kind(root: Path, top: dict[str, Path]) -> SplitFolders:
    """images/train, masks/train."""
    images, masks = _one_of(root, top, IMAGE_FOLDERS), _one_of(root, top, MASK_FOLDERS)
    if images is None or masks is None:
        return {}
    of_masks = _canonical(masks, subfolders(masks).items())
    of_images = _canonical(images, subfolders(images).items())
    return {split: (folder, of_masks.get(split)) for split, folder in of_images.items()}


def _by_split(root: Path, top: dict[str, Path]) -> SplitFolders:
    """train/images, train/masks."""
    found: SplitFolders = {}
    for split, folder in _canonical(root, top.items()).items():
        inner = subfolders(folder)
        images = _one_of(folder, inner, IMAGE_FOLDERS)
        if images is not None:
            found[split] = images, _one_of(folder, inner, MASK_FOLDERS)
    return found


def _by_name(root: Path, top: dict[str, Path]) -> SplitFolders:
    """train or train_images, train_masks; of a split without masks only if its name is one of the known."""

    def stripped(kinds: Sequence[str]) -> list[tuple[str, Path]]:
        # as little as possible before the ending, so that the dash never stays with the split
        ending = re.compile(f"(.+?)[_-]?(?:{'|'.join(kinds)})")
        return [(match[1], folder) for name, folder in top.items() if (match := ending.fullmatch(name))]

    masks = _canonical(root, stripped(MASK_FOLDERS))
    mask_folders = set(masks.values())
    plain = [(name, folder) for name, folder in top.items() if folder not in mask_folders]
    images = _canonical(root, [*plain, *stripped(IMAGE_FOLDERS)])
    known = ("train", "val", "test")
    return {split: (folder, masks.get(split)) for split, folder in images.items() if split in masks or split in known}


def _canonical(where: Path, folders: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Folders by the name of their split, other names of the known splits replaced."""
    found: dict[str, Path] = {}
    for name, folder in folders:
        split = SPLITS.get(name, name)
        if split in found:
            raise UserError(f"{where} holds {found[split].name} and {folder.name}, both the split '{split}'; join them")
        found[split] = folder
    return found


def _one_of(where: Path, folders: dict[str, Path], names: Sequence[str]) -> Path | None:
    """The one of `folders` that has one of `names`; where there are several, the one that holds pictures."""
    found = [folders[name] for name in names if name in folders]
    if len(found) > 1:
        found = [folder for folder in found if pictures(folder)]
    if len(found) > 1:
        raise UserError(
            f"{where} holds {' and '.join(folder.name for folder in found)}, and only one of them can be meant;"
            " move the others away"
        )
    return found[0] if found else None


def _flat(root: Path) -> Path | None:
    """The folder of photographs where they stand beside their masks but in no split."""
    top = subfolders(root)
    images, masks = _one_of(root, top, IMAGE_FOLDERS), _one_of(root, top, MASK_FOLDERS)
    return images if images and masks and not subfolders(images) and pictures(images) else None


# What the ids mean


@dataclass(frozen=True)
class _Settings:
    """What `dataset.yaml` says: names and colours by id on disk (None where it does not say), and the void ids."""

    names: dict[int, str] | None
    colours: dict[int, Colour] | None
    void: list[int]


def _read_settings(path: Path) -> _Settings:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        data = None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no text, or a date that is none
        raise UserError(f"{path} is not valid YAML ({error}); write as in: names: [background, cat, dog]") from error
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no fields; write for example: names: [background, cat, dog]")
    fields = ("names", "colours", "ignore")
    for field in data:
        if field not in fields:
            raise UserError(f"{path} has an unknown field '{field}'.{nearest(str(field), fields)}")

    names, colours = _by_id(path, "names", data.get("names")), _by_id(path, "colours", data.get("colours"))
    for i, name in (names or {}).items():
        if not isinstance(name, str):
            raise UserError(f"{path}: the name of class {i} is {name!r}, which YAML does not take as text; quote it")
    for i, colour in (colours or {}).items():
        if not isinstance(colour, list) or len(colour) != 3:
            raise UserError(f"{path}: the colour of class {i} is {colour!r}; write three numbers, [red, green, blue]")
    ignore = data.get("ignore")
    if ignore is None:
        void = [IGNORE]
    else:
        void = ignore if isinstance(ignore, list) else [ignore]
        _check_ids(path, "ignore", void)
        both = sorted(set(void) & set(names or {}))
        if both:
            raise UserError(f"{path}: the ids {both} are in names and in ignore; remove them from one")
    return _Settings(names, None if colours is None else {i: (c[0], c[1], c[2]) for i, c in colours.items()}, void)


def _by_id(path: Path, field: str, value: Any) -> dict[int, Any] | None:
    """A field given as a list (ids 0, 1, …) or a mapping from ids, as a mapping."""
    if value is None:
        return None
    by_id = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(by_id, dict) or not by_id:
        raise UserError(f"{path}: {field} is {value!r}; write a list, [first, second], or ids, {{0: first, 7: second}}")
    _check_ids(path, field, by_id)
    return by_id


def _check_ids(path: Path, field: str, ids: Iterable[Any]) -> None:
    for i in ids:
        if type(i) is not int or not 0 <= i <= 65535:
            raise UserError(f"{path}: {field} has the id {i!r}; an id is a whole number of 0 to 65535")


def _class_table(path: Path, names: dict[int, str], colours: dict[int, Colour] | None) -> ClassTable:
    """The classes in the order of their ids."""
    if colours is not None and set(colours) != set(names):
        raise UserError(
            f"{path}: names has the ids {sorted(names)}, colours {sorted(colours)}; give each class one of each"
        )
    order = sorted(names)
    try:
        return ClassTable.of([names[i] for i in order], None if colours is None else [colours[i] for i in order])
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _scan(root: Path, masks: Sequence[Path], void: Sequence[int]) -> dict[int, str]:
    """Names for all ids up to the largest one that the masks hold."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        ids = set[int]().union(*pool.map(lambda mask: np.unique(read_label_map(mask)).tolist(), masks))
    found = sorted(ids - set(void))
    count = max(found, default=0) + 1
    if len(found) < 2 or 2 * len(found) < count:  # 0 and 255, or 0, 127 and 254: a count would invent classes
        raise UserError(
            f"the masks in {root} hold the ids {sorted(ids)[:12]}, which do not say how many classes there are; name"
            f" them in {root / 'dataset.yaml'}, for example: names: {{0: background, {found[-1] if any(found) else 1}:"
            " object}"
        )
    return {i: f"class {i}" for i in range(count)}
