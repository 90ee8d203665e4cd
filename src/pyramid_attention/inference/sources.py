"""Which images a prediction is asked for, and under which name each result is written."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ..errors import UserError
from ..images import IMAGE_SUFFIXES

Failure = tuple[Path, str]
"""An input that could not be segmented, and one line that says why."""


@dataclass(frozen=True)
class Source:
    """An image, and where its results go."""

    path: Path
    labels: Path
    overlay: Path
    confidence: Path

    @classmethod
    def named(cls, path: Path, out: Path, stem: PurePath) -> Source:
        """The results are `<stem>.png`, `<stem>_overlay.jpg` and `<stem>_confidence.png` in the folder `out`."""
        return cls(path, out / f"{stem}.png", out / f"{stem}_overlay.jpg", out / f"{stem}_confidence.png")


@dataclass
class Sources:
    """What a list of inputs stands for: the images in order, and the inputs that stand for nothing."""

    found: list[Source] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


def find_sources(inputs: Iterable[str | Path], out: str | Path) -> Sources:
    """Expand image files, folders and glob patterns (with ** too) into images.

    A folder gives every image below it, its relative path kept in the results' names; hidden files, files without a
    image's suffix and the output folder, where it lies inside, are left out. A pattern keeps the path from its first
    wildcard on. A file that is named itself is taken whatever its suffix. Files that would get one name (a.jpg, a.png)
    are written as a_jpg and a_png.

    Args:
        inputs: paths and patterns, in the order the results shall have.
        out: the output folder (need not exist).

    Raises:
        UserError: nothing is found at all, the output folder is itself an input, or two files would get one name.
    """
    inputs, out = list(inputs), Path(out)
    paths: dict[Path, tuple[Path, Path]] = {}  # resolved: (as found, relative); a file that is named twice counts once
    sources = Sources()
    for given in inputs:
        try:
            for path, relative in _expand(given, out):
                paths.setdefault(path.resolve(), (path, relative))
        except UserError as error:
            sources.failed.append((Path(given), str(error)))
    if not paths:
        raise UserError(sources.failed[0][1] if sources.failed else "no image was named")
    names = Counter(relative.with_suffix("") for _, relative in paths.values())
    for path, relative in paths.values():
        stem = relative.with_suffix("")
        if names[stem] > 1:
            stem = stem.with_name(f"{stem.name}_{relative.suffix[1:]}")
        sources.found.append(Source.named(path, out, stem))
    _check_results(sources.found)
    return sources


def _check_results(sources: list[Source]) -> None:
    """Check that no result takes the place of an image or of another result."""
    images = {source.path.resolve(): source.path for source in sources}
    written: dict[Path, Path] = {}
    for source in sources:
        for result in (source.labels, source.overlay, source.confidence):
            place = result.resolve()
            if place in images:
                raise UserError(
                    f"{result}, a result for {source.path}, would overwrite the image {images[place]}; choose"
                    " another folder with --out"
                )
            if place in written:
                raise UserError(
                    f"{written[place]} and {source.path} would both be written as {result}; predict them one after the"
                    " other into different folders"
                )
            written[place] = source.path


def _expand(given: str | Path, out: Path) -> Iterator[tuple[Path, Path]]:
    """The images of one input, each with its path relative to the input."""
    path = Path(given)
    if path.is_dir():
        if path.resolve() == out.resolve():
            raise UserError(f"{path} is both input and output folder; choose another with --out")
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
    results = out.resolve() if base.resolve() in out.resolve().parents else None
    images = [
        candidate
        for candidate in candidates
        if candidate.suffix.lower() in IMAGE_SUFFIXES
        and candidate.is_file()
        and not (results and candidate.resolve().is_relative_to(results))
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
