"""Photographs and masks in folders, paired by name: what every reader of folders shares."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...errors import UserError
from ...images import IMAGE_SUFFIXES

MASK_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_annotation")
"""What a mask's stem may add to its photograph's."""

Pair = tuple[str, Path, Path]
"""Name, photograph, mask."""


class Paired(NamedTuple):
    """The pairs of a split, sorted by name, with notes and problems as `Dataset` has them."""

    pairs: list[Pair]
    notes: list[str]
    problems: list[str]


@dataclass(frozen=True)
class Listing:
    """The picture files of a folder and below.

    Attributes:
        files: by relative path without suffix, sorted; several where they differ in the suffix only.
        loops: links to a folder that they are in themselves; they were not followed.
    """

    files: Mapping[str, Sequence[Path]]
    loops: Sequence[Path] = ()


# Listing


@contextmanager
def _listing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot list {error.filename}: {error.strerror}; check the path and its permissions"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself leads nowhere, as one to a missing folder does
            return False
        raise


def _leads_back(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a link to that folder or to one above it."""
    if not entry.is_symlink():
        return False
    return Path(os.path.realpath(os.path.dirname(entry.path))).is_relative_to(os.path.realpath(entry.path))


def subfolders(folder: Path) -> dict[str, Path]:
    """The folders directly in `folder`, by lower-case name; hidden ones and links back to a folder above are left out.

    Raises:
        UserError: the folder cannot be listed, or two names differ in case only.
    """
    with _listing(), os.scandir(folder) as entries:
        found = sorted(e.name for e in entries if not e.name.startswith(".") and _is_folder(e) and not _leads_back(e))
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
    with _listing(), os.scandir(folder) as entries:
        return sorted(Path(e.path) for e in entries if _is_folder(e) and _leads_back(e))


def file_names(folder: Path) -> list[str]:
    """The names of the files directly in `folder`, sorted.

    Raises:
        UserError: the folder cannot be listed.
    """
    with _listing(), os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not _is_folder(e))


def is_picture(name: str) -> bool:
    """Whether a file of this name is taken for a picture: a known suffix, and not hidden."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")


def list_pictures(folder: Path) -> Listing:
    """The picture files in `folder` and below, links followed; none is opened.

    Raises:
        UserError: a folder cannot be listed.
    """
    found: dict[str, list[Path]] = {}
    loops: list[Path] = []

    def walk(here: Path, prefix: str, above: frozenset[tuple[int, int]]) -> None:
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in above:  # by a way that is longer than one link
            loops.append(here)
            return
        trail = above | {(status.st_dev, status.st_ino)}
        with os.scandir(here) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
        for entry in visible:
            if _is_folder(entry) and _leads_back(entry):
                loops.append(here / entry.name)
            elif _is_folder(entry):
                walk(here / entry.name, f"{prefix}{entry.name}/", trail)
            elif is_picture(entry.name):
                found.setdefault(prefix + os.path.splitext(entry.name)[0], []).append(here / entry.name)

    with _listing():
        walk(folder, "", frozenset())
    return Listing({stem: sorted(found[stem]) for stem in sorted(found)}, sorted(loops))


def pictures(folder: Path) -> dict[str, Path]:
    """As `list_pictures`, for folders in which each stem is that of one picture.

    Raises:
        UserError: a folder cannot be listed, or two files differ in the suffix only.
    """
    found = list_pictures(folder).files
    for paths in found.values():
        if len(paths) > 1:
            raise UserError(_one_stem(paths))
    return {stem: paths[0] for stem, paths in found.items()}


def _one_stem(paths: Sequence[Path]) -> str:
    names = " and ".join(path.name for path in paths)
    return f"{paths[0].parent} holds {names}: one stem, two pictures; remove or rename one"


# Pairing


def is_side_by_side(files: Mapping[str, Sequence[Path]]) -> bool:
    """Whether some pictures have their masks beside them in the same folder, told by `MASK_ENDINGS`."""
    return any(stem + ending in files for stem in files for ending in MASK_ENDINGS)


def _apart(listing: Listing) -> tuple[Listing, Listing]:
    """The photographs and the masks of one folder that holds both."""
    files = listing.files

    def is_mask(stem: str) -> bool:
        if any(stem.endswith(ending) and stem.removesuffix(ending) in files for ending in MASK_ENDINGS):
            return True
        # one without its photograph, and not a photograph that happens to be called so and has a mask itself
        return stem.endswith(MASK_ENDINGS) and not any(stem + ending in files for ending in MASK_ENDINGS)

    photographs = {stem: paths for stem, paths in files.items() if not is_mask(stem)}
    masks = {stem: paths for stem, paths in files.items() if stem not in photographs}
    return Listing(photographs, listing.loops), Listing(masks)


def pair(split: str, images: Path, masks: Path | None) -> Paired:
    """Pair the photographs of a split with its masks, and say what was left over.

    A mask has its photograph's path and stem, alone or with one of `MASK_ENDINGS`; where a photograph is called
    `a_mask`, the mask of that name is its own and not that of `a`. What is not a pair is left out: photographs without
    a mask and masks without a photograph with a note, photographs with two masks as a problem.

    Args:
        split: all photographs of the split "test" may lack masks (they are often kept secret).
        images: the folder of the photographs.
        masks: that of the masks, which may be the same one; None where there is none.

    Raises:
        UserError: a folder cannot be listed, or no photograph of another split than "test" has a mask.
    """
    if masks == images:
        photographs, mask_files = _apart(list_pictures(images))
    else:
        photographs = list_pictures(images)
        mask_files = list_pictures(masks) if masks is not None else Listing({})
    left = dict(mask_files.files)
    pairs: list[Pair] = []
    missing: list[Path] = []
    problems: list[str] = []
    for name, found in photographs.files.items():
        stems = [name] + [name + ending for ending in MASK_ENDINGS if name + ending not in photographs.files]
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
    count = len(photographs.files)
    notes = loop_notes([*photographs.loops, *mask_files.loops])
    if missing:
        what = f"{len(missing)} of {count} photographs in {images} have no mask"
        first = first_few([str(path.relative_to(images)) for path in missing])
        if split != "test" and len(missing) == count:
            where = f"in {masks}" if masks is not None else "folder"
            example = missing[0].relative_to(images).with_suffix("")
            raise UserError(
                f"{what} {where} ({first}); a mask has its photograph's name, as {example}.png or {example}_mask.png:"
                " add the masks or remove the photographs"
            )
        notes.append(f"{what} and are left out ({first})")
    if left:
        first = first_few([paths[0].name for paths in left.values()])
        notes.append(f"{len(left)} masks in {masks} have no photograph in {images} and are left out ({first})")
    return Paired(pairs, notes, problems)


def loop_notes(loops: Iterable[Path]) -> list[str]:
    """What is said of links that were not followed."""
    return [f"{path} leads back to a folder above it and is left out" for path in loops]


def first_few(names: Sequence[str]) -> str:
    """The first three of many names: "a, b, c, …"."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
