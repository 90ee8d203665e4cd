"""Where images and their masks lie: the layouts of the `folder` format, told by the names of folders and files."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...errors import UserError
from ...images import read_label_map
from .disk import SPLITS, is_image
from .folder_yaml import Settings
from .pairs import MASK_ENDINGS, file_names, is_side_by_side, list_images, subfolders
from .split_lists import by_split, find_lists

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "photos", "photographs", "pictures")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot", "gt")
UNSPLIT = ""
"""The split of images that are in none."""

Folders = tuple[Path, Path | None]
"""A folder of images and one of masks: the same where they lie side by side, None where there is none."""
SplitFolders = dict[str, Folders]
"""By split; all in `UNSPLIT` where the folders tell none."""


def find_splits(root: Path, settings: Settings) -> SplitFolders:
    """The splits in the first layout that has any; empty where none fits.

    Raises:
        UserError: two folders could be meant, or those that `dataset.yaml` names are not there.
    """
    if settings.folders is not None:
        return _as_named(root, settings)
    top = subfolders(root)
    found = _by_kind(root, top) or _by_split(root, top) or _by_name(root, top)
    if any(masks is not None for _, masks in found.values()):
        return found
    return _side_by_side(root, top) or _by_stems(root, top, settings.path) or found


# The folders' names tell


def _as_named(root: Path, settings: Settings) -> SplitFolders:
    """The folders that `dataset.yaml` names, in `root` or in each of the splits' folders."""
    images, masks = settings.folders or ("", "")
    splits = by_split(root, subfolders(root).items())
    found: SplitFolders = {
        split: (folder / images, folder / masks)
        for split, folder in splits.items()
        if os.path.isdir(folder / images) and os.path.isdir(folder / masks)
    }
    if os.path.isdir(root / images) and os.path.isdir(root / masks):
        found = _inside(root, root / images, root / masks)
    if not found:
        raise UserError(
            f"{settings.path} names the folders {images} and {masks}, which are not in {root} (it holds the folders:"
            f" {', '.join(subfolders(root)) or 'none'}); correct images and masks there"
        )
    return found


def _by_kind(root: Path, top: Mapping[str, Path]) -> SplitFolders:
    """images/train, masks/train, or without splits images, masks."""
    images, masks = _one_of(root, top, IMAGE_FOLDERS), _one_of(root, top, MASK_FOLDERS)
    return {} if images is None or masks is None else _inside(root, images, masks)


def _inside(root: Path, images: Path, masks: Path) -> SplitFolders:
    """The splits that the subfolders of two folders are; where they are none, the two themselves in `UNSPLIT`."""
    of_images = by_split(images, subfolders(images).items())
    of_masks = of_images if images == masks else by_split(masks, subfolders(masks).items())
    loose = _holds_images(images)
    if any(split in of_images for split in SPLITS) or (of_images and not loose and not find_lists(root)):
        return {split: (folder, of_masks.get(split)) for split, folder in of_images.items()}
    return {UNSPLIT: (images, masks)} if loose or of_images else {}


def _by_split(root: Path, top: Mapping[str, Path]) -> SplitFolders:
    """train/images, train/masks."""
    found: SplitFolders = {}
    for split, folder in by_split(root, top.items()).items():
        inner = subfolders(folder)
        images = _one_of(folder, inner, IMAGE_FOLDERS)
        if images is not None:
            found[split] = images, _one_of(folder, inner, MASK_FOLDERS)
    return found


def _by_name(root: Path, top: Mapping[str, Path]) -> SplitFolders:
    """train or train_images, train_masks; of a split without masks only if its name is one of the known."""

    def stripped(kinds: Sequence[str]) -> list[tuple[str, Path]]:
        # as little as possible before the ending, so that the dash never stays with the split
        ending = re.compile(f"(.+?)[_-]?(?:{'|'.join(kinds)})")
        return [(match[1], folder) for name, folder in top.items() if (match := ending.fullmatch(name))]

    masks = by_split(root, stripped(MASK_FOLDERS))
    mask_folders = set(masks.values())
    plain = [(name, folder) for name, folder in top.items() if folder not in mask_folders]
    images = by_split(root, [*plain, *stripped(IMAGE_FOLDERS)])
    return {split: (folder, masks.get(split)) for split, folder in images.items() if split in masks or split in SPLITS}


def _known(where: Path) -> dict[str, Path]:
    """The folders of the known splits in a folder."""
    return {split: folder for split, folder in by_split(where, subfolders(where).items()).items() if split in SPLITS}


