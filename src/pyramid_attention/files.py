"""Files that appear whole or not at all.

A file is written under a temporary name beside its place and then renamed, so that a fault (a kill, a full disk) leaves
the old content or the new, never half of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import UserError

_UMASK = os.umask(0)  # it can be read only by setting it
os.umask(_UMASK)


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path with the same suffix; on leaving, what was written there takes the place of `path`.

    Raises:
        UserError: if the file cannot be written (no permission, no space, a folder in the way).
    """
    target = Path(path)
    if not target.name or target.is_dir():
        raise UserError(f"cannot write {target}: it is a folder; name a file in it")
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_UMASK)  # some libraries make files that only their owner can read
        os.replace(temporary, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}; check its folder and the disk") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write as JSON (strict: no NaN), whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def holds_files(folder: Path) -> bool:
    """Whether there is a folder with something in it, temporary files that a kill left behind aside."""
    return folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir())


def free_folder(wanted: Path) -> Path:
    """`wanted`, or with -2, -3, … where that already holds files."""
    folder, number = wanted, 2
    while holds_files(folder) or folder.is_file():
        folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    return folder


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder for output, its parents too, and check that it can be written to.

    Raises:
        UserError: if it cannot be made or written to.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{folder} is a file, not a folder; choose another output folder") from None
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"no permission to write in {folder}; choose another folder")
    return folder
