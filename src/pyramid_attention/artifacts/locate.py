"""Where a saved model is: a path, the name of a packaged model, or a name on the Hugging Face hub.

This is the only place that looks at how a model's file is called.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import UserError
from ..files import address_of
from ..storage import local_copy
from .hub import download

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
"""The files of a model folder."""
FOLDER = Path(__file__).parent.parent / "packaged"
PACKAGED = {
    "pan-street": "6a6f16b22fdf005a89f8e2bc643c0132f16f822bc8328d835216e056cbc2bfdf",
    "pan-street-l": "391dcb1c55542201c3808a1f2e18c3b816d187d1b125e8c8645f9f7c7a3a9a46",
}
"""The models in the package, exported files with a card beside each: by their names, the SHA-256 of the file."""
RUNS = "runs"
"""Where `pan train` puts its run folders: what is named below it is always a path."""


@dataclass(frozen=True)
class Located:
    """A saved model that was found.

    Attributes:
        kind: "folder" (a model folder, for PyTorch) or "onnx" (an exported file).
        path: of the folder or the file.
        sha256: of the file, where the program itself knows it.
    """

    kind: Literal["folder", "onnx"]
    path: Path
    sha256: str | None = None

    def __str__(self) -> str:
        return str(self.path)


Model = str | os.PathLike[str] | Located
"""How a model is named: by the path of a run folder, a model folder or an exported file, by a packaged model's name, by
its name on the hub ("owner/name"), by the address of any of these files or folders; or as one that was located."""


def locate(
    model: Model,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    weights: bool = True,
) -> Located:
    """Find a saved model.

    Args:
        model: which.
        revision: of a model on the hub: a branch, a tag or a commit.
        token: for the hub; by default the one that was logged in with.
        cache_dir: where what is downloaded is kept; by default the hub's own cache.
        local_files_only: do not ask the hub, take what is in the cache.
        weights: download the weights, too.

    Raises:
        UserError: a path that is no model, or not there; the hub does not have it, or cannot be reached.
        MissingExtra: it is on the hub, and the package that asks it is not installed.
    """
    if isinstance(model, Located):
        return model
    address = address_of(model)
    path = Path(model) if address is None else local_copy(address)
    for folder in (path, path / "model"):
        if (folder / CONFIG).is_file():
            return Located("folder", folder)
    if path.is_file() and path.suffix == ".onnx":
        return Located("onnx", path)
    if str(model) in PACKAGED:
        return Located("onnx", FOLDER / f"{model}.onnx", PACKAGED[str(model)])
    if path.is_dir():
        raise UserError(
            f"{path} holds no model (neither {CONFIG} nor model/{CONFIG}); name a run folder of 'pan train' after its"
            " first epoch, or a model folder"
        )
    known = "a run folder of 'pan train', a model folder"
    if path.exists():
        raise UserError(f"{path} is not a model; name {known} or an .onnx file of 'pan export'")
    if isinstance(model, str) and _may_be_on_hub(model):
        files = [CONFIG, WEIGHTS] if weights else [CONFIG]
        folder = download(model, files, revision, token, cache_dir, local_files_only)
        if not (folder / CONFIG).is_file():
            raise UserError(f"'{model}' on the Hugging Face hub is no model of pyramid-attention: it holds no {CONFIG}")
        return Located("folder", folder)
    names = " or ".join(PACKAGED)
    raise UserError(f"there is no model {path}; name {known}, an .onnx file, {names}, or 'owner/name' on the hub")


def _may_be_on_hub(name: str) -> bool:
    """Whether a name is "owner/name" and cannot be a mistyped path: "owner" is no folder, and "name" no file."""
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        return False
    path = Path(name)
    return not path.parent.exists() and path.parent.name != RUNS and path.suffix not in (".onnx", ".safetensors", ".pt")
