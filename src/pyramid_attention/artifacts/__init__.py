"""A saved model: what it is, where it is, and the two kinds of files it is kept in.

Importing this room imports no PyTorch, and neither does finding a model or reading what it says of itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

from . import folder, onnx_file
from .folder import push_model, save_model
from .info import Flops, ModelInfo
from .locate import Located, Model, locate

if TYPE_CHECKING:
    from ..models import SegmentationModel

__all__ = [
    "Flops",
    "Located",
    "Model",
    "ModelInfo",
    "load_model",
    "locate",
    "push_model",
    "read_info",
    "save_model",
]


def read_info(model: Model) -> ModelInfo:
    """What a saved model says of itself; its weights are not read.

    Raises:
        UserError: there is no such model, it is damaged, of another version's format, or another program's.
    """
    found = locate(model, weights=False)
    return onnx_file.read_info(found.path) if found.kind == "onnx" else folder.read_info(found.path)


def load_model(
    model: Model,
    *,
    parts: Iterable[type | str] = (),
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
) -> SegmentationModel:
    """The network of a saved model, in evaluation mode; of an exported file, too, as long as its weights are float.

    Args:
        model: which.
        parts: classes of one's own that the model names (or their import paths, which are then imported): no code is
            run because a file asks for it.
        revision, token, cache_dir, local_files_only: for the hub, see `locate`.

    Raises:
        UserError: there is no such model, it is damaged, made by another version, or names parts that are not given.
    """
    found = locate(model, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only)
    return onnx_file.load_file(found, parts) if found.kind == "onnx" else folder.load_folder(found.path, parts)
