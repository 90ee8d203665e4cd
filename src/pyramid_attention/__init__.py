"""Pyramid Attention: semantic segmentation with PAN, from a folder of images to a trained model.

Importing this package imports no PyTorch; a name that needs it is resolved when it is first used.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime's, which writes files and sends what it counts

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .artifacts import load_model
    from .classes import ClassTable
    from .evaluation import evaluate
    from .export import export
    from .inference import Segmentation, Segmenter
    from .models import PAN, build_model
    from .training import train

__all__ = [
    "PAN",
    "ClassTable",
    "Segmentation",
    "Segmenter",
    "__version__",
    "build_model",
    "evaluate",
    "export",
    "load_model",
    "train",
]

_HOMES = {
    "PAN": ".models",
    "ClassTable": ".classes",
    "Segmentation": ".inference",
    "Segmenter": ".inference",
    "build_model": ".models",
    "evaluate": ".evaluation",
    "export": ".export",
    "load_model": ".artifacts",
    "train": ".training",
}


class _Package(ModuleType):
    """Here `export` is the function; the room of that name, once it is imported, must not take its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