def _one_of(where: Path, folders: Mapping[str, Path], names: Sequence[str]) -> Path | None:
    """The one of `folders` that has one of `names`; where there are several, the one that holds images."""
    found = [folders[name] for name in names if name in folders]
    if len(found) > 1:
        found = [folder for folder in found if list_images(folder).files]
    if len(found) > 1:
        raise UserError(
            f"{where} holds {' and '.join(folder.name for folder in found)}, and only one of them can be meant;"
            " move the others away"
        )
    return found[0] if found else None


def _holds_images(folder: Path) -> bool:
    return any(is_image(name) for name in file_names(folder))


# The files' names tell


def _side_by_side(root: Path, top: Mapping[str, Path]) -> SplitFolders:
    """a.jpg and a_mask.png in one folder: that of a split, or any."""
    for where in (root, *top.values()):
        found: SplitFolders = {
            split: (folder, folder)
            for split, folder in _known(where).items()
            if is_side_by_side(list_images(folder).files)
        }
        if found:
            return found
    return {UNSPLIT: (root, root)} if is_side_by_side(list_images(root).files) else {}


def _by_stems(root: Path, top: Mapping[str, Path], settings: Path) -> SplitFolders:
    """Two folders of any names whose images share their stems, in `root` or in each of the splits' folders."""
    splits = _known(root)
    found: SplitFolders = {}
    for split, folder in splits.items():
        if (kinds := _related(folder, subfolders(folder).values(), settings)) is not None:
            found[split] = kinds
    if found:
        return found
    kinds = _related(root, [folder for folder in top.values() if folder not in splits.values()], settings)
    return {} if kinds is None else _inside(root, *kinds)


def _related(where: Path, folders: Iterable[Path], settings: Path) -> tuple[Path, Path] | None:
    """The two of `folders` whose images share their stems, images first; None where there are none.

    Raises:
        UserError: which they are, or which of them holds the masks, cannot be told.
    """
    stems = {folder: set(list_images(folder).files) for folder in folders}
    couples = [couple for couple in itertools.combinations(stems, 2) if _share(stems[couple[0]], stems[couple[1]])]
    if len(couples) == 1:
        told = [couple for couple in map(_images_first, couples) if couple is not None]
    else:  # depth maps, say, beside the masks: both names must tell
        told = [c for c in (*couples, *((b, a) for a, b in couples)) if list(map(_by_its_name, c)) == [-1, 1]]
    if couples and len(told) != 1:
        names = [folder.name for folder in stems if any(folder in couple for couple in couples)]
        raise UserError(
            f"{where} holds {', '.join(names[:-1])} and {names[-1]}, whose images have the same names, and which of"
            f" them are the images and which the masks cannot be told; write it in {settings}, for example:"
            f" {{images: {names[0]}, masks: {names[-1]}}}"
        )
    return told[0] if told else None


def _share(first: set[str], second: set[str]) -> bool:
    """Whether at least half of the smaller folder's images have one of the same name in the other."""
    bare = [{re.sub(f"({'|'.join(MASK_ENDINGS)})$", "", stem) for stem in stems} for stems in (first, second)]
    return 0 < min(map(len, bare)) <= 2 * len(bare[0] & bare[1])


def _images_first(couple: tuple[Path, Path]) -> tuple[Path, Path] | None:
    """Two folders, that of the images first; None where neither names nor images tell which it is."""
    for likeness in (_by_its_name, _by_endings, _by_images):
        first, second = map(likeness, couple)
        if first != second:
            return couple if first < second else (couple[1], couple[0])
    return None


def _by_its_name(folder: Path) -> int:
    """1 where the name of a folder says that it holds masks, -1 where it says images, else 0."""
    name = folder.name.lower()
    of_masks = re.search(r"mask|label|annot|segm|truth|(?<![a-z])(gt|seg)(?![a-z])", name)
    of_images = re.search(r"image|img|photo|image|(?<![a-z])rgb(?![a-z])", name)
    return bool(of_masks) - bool(of_images)


def _by_endings(folder: Path) -> int:
    """1 where all images of a folder are called as masks are (`MASK_ENDINGS`), else 0."""
    return int(all(stem.endswith(MASK_ENDINGS) for stem in list_images(folder).files))


def _by_images(folder: Path) -> int:
    """How much the first images of a folder are like masks: 2 where they are indexed or grey, 0 for JPEGs, else 1."""

    def likeness(path: Path) -> int:
        if path.suffix.lower() in (".jpg", ".jpeg"):
            return 0
        try:
            read_label_map(path)
        except UserError:
            return 1
        return 2

    return min(likeness(paths[0]) for paths in itertools.islice(list_images(folder).files.values(), 3))
