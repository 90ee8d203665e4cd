"""The models of a server: their names, and those that have to be exported first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..artifacts import Located, locate
from ..errors import UserError, require
from ..inference import Segmenter, SegmenterOptions

NAMELESS = ("model", "model-int8")
"""Names of files and folders that many models have; the folder around them says more."""


def load_models(models: Sequence[str], options: SegmenterOptions, scratch: Path) -> dict[str, Segmenter]:
    """Load models, by the names under which they are served, and run each once.

    Args:
        models: as `Segmenter.load` takes them, or NAME=MODEL.
        options: of the Segmenters.
        scratch: a folder for files that are exported on the way.

    Raises:
        UserError: as `Segmenter.load`; two of one name; a model cannot be exported.
        MissingExtra: a model has to be exported, and PyTorch is not installed.
    """
    found: dict[str, Segmenter] = {}
    for given in models:
        name, equals, model = given.partition("=")
        if not equals or Path(given).exists():
            name, model = model_name(given), given
        if name in found:
            raise UserError(f"two models are called '{name}'; name one otherwise: OTHER={model}")
        segmenter = Segmenter.load(exported(model, scratch / f"{name}.onnx"), options)
        refuse_bands(segmenter, name)
        segmenter(np.zeros((64, 64, 3), np.uint8))  # what is wrong shows now, and the first request is not the slow one
        found[name] = segmenter
    return found


def refuse_bands(segmenter: Segmenter, name: str) -> None:
    """Raise where a model takes other images than a browser has.

    Raises:
        UserError: its bands are named.
    """
    bands = segmenter.info.bands
    if not bands.is_rgb:
        raise UserError(f"{name} takes {bands}, and browsers and servers get images in RGB; use it with pan predict")


def model_name(model: str) -> str:
    """What a model is called: by its name, its file's, or the folder's around files and folders called "model"."""
    path = Path(model)
    own = path.stem if path.suffix == ".onnx" else path.name
    around = path.resolve().parent.name
    return around if around and own in NAMELESS else own


def exported(model: str, out: Path) -> Located:
    """The exported file of a model, written to `out` if it is not one already.

    A process of its own exports, so that PyTorch's memory is not the server's.

    Raises:
        UserError: there is no such model, or it cannot be exported.
        MissingExtra: PyTorch is not installed.
    """
    found = locate(model)
    if found.kind == "onnx":
        return found
    require(f"{model} is not exported, and exporting it", "torch", "timm", "onnx", "onnxscript")
    print(f"{model} is not exported; exporting it …", file=sys.stderr)
    command = [sys.executable, "-m", "pyramid_attention.cli", "export", str(found), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(done.stderr.strip().rpartition("\n")[2].removeprefix("pan: "))
    return Located("onnx", out)


def model_entry(name: str, segmenter: Segmenter) -> dict[str, Any]:
    """A model as JSON, for the page and for `/v1/models`."""
    return {
        "name": name,
        "classes": list(segmenter.classes.names),
        "colours": [list(colour) for colour in segmenter.classes.colours],
        "max_size": segmenter.max_size,
        "attention": bool(segmenter.info.attention),
    }
