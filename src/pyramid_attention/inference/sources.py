"""Where images come from: a source names them one after the other, and reads each on request."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..errors import UserError
from ..files import address_of
from ..images import IMAGE_SUFFIXES, ArrayImage, ImageReader, decode_image, is_raster, open_image
from ..storage import list_files, read_bytes
from .addresses import is_address, is_video, name_of

Failure = tuple[str, str]
"""An input that could not be segmented, and one line that says why."""


@dataclass(frozen=True)
class Item:
    """An image of a source, not yet read.

    Attributes:
        name: what its results are called by: a relative path with / and without suffix, which no other item has.
        place: where it comes from, in words for a message: a path, an address, a frame of a video.
        version: changes whenever the image does; None where that is not known.
    """

    name: str
    place: str
    version: str | None = None


class Source(Protocol):
    """Images or frames, in the order in which they are to be segmented."""

    @property
    def failed(self) -> Sequence[Failure]:
        """Inputs that stand for no image."""

    @property
    def count(self) -> int | None:
        """How many items there are; None where that is not known before the end."""

    def __iter__(self) -> Iterator[Item]:
        """The items, from the first on."""

    def read(self, item: Item) -> ImageReader:
        """Read an item; called in the order of the items, in a thread of its own.

        Raises:
            UserError: this one cannot be read; the others may be.
        """


@dataclass(frozen=True)
class FileSource:
    """Files of images, and videos.

    Attributes:
        items: whose `place` is a path, or an address.
        failed: inputs that stand for no image.
        max_pixels: images with more pixels cannot be read; the limit of `read_image` by default.
    """

    items: Sequence[Item]
    failed: Sequence[Failure] = ()
    max_pixels: int | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def apart(self, rgb: bool = True) -> tuple[FileSource, FileSource, FileSource]:
        """Images that are decoded whole (with the failed inputs), rasters, which are read by windows, and videos.

        Args:
            rgb: whether files that can be read in either way are images in RGB.
        """
        kinds: tuple[list[Item], list[Item], list[Item]] = ([], [], [])
        for item in self.items:
            stored = address_of(item.place) is not None
            is_window = not stored and is_raster(Path(item.place), rgb=rgb)
            kinds[2 if is_video(item.place) else is_window].append(item)
        images, rasters, videos = (replace(self, items=kind, failed=()) for kind in kinds)
        return replace(images, failed=self.failed), rasters, videos

    def read(self, item: Item) -> ImageReader:
        """Decode a file.

        Raises:
            UserError: as `read_image`.
        """
        if address_of(item.place) is not None:
            return ArrayImage(decode_image(read_bytes(item.place), item.place, self.max_pixels))
        return open_image(item.place, self.max_pixels)


def find_images(
    inputs: Iterable[str | Path], out: str | Path | None = None, *, max_pixels: int | None = None
) -> FileSource:
    """Expand files, folders, glob patterns (with ** too) and addresses into images and videos.

    A folder gives every image and video below it, its relative path kept in the results' names; hidden files, files
    without the suffix of one and the output folder, where it lies inside, are left out. A pattern keeps the path from
    its first wildcard on; an address gives the image there, or all below it. A file that is named itself is taken
    whatever its suffix. Files that would get one name (a.jpg, a.png) are called a_jpg and a_png.

    Args:
        inputs: paths and patterns, in the order the results shall have.
        out: the output folder (need not exist).
        max_pixels: see `FileSource`.

    Raises:
        UserError: nothing is found at all, the output folder is itself an input, or two files have one name.
    """
    paths: dict[Path, tuple[Path, Path]] = {}  # resolved: (as found, relative); a file that is named twice counts once
    addresses: dict[str, str] = {}
    stored: list[Item] = []
    failed: list[Failure] = []
    for given in inputs:
        if (address := address_of(given)) is not None and not is_video(address):
            try:
                stored += _stored(address)
            except UserError as error:
                failed.append((address, str(error)))
            continue
        if is_address(str(given)):
            addresses[name_of(str(given))] = str(given)
            continue
        try:
            for path, relative in _expand(given, None if out is None else Path(out)):
                paths.setdefault(path.resolve(), (path, relative))
        except UserError as error:
            failed.append((str(given), str(error)))
        except OSError as error:  # a name too long, a folder without permission
            failed.append((str(given), f"cannot look at {given}: {error.strerror or error}; check the path"))
    if not paths and not addresses and not stored:
        raise UserError(failed[0][1] if failed else "no image was named")
    stems = Counter(relative.with_suffix("") for _, relative in paths.values())
    named: dict[str, Path] = {}
    for path, relative in paths.values():
        stem = relative.with_suffix("")
        if stems[stem] > 1:
            stem = stem.with_name(f"{stem.name}_{relative.suffix[1:]}")
        name = stem.as_posix()
        if name in named:
            raise UserError(
                f"the results of {named[name]} and of {path} would have one name, {name}; predict them one after the"
                " other into different folders"
            )
        named[name] = path
    items = [Item(name, str(path), version_of(path)) for name, path in named.items()]
    items += [Item(name, address) for name, address in addresses.items()]
    items += stored
    if len({item.name for item in items}) < len(items):
        raise UserError("the results of two inputs would have one name; predict them one after the other")
    return FileSource(items, failed, max_pixels)


def _stored(address: str) -> list[Item]:
    """The images at an address: one file, or all below it.

    Raises:
        UserError: there are none, or see `list_files`.
    """
    below = {name: entry for name, entry in list_files(address).items() if _is_image_name(name or address)}
    if not below:
        raise UserError(f"there are no images at {address} ({', '.join(sorted(IMAGE_SUFFIXES))}); check the address")
    stems = Counter(os.path.splitext(name)[0] for name in below)

    def called(name: str) -> str:
        stem, suffix = os.path.splitext(name or address.rpartition("/")[2])
        return f"{stem}_{suffix[1:]}" if stems[stem] > 1 else stem

    top = address.rstrip("/")
    return [Item(called(name), f"{top}/{name}".rstrip("/"), entry.version) for name, entry in below.items()]


def _is_image_name(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def version_of(path: Path) -> str | None:
    """What changes whenever a file does: its size and time of modification; None where there is no such file.

    Of an OME-Zarr, and of a scene in one file a band, the size of all files and the latest time.
    """
    if "{band}" in path.name:
        files = list(path.parent.glob("*".join(map(glob.escape, path.name.split("{band}")))))
    else:
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    try:
        found = [file.stat() for file in files]
    except OSError:  # it has just gone, or is a link to nothing: reading it will say so
        return None
    return f"{sum(one.st_size for one in found)}-{max((one.st_mtime_ns for one in found), default=0)}"


def _expand(given: str | Path, out: Path | None) -> Iterator[tuple[Path, Path]]:
    """The images of one input, each with its path relative to the input."""
    path = Path(given)
    results = None if out is None else out.resolve()
    if is_raster(path):
        yield path, Path(path.name.replace("{band}", "bands"))
        return
    if path.is_dir():
        if path.resolve() == results:
            raise UserError(f"{path} is both input and output folder; choose another out=")
        base, candidates = path, _walk(path)
        nothing = f"the folder {path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})"
    elif glob.has_magic(str(given)) and not path.exists():
        fixed = list(path.parts)
        while any(glob.has_magic(part) for part in fixed):
            fixed.pop()
        base, candidates = Path(*fixed), (Path(match) for match in sorted(glob.glob(str(given), recursive=True)))
        nothing = f"no image matches {given}; check the pattern"
    elif path.exists():
        yield path, Path(path.name)
        return
    else:
        raise UserError(f"{path} does not exist; check the path")
    within = results if results is not None and base.resolve() in results.parents else None
    images = [
        candidate
        for candidate in candidates
        if (candidate.suffix.lower() in IMAGE_SUFFIXES or is_video(candidate.name) or is_raster(candidate))
        and candidate.is_file()
        and not (within and candidate.resolve().is_relative_to(within))
    ]
    if not images:
        raise UserError(nothing)
    for image in images:
        yield image, image.relative_to(base)


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder in the order of their names, hidden files and folders left out."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(files) if not name.startswith("."))
