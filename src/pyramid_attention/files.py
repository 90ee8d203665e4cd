"""Files that appear whole or not at all.

A file is written under a temporary name beside its place and then renamed, so that a fault (a kill, a full disk) leaves
the old content or the new, never half of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path with the same suffix; on leaving, what was written there takes the place of `path`.

    Raises:
        UserError: if the file cannot be written (no permission, no space, a folder in the way).
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}; check its folder and the disk") from error
    finally:
        temporary.unlink(missing_ok=True)


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
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another with --out") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"no permission to write in {folder}; choose another folder with --out")
    return folder
