"""Pyramid Attention: semantic segmentation with PAN, from a folder of images to a trained model.

Importing this package imports no PyTorch; a name that needs it is resolved when it is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime's, which writes files and sends what it counts

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .classes import ClassTable
    from .evaluation import evaluate
    from .inference import Segmentation, Segmenter
    from .models import PAN
    from .training import train

__all__ = ["PAN", "ClassTable", "Segmentation", "Segmenter", "__version__", "evaluate", "train"]

_HOMES = {
    "ClassTable": ".classes",
    "PAN": ".models",
    "Segmentation": ".inference",
    "Segmenter": ".inference",
    "evaluate": ".evaluation",
    "train": ".training",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
