"""Data: from files, or from nothing, to samples (no PyTorch here); `transforms` and `loading` make training batches."""

from __future__ import annotations

from .derived import fit_masks, reduce_samples, remap_classes
from .readers import READERS, open_dataset
from .samples import Dataset, FileSample, Sample, check_samples

__all__ = [
    "READERS",
    "Dataset",
    "FileSample",
    "Sample",
    "check_samples",
    "fit_masks",
    "open_dataset",
    "reduce_samples",
    "remap_classes",
]
