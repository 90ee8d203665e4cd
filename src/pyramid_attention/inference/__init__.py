"""From images to label maps: the Segmenter, its engines, where images come from and where results go.

Importing this room imports no PyTorch; the torch engine is loaded when a PyTorch model is. A name is resolved when it
is first used, so that the command line can list the Segmenter's options at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .options import DEFAULT_MODEL, SegmenterOptions
    from .segmentation import Segmentation
    from .segmenter import Segmenter

__all__ = ["DEFAULT_MODEL", "Segmentation", "Segmenter", "SegmenterOptions"]

_HOMES = {
    "DEFAULT_MODEL": ".options",
    "Segmentation": ".segmentation",
    "Segmenter": ".segmenter",
    "SegmenterOptions": ".options",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
