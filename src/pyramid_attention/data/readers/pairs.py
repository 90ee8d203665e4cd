"""Images and masks in folders, paired by name: what every reader of folders shares."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...errors import UserError
from .disk import few, is_folder, is_image, leads_back, left_out, listing, stem, walk

MASK_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_annotation")
"""What a mask's stem may add to its image's."""

Pair = tuple[str, Path, Path]
"""Name, image, mask."""


class Paired(NamedTuple):
    """The pairs of a split, sorted by name, with notes and problems as `Dataset` has them."""

    pairs: list[Pair]
    notes: list[str]
    problems: list[str]


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder and below.

    Attributes:
        files: by relative path without suffix, sorted; several where they differ in the suffix only.
        loops: links to a folder that they are in themselves; they were not followed.
    """

    files: Mapping[str, Sequence[Path]]
    loops: Sequence[Path] = ()


# Listing


def subfolders(folder: Path) -> dict[str, Path]:
    """The folders directly in `folder`, by lower-case name; hidden ones and links back to a folder above are left out.

    Raises:
        UserError: the folder cannot be listed, or two names differ in case only.
    """
    with listing(), os.scandir(folder) as entries:
        found = sorted(e.name for e in entries if not e.name.startswith(".") and is_folder(e) and not leads_back(e))
    by_name: dict[str, Path] = {}
    for name in found:
        if name.lower() in by_name:
            raise UserError(f"{folder} holds {by_name[name.lower()].name} and {name}; rename or remove one of them")
        by_name[name.lower()] = folder / name
    return by_name


def links_back(folder: Path) -> list[Path]:
    """The links directly in `folder` that lead to it or to a folder above: those that `subfolders` leaves out.

    Raises:
        UserError: the folder cannot be listed.
    """
    with listing(), os.scandir(folder) as entries:
        return sorted(Path(e.path) for e in entries if is_folder(e) and leads_back(e))


def file_names(folder: Path) -> list[str]:
    """The names of the files directly in `folder`, sorted.

    Raises:
        UserError: the folder cannot be listed.
    """
    with listing(), os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not is_folder(e))


def list_images(folder: Path) -> ImageFiles:
    """The image files in `folder` and below, links followed; none is opened.

    Raises:
        UserError: a folder cannot be listed.
    """
    files, loops = walk(folder)
    found: dict[str, list[Path]] = {}
    for file in files:
        if is_image(os.path.basename(file)):
            found.setdefault(stem(file), []).append(folder / file)
    return ImageFiles({name: found[name] for name in sorted(found)}, loops)


def _one_stem(paths: Sequence[Path]) -> str:
    names = " and ".join(path.name for path in paths)
    return f"{paths[0].parent} holds {names}: one stem, two images; remove or rename one"


# Pairing


def is_side_by_side(files: Mapping[str, Sequence[Path]]) -> bool:
    """Whether some images have their masks beside them in the same folder, told by `MASK_ENDINGS`."""
    return any(stem + ending in files for stem in files for ending in MASK_ENDINGS)


def _apart(images: ImageFiles) -> tuple[ImageFiles, ImageFiles]:
    """The images and the masks of one folder that holds both."""
    files = images.files

    def is_mask(stem: str) -> bool:
        if any(stem.endswith(ending) and stem.removesuffix(ending) in files for ending in MASK_ENDINGS):
            return True
        # one without its image, and not an image that happens to be called so and has a mask itself
        return stem.endswith(MASK_ENDINGS) and not any(stem + ending in files for ending in MASK_ENDINGS)

    plain = {stem: paths for stem, paths in files.items() if not is_mask(stem)}
    masks = {stem: paths for stem, paths in files.items() if stem not in plain}
    return ImageFiles(plain, images.loops), ImageFiles(masks)


def pair(split: str, images: Path, masks: Path | None) -> Paired:
    """Pair the images of a split with its masks, and say what was left over.

    A mask has its image's path and stem, alone or with one of `MASK_ENDINGS`; where an image is called
    `a_mask`, the mask of that name is its own and not that of `a`. What is not a pair is left out: images without
    a mask and masks without an image with a note, images with two masks as a problem.

    Args:
        split: all images of the split "test" may lack masks (they are often kept secret).
        images: the folder of the images.
        masks: that of the masks, which may be the same one; None where there is none.

    Raises:
        UserError: a folder cannot be listed, or no image of another split than "test" has a mask.
    """
    if masks == images:
        image_files, mask_files = _apart(list_images(images))
    else:
        image_files = list_images(images)
        mask_files = list_images(masks) if masks is not None else ImageFiles({})
    left = dict(mask_files.files)
    pairs: list[Pair] = []
    missing: list[Path] = []
    problems: list[str] = []
    for name, found in image_files.files.items():
        stems = [name] + [name + ending for ending in MASK_ENDINGS if name + ending not in image_files.files]
        fitting = [path for stem in stems for path in left.pop(stem, ())]
        if len(found) > 1:
            problems.append(_one_stem(found))
        elif len(fitting) > 1:
            both = " and ".join(path.name for path in fitting)
            problems.append(f"{found[0]} has two masks in {masks}, {both}; remove one")
        elif fitting:
            pairs.append((name, found[0], fitting[0]))
        else:
            missing.append(found[0])
    count = len(image_files.files)
    notes = loop_notes([*image_files.loops, *mask_files.loops])
    if missing:
        names = [str(path.relative_to(images)) for path in missing]
        if split != "test" and len(missing) == count:
            where = f"in {masks}" if masks is not None else "folder"
            example = missing[0].relative_to(images).with_suffix("")
            raise UserError(
                f"{count} of {count} images in {images} have no mask {where} ({few(names)}); a mask has its"
                f" image's name, as {example}.png or {example}_mask.png: add the masks or remove the images"
            )
        notes += left_out(names, count, f"in {images} have no mask")
    if left:
        first = few([paths[0].name for paths in left.values()])
        notes.append(f"{len(left)} masks in {masks} have no image in {images} and are left out ({first})")
    return Paired(pairs, notes, problems)


def loop_notes(loops: Iterable[Path]) -> list[str]:
    """What is said of links that were not followed."""
    return [f"{path} leads back to a folder above it and is left out" for path in loops]
