"""What runs a network: each engine is one file and one row of a table, and the Segmenter works alike with every one."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...artifacts import Located, Model, ModelInfo, locate
from ...errors import UserError, is_installed, nearest, require
from ..options import SegmenterOptions


class Engine(Protocol):
    """A network made ready to run: the values of images in, logits out, preprocessing inside."""

    @property
    def info(self) -> ModelInfo:
        """What is known of the model; its `classes` are there."""
        ...

    @property
    def device(self) -> str:
        """Where the network is computed: "cpu", "cuda" or "mps"."""
        ...

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """The logits of images N×H×W×B (of `info.bands`; H and W ≥ 32, multiples of `info.size_divisor`).

        Returns:
            N×C×h×w (float32): one logit a class, at h×w places that are evenly spread over the H×W pixels.

        Raises:
            UserError: memory runs out, or the logits are not finite.
        """
        ...


class Loader(Protocol):
    """What the file of an engine holds, as a module."""

    def load(self, model: Located, options: SegmenterOptions) -> Engine:
        """Make the engine for a model.

        Raises:
            UserError: the model is damaged, or the engine or an option is not possible with it.
        """
        ...


@dataclass(frozen=True)
class Row:
    """An engine of the table; the file beside this one that has its name holds its `load`.

    Attributes:
        kind: of the models that it runs.
        needs: packages that must be installed, keys of `EXTRAS`.
        options: those fields of `SegmenterOptions` that not every engine has, and this one has.
    """

    kind: Literal["folder", "onnx"]
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


ENGINES = {
    "onnxruntime": Row("onnx", options=("classes",)),
    "openvino": Row("onnx", ("openvino",), ("classes",)),
    "torch": Row("folder", ("torch", "timm"), ("precision", "compile")),
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
    engine: Loader = importlib.import_module(f".{name}", __package__)  # only now: it imports what it needs
    return engine.load(found, options)
