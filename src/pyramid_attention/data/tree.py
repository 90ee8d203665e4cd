"""A folder listed once: what every reader looks at before any file is opened."""

from __future__ import annotations

import errno
import gc
import os
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserError
from ..images import IMAGE_SUFFIXES

NOT_DATA = frozenset({"__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information"})
"""Folders that systems leave in others."""


@contextmanager
def listing() -> Iterator[None]:
    """Turn what cannot be listed into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot list {error.filename}: {error.strerror}; check the path and its permissions"
        ) from error


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python's garbage collector from running: over 100,000 files it takes a third of the time, for nothing."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


@dataclass(frozen=True)
class Tree:
    """The files of a folder and below, hidden ones left out, links followed.

    Attributes:
        root: the folder.
        files: relative paths with "/", sorted.
        folders: relative paths of all folders below, sorted; the root itself is "".
        loops: links that lead back to a folder above them and were not followed.
    """

    root: Path
    files: tuple[str, ...]
    folders: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()
    _suffixes: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def scan(cls, root: Path) -> Tree:
        """List `root`; no file is opened.

        Raises:
            UserError: a folder cannot be listed.
        """
        files: list[str] = []
        folders: list[str] = []
        loops: list[str] = []

        def visit(here: str, prefix: str, above: frozenset[tuple[int, int]]) -> None:
            status = os.stat(here)
            place = (status.st_dev, status.st_ino)
            if place in above:
                loops.append(prefix[:-1])
                return
            folders.append(prefix[:-1])
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name in NOT_DATA:
                        continue
                    if _is_folder(entry):
                        visit(os.path.join(here, entry.name), f"{prefix}{entry.name}/", above | {place})
                    else:
                        files.append(prefix + entry.name)

        with listing():
            visit(str(root), "", frozenset())
        suffixes = {file: suffix_of(file) for file in files}
        return cls(root, tuple(sorted(files)), tuple(sorted(folders)), tuple(sorted(loops)), suffixes)

    def has(self, file: str) -> bool:
        """Whether there is a file of this relative path."""
        return file in self._suffixes

    def path(self, relative: str) -> Path:
        """The path of a file or folder."""
        return self.root / relative

    def below(self, folder: str = "", suffixes: Collection[str] | None = None) -> list[str]:
        """The files in a folder and below, those with one of `suffixes` (lower case) where these are given."""
        prefix = f"{folder}/" if folder else ""
        start = bisect_left(self.files, prefix)
        stop = bisect_left(self.files, f"{folder}0") if folder else len(self.files)  # "0" comes after "/"
        found = self.files[start:stop]
        return [file for file in found if suffixes is None or self._suffixes[file] in suffixes]

    def suffix(self, file: str) -> str:
        """The suffix of a file of the tree, in lower case."""
        return self._suffixes[file]

    def images(self, folder: str = "") -> list[str]:
        """The image files in a folder and below."""
        return self.below(folder, IMAGE_SUFFIXES)

    def names(self, folder: str = "") -> list[str]:
        """The names of the files directly in a folder."""
        start = len(folder) + 1 if folder else 0
        return [file[start:] for file in self.below(folder) if "/" not in file[start:]]

    def subfolders(self, folder: str = "") -> dict[str, str]:
        """The relative paths of the folders directly in a folder, by lower-case name.

        Raises:
            UserError: two names differ in case only.
        """
        by_name: dict[str, str] = {}
        for path in self.folders:
            head, _, name = path.rpartition("/")
            if head == folder and name:
                if name.lower() in by_name:
                    other = by_name[name.lower()].rpartition("/")[2]
                    raise UserError(f"{self.path(folder)} holds {other} and {name}; rename or remove one of them")
                by_name[name.lower()] = path
        return by_name

    def refuse_loops(self) -> None:
        """Raise where a link leads back: in a published layout that is a mistake.

        Raises:
            UserError: a link does.
        """
        if self.loops:
            raise UserError(
                f"{self.path(self.loops[0])} is a link to a folder that it lies in, so that reading it never ends;"
                " remove it"
            )

    def loop_notes(self) -> list[str]:
        """What is said of links that were not followed."""
        return [f"{self.path(loop)} leads back to a folder above it and is left out" for loop in self.loops]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself leads nowhere, as one to what is missing does
            return False
        raise


def suffix_of(file: str) -> str:
    """The suffix of a file's name, in lower case."""
    return os.path.splitext(file)[1].lower()


def stem(file: str) -> str:
    """A relative path without its suffix: what a sample is called."""
    return os.path.splitext(file)[0]


def few(names: Mapping[str, object] | Collection[object]) -> str:
    """The first three of some names, as in "a, b, c, …"."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:3]) + (", …" if len(listed) > 3 else "")
