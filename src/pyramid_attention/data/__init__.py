"""Data: from files, or from nothing, to samples (no PyTorch here); `transforms` and `loading` make training batches.

A name is resolved when it is first used, so that the command line can list the options of `Reading` at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .derived import fit_masks, reduce_samples, remap_classes
    from .readers import READERS, open_dataset
    from .reading import Reading
    from .samples import Dataset, FileSample, Sample, check_samples

__all__ = [
    "READERS",
    "Dataset",
    "FileSample",
    "Reading",
    "Sample",
    "check_samples",
    "fit_masks",
    "open_dataset",
    "reduce_samples",
    "remap_classes",
]

_HOMES = {
    "READERS": ".readers",
    "Dataset": ".samples",
    "FileSample": ".samples",
    "Reading": ".reading",
    "Sample": ".samples",
    "check_samples": ".samples",
    "fit_masks": ".derived",
    "open_dataset": ".readers",
    "reduce_samples": ".derived",
    "remap_classes": ".derived",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
