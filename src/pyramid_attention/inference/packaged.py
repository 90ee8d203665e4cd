"""The models that come with the package: exported files in `packaged/`, each with a card beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .engines.exported import Description, describe

FOLDER = Path(__file__).parent.parent / "packaged"


@dataclass(frozen=True)
class Packaged:
    """A packaged model.

    Attributes:
        name: as `Segmenter.load` and --model take it.
        path: of its `.onnx` file.
        card: of its model card (Markdown).
        description: what the file says of itself.
    """

    name: str
    path: Path
    card: Path
    description: Description


def packaged_names() -> list[str]:
    """The names of the packaged models."""
    return sorted(path.stem for path in FOLDER.glob("*.onnx"))


def packaged_path(name: str) -> Path | None:
    """The file of a packaged model, or None where there is none of this name."""
    return FOLDER / f"{name}.onnx" if name in packaged_names() else None


def list_packaged() -> list[Packaged]:
    """The packaged models, with what their files say of themselves."""
    from .engines.onnxruntime import open_session

    found = []
    for name in packaged_names():
        path = FOLDER / f"{name}.onnx"
        session = open_session(path, optimise=False)
        found.append(Packaged(name, path, path.with_suffix(".md"), describe(session, path, None)))
    return found
