"""From the name of a model to the engine that runs it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import UserError, nearest, require
from .engines import Engine
from .options import SegmenterOptions
from .packaged import packaged_names, packaged_path
from .threads import usable_cores

ENGINES = ("auto", "onnxruntime", "openvino", "torch")


def load_engine(model: str | os.PathLike[str], options: SegmenterOptions) -> Engine:
    """Load a model with an engine.

    Raises:
        UserError: there is no such model, device or engine, the model is damaged, or the engine cannot run it.
        MissingExtra: the engine is not installed.
    """
    engine, classes, precision = options.engine, options.classes, options.precision
    device, compiled = options.device, options.compile
    if engine not in ENGINES:
        raise UserError(f"there is no engine '{engine}'.{nearest(engine, ENGINES)}")
    found = find_model(model)
    exported = isinstance(found, Path) and found.suffix == ".onnx"
    if exported and engine == "torch":
        raise UserError(f"{found} is an exported model, which the torch engine does not run; use onnxruntime")
    if not exported and engine not in ("auto", "torch"):
        raise UserError(f"{found} is a PyTorch model, and {engine} runs exported ones; first: pan export {found}")
    if exported and (precision != "fp32" or compiled):
        raise UserError(f"precision= and compile= are for PyTorch models, and {found} is an exported one")
    if not exported and classes is not None:
        raise UserError(f"classes= names the classes of a foreign .onnx file; {found} holds its own")
    if not exported:
        require("a PyTorch model", "torch", "timm")
        import torch

        from ..models import SegmentationModel
        from .engines.torch import TorchEngine

        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))  # it knows nothing of a container's quota
        return TorchEngine(SegmentationModel.from_pretrained(found), device, precision, compiled)
    assert isinstance(found, Path)
    if engine == "openvino":
        require("the engine openvino", "openvino")
        from .engines.openvino import OpenVinoEngine

        return OpenVinoEngine(found, device, classes)
    from .engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(found, device, classes)


def find_model(model: str | os.PathLike[str]) -> str | Path:
    """The exported file or model folder that a path or a packaged model's name means; a name on the hub stays one.

    Raises:
        UserError: a path that is no model, or not there.
    """
    path = Path(model)
    for folder in (path, path / "model"):
        if (folder / "config.json").is_file():
            return folder
    if path.is_file() and path.suffix == ".onnx":
        return path
    packaged = packaged_path(str(model))
    if packaged is not None:
        return packaged
    if path.is_dir():
        raise UserError(
            f"{path} holds no model (neither config.json nor model/config.json); name a run folder of 'pan train' after"
            " its first epoch, or a model folder"
        )
    known = "a run folder of 'pan train', a model folder"
    if path.exists():
        raise UserError(f"{path} is not a model; name {known} or an .onnx file of 'pan export'")
    # "owner/name" is a name on the hub, unless "owner" is a folder here: then it is a mistyped path.
    if isinstance(model, str) and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", model) and not path.parent.exists():
        return model
    names = " or ".join(packaged_names())
    raise UserError(f"there is no model {path}; name {known}, an .onnx file, {names}, or 'owner/name' on the hub")
