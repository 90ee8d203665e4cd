"""Listing folders and reading small files, with errors a user can act on: what readers of annotation files share."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import UserError
from ...images import IMAGE_SUFFIXES
from .folder import SPLITS


def files_below(folder: Path) -> list[str]:
    """The files in `folder` and below, as sorted paths relative to it with "/"; hidden ones are left out.

    Raises:
        UserError: a folder cannot be listed, or a link leads back to a folder that it lies in.
    """
    found: list[str] = []

    def visit(here: Path, prefix: str, above: frozenset[tuple[int, int]]) -> None:
        status = here.stat()
        place = (status.st_dev, status.st_ino)
        if place in above:
            raise UserError(f"{here} is a link to a folder that it lies in, so that reading it never ends; remove it")
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    visit(here / entry.name, f"{prefix}{entry.name}/", above | {place})
                else:
                    found.append(prefix + entry.name)

    try:
        visit(folder, "", frozenset())
    except OSError as error:
        raise UserError(f"cannot list {error.filename}: {error.strerror}; check the path, links and rights") from error
    return sorted(found)


def is_picture(name: str) -> bool:
    """Whether a file's name ends as a picture's does."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def stem(name: str) -> str:
    """A relative path without its suffix: what a sample is called."""
    return str(PurePosixPath(name).with_suffix(""))


def split_name(name: str) -> str:
    """The name by which a split is known here: "valid" and "Validation" are val, "default" is train."""
    name = name.lower()
    return {"default": "train"}.get(name, SPLITS.get(name, name))


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
    """A note that `names` are left out, of so many photographs, for they `what`; none where there are no names."""
    return [f"{len(names)} of {of} photographs {what} and are left out ({few(names)})"] if names else []
