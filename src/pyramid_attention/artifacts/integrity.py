"""Whether a file's bytes are those that were written: SHA-256, once a process for a file that has not changed since."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import UserError

_checked: set[tuple[str, int, int, str | None]] = set()


def read_bytes(path: Path) -> tuple[bytes, os.stat_result]:
    """A file's bytes, and its size and time as they were read.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(), os.fstat(file.fileno())
    except FileNotFoundError:
        raise UserError(f"{path} is missing; get or make the model again") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions and the disk") from error


def check_bytes(path: Path, stat: os.stat_result, parts: Iterable[bytes | memoryview], sha256: str | None) -> None:
    """Check that parts of a file's bytes have the digest that they are to have.

    Args:
        path, stat: of the file, see `read_bytes`.
        parts: the bytes.
        sha256: their SHA-256, in hexadecimal.

    Raises:
        UserError: they have another.
    """
    key = str(path.resolve()), stat.st_mtime_ns, stat.st_size, sha256
    if key in _checked:
        return
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    if digest.hexdigest() != sha256:
        raise UserError(f"{path} is damaged: its weights are not those that were written; get or export it again")
    _checked.add(key)
