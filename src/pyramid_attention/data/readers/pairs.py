"""Photographs and masks in two folders, paired by name: what every reader of two folders shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import UserError
from ...images import IMAGE_SUFFIXES

MASK_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_annotation")
"""What a mask's stem may add to its photograph's."""

Pair = tuple[str, Path, Path]
"""Name, photograph, mask."""


@contextmanager
def _listing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot list {error.filename}: {error.strerror}; check the path and its permissions"
        ) from error


def _raise(error: OSError) -> None:
    raise error


def subfolders(folder: Path) -> dict[str, Path]:
    """The folders directly in `folder`, by lower-case name; hidden ones are left out.

    Raises:
        UserError: the folder cannot be listed, or two names differ in case only.
    """
    with _listing(), os.scandir(folder) as entries:
        found = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    by_name: dict[str, Path] = {}
    for name in found:
        if name.lower() in by_name:
            raise UserError(f"{folder} holds {by_name[name.lower()].name} and {name}; rename or remove one of them")
        by_name[name.lower()] = folder / name
    return by_name


def pictures(folder: Path) -> dict[str, Path]:
    """The picture files in `folder` and below, by relative path without suffix, sorted; none is opened.

    Raises:
        UserError: the folder cannot be listed, or two files differ in the suffix only.
    """
    found: dict[str, Path] = {}
    with _listing():
        for here, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in files:
                path = Path(here, file)
                if path.suffix.lower() not in IMAGE_SUFFIXES or file.startswith("."):
                    continue
                stem = path.relative_to(folder).with_suffix("").as_posix()
                if stem in found:
                    names = " and ".join(sorted((found[stem].name, file)))
                    raise UserError(f"{path.parent} holds {names}: one stem, two pictures; remove or rename one")
                found[stem] = path
    return dict(sorted(found.items()))


def pair(split: str, images: Path, masks: Path | None) -> tuple[list[Pair], list[str]]:
    """Pair the photographs of a split with its masks, and say what was left over.

    A mask has its photograph's path and stem, alone or with one of `MASK_ENDINGS`; where a photograph is called
    `a_mask`, the mask of that name is its own and not that of `a`. Photographs of the split "test" may lack
    masks (they are often kept secret) and are then left out.

    Returns:
        the pairs, sorted by name, and notes on files left out.

    Raises:
        UserError: photographs without a mask in another split than "test", or with two.
    """
    photographs = pictures(images)
    left = pictures(masks) if masks is not None else {}
    pairs: list[Pair] = []
    missing: list[Path] = []
    for name, photograph in photographs.items():
        stems = [name] + [name + ending for ending in MASK_ENDINGS if name + ending not in photographs]
        fitting = [stem for stem in stems if stem in left]
        if len(fitting) > 1:
            both = " and ".join(left[stem].name for stem in fitting)
            raise UserError(f"{photograph} has two masks in {masks}, {both}; remove one")
        if fitting:
            pairs.append((name, photograph, left.pop(fitting[0])))
        else:
            missing.append(photograph)
    notes = []
    if missing:
        first = ", ".join(str(path.relative_to(images)) for path in missing[:3]) + (", …" if len(missing) > 3 else "")
        what = f"{len(missing)} of {len(photographs)} photographs in {images} have no mask"
        if split != "test":
            where = f"in {masks}" if masks is not None else "folder"
            example = missing[0].relative_to(images).with_suffix("")
            raise UserError(
                f"{what} {where} ({first}); a mask has its photograph's name, as {example}.png or {example}_mask.png:"
                " add the masks or remove the photographs"
            )
        notes.append(f"{what} and are left out ({first})")
    if left:
        first = ", ".join(str(path.name) for path in list(left.values())[:3]) + (", …" if len(left) > 3 else "")
        notes.append(f"{len(left)} masks in {masks} have no photograph in {images} and are left out ({first})")
    return pairs, notes
