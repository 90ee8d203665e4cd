"""What runs a network: each engine is one file and one row of a table, and the Segmenter works alike with every one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...artifacts import Located, Model, ModelInfo, locate
from ...errors import UserError, is_installed, nearest, require
from ..options import SegmenterOptions


class Engine(Protocol):
    """A network made ready to run: pixels in, logits out, preprocessing inside."""

    @property
    def info(self) -> ModelInfo:
        """What is known of the model; its `classes` are there."""
        ...

    @property
    def device(self) -> str:
        """Where the network is computed: "cpu", "cuda" or "mps"."""
        ...

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits of images N×H×W×3 (uint8 RGB; H and W ≥ 32, multiples of `info.size_divisor`).

        Returns:
            N×C×h×w (float32): one logit a class, at h×w places that are evenly spread over the H×W pixels.

        Raises:
            UserError: memory runs out, or the logits are not finite.
        """
        ...


@dataclass(frozen=True)
class Row:
    """An engine of the table.

    Attributes:
        kind: of the models that it runs.
        load: makes it for a model; imports what it needs only then.
        needs: packages that must be installed, keys of `EXTRAS`.
        options: those fields of `SegmenterOptions` that not every engine has, and this one has.
    """

    kind: Literal["folder", "onnx"]
    load: Callable[[Located, SegmenterOptions], Engine]
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def _onnxruntime(model: Located, options: SegmenterOptions) -> Engine:
    from .onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, options.device, options.classes)


def _openvino(model: Located, options: SegmenterOptions) -> Engine:
    from .openvino import OpenVinoEngine

    return OpenVinoEngine(model, options.device, options.classes)


def _torch(model: Located, options: SegmenterOptions) -> Engine:
    from .torch import load

    return load(model, options)


ENGINES = {
    "onnxruntime": Row("onnx", _onnxruntime, options=("classes",)),
    "openvino": Row("onnx", _openvino, ("openvino",), ("classes",)),
    "torch": Row("folder", _torch, ("torch", "timm"), ("precision", "compile")),
}
"""By name; "auto" is the first that runs the model's kind."""
KINDS = {"folder": "a PyTorch model", "onnx": "an exported model"}


def engines_for(model: Model) -> list[str]:
    """The names of the engines that can run a model here.

    Raises:
        UserError: there is no such model.
    """
    kind = locate(model, weights=False).kind
    return [name for name, row in ENGINES.items() if row.kind == kind and all(map(is_installed, row.needs))]


def load_engine(model: Model, options: SegmenterOptions) -> Engine:
    """Load a model with the engine that the options name.

    Raises:
        UserError: there is no such model, device or engine, the model is damaged, or the engine cannot run it.
        MissingExtra: the engine is not installed.
    """
    if options.engine not in ("auto", *ENGINES):
        raise UserError(f"there is no engine '{options.engine}'.{nearest(options.engine, ['auto', *ENGINES])}")
    found = locate(model)
    able = [name for name, row in ENGINES.items() if row.kind == found.kind]
    name = able[0] if options.engine == "auto" else options.engine
    row = ENGINES[name]
    if name not in able:
        first = f", or first: pan export {found}" if found.kind == "folder" else ""
        raise UserError(f"{found} is {KINDS[found.kind]}, which {name} does not run; use {' or '.join(able)}{first}")
    for option in sorted({option for each in ENGINES.values() for option in each.options} - set(row.options)):
        if getattr(options, option) != getattr(SegmenterOptions(), option):
            others = " and ".join(other for other, each in ENGINES.items() if option in each.options)
            raise UserError(f"{option}= is an option of {others}, and {found} is run by {name}; leave it out")
    require(f"the engine {name}", *row.needs)
    return row.load(found, options)
