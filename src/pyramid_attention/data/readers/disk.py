"""Listing folders and reading small files, with errors a user can act on: what all readers share."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import UserError
from ...images import IMAGE_SUFFIXES

SPLITS = ("train", "val", "test")
OTHER_NAMES = {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
    "default": "train",  # an annotation tool's name for the only split
}
"""What the known splits are called elsewhere."""


@contextmanager
def listing() -> Iterator[None]:
    """What cannot be listed becomes a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot list {error.filename}: {error.strerror}; check the path and its permissions"
        ) from error


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a link to itself leads nowhere, as one to what is missing does."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise


def leads_back(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a link to that folder or to one above it."""
    if not entry.is_symlink():
        return False
    return Path(os.path.realpath(os.path.dirname(entry.path))).is_relative_to(os.path.realpath(entry.path))


def walk(folder: Path) -> tuple[list[str], list[Path]]:
    """The files in `folder` and below, links followed, as sorted paths relative to it with "/"; hidden ones left out.

    Returns:
        the files, and the links that were not followed because they lead back to a folder above them.

    Raises:
        UserError: a folder cannot be listed.
    """
    found: list[str] = []
    loops: list[Path] = []

    def visit(here: Path, prefix: str, above: frozenset[tuple[int, int]]) -> None:
        status = here.stat()
        place = (status.st_dev, status.st_ino)
        if place in above:  # by a way that is longer than one link
            loops.append(here)
            return
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if is_folder(entry) and leads_back(entry):
                    loops.append(here / entry.name)
                elif is_folder(entry):
                    visit(here / entry.name, f"{prefix}{entry.name}/", above | {place})
                else:
                    found.append(prefix + entry.name)

    with listing():
        visit(folder, "", frozenset())
    return sorted(found), sorted(loops)


def files_below(folder: Path) -> list[str]:
    """As `walk`, for layouts in which a link that leads back is a mistake.

    Raises:
        UserError: a folder cannot be listed, or a link leads back to a folder above it.
    """
    found, loops = walk(folder)
    if loops:
        raise UserError(f"{loops[0]} is a link to a folder that it lies in, so that reading it never ends; remove it")
    return found


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for an image: a known suffix, and not hidden."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")


def stem(name: str) -> str:
    """A relative path without its suffix: what a sample is called."""
    return str(PurePosixPath(name).with_suffix(""))


def split_name(name: str) -> str:
    """The name by which a split is known here: "valid" and "Validation" are val, "default" is train."""
    return OTHER_NAMES.get(name.lower(), name.lower())


def read_text(path: Path) -> str:
    """The text of a small file.

    Raises:
        UserError: it is missing, unreadable or no text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; put it there, or check the path") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8 ({error.reason}); save it as UTF-8") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without the empty ones and without blanks around them.

    Raises:
        UserError: see `read_text`.
    """
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        UserError: it cannot be read, is cut short or no JSON, or holds something else than an object.
    """
    text = read_text(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); it may be cut short: export or download it again"
        ) from None
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no JSON object; export the annotations again")
    return data


def few(names: Iterable[object]) -> str:
    """The first three of some names, as in "a, b, c, …"."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:3]) + (", …" if len(listed) > 3 else "")


def left_out(names: Sequence[object], of: int, what: str) -> list[str]:
    """A note that `names` are left out, of so many images, for they `what`; none where there are no names."""
    return [f"{len(names)} of {of} images {what} and are left out ({few(names)})"] if names else []
