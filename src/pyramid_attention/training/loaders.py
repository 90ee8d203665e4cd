"""The samples of a training run, checked and cached, and the loaders that make batches and images of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ..data import Dataset, Sample, check_samples, reduce_samples
from ..data.loading import EpochSampler, TrainingSet
from ..data.transforms import TrainTransform
from ..report.progress import progress
from .recipe import DataRecipe, Recipe
from .task import NamedPair

CACHE_LIMIT = 4 * 2**30
"""`data.cache: auto` keeps the decoded training images in memory if they take at most so many bytes (4 GiB)."""


class Images(TorchDataset[NamedPair]):
    """A data set of PyTorch's that gives each sample at its own size, without augmentation."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> NamedPair:
        sample = self.samples[index]
        return sample.name, sample.read_image(), sample.read_mask()


def _as_it_is(sample: Any) -> Any:
    return sample  # PyTorch would make tensors of the arrays


def loader_processes(wanted: int | None, device: torch.device) -> int:
    """Return how many processes load: as wanted; else one a core for CUDA, at most 8; else one where cores are left."""
    if wanted is not None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores) if device.type == "cuda" else min(1, cores - 1)


def fits_in_memory(samples: Sequence[Sample]) -> bool:
    """Say whether the decoded samples stay below `CACHE_LIMIT` if all are as large as the first (4 bytes a pixel)."""
    return samples[0].read_image().size // 3 * 4 * len(samples) <= CACHE_LIMIT


def open_samples(data: DataRecipe, dataset: Dataset) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return the samples of training and of validation, made smaller as the recipe says.

    Each is decoded once, to find what is broken before training begins; those of training are kept decoded where the
    recipe caches them. Drawn images cannot be broken, so they are decoded for the cache alone.

    Raises:
        UserError: the data set has a problem that would corrupt a training or not these splits; or the first sample
            that cannot be read, and how many more there are.
    """
    dataset.refuse_problems()
    train, val = (reduce_samples(dataset.split(name), data.reduce) for name in (data.train_split, data.val_split))
    check = data.check and dataset.format != "shapes"
    keep = fits_in_memory(train) if data.cache == "auto" else data.cache
    if check or keep:
        with progress("reading the data", len(train) + len(val) * check) as advance:
            train = check_samples(train, advance, keep=keep)
            if check:
                check_samples(val, advance)
    return train, val


def build_loaders(
    recipe: Recipe, train: Sequence[Sample], val: Sequence[Sample], device: torch.device, epochs_done: int
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Make the loaders of training batches and of validation images.

    Args:
        recipe: its `data` group, seed and batch size.
        train, val: the samples, see `open_samples`.
        device: decides how many processes load.
        epochs_done: where a resumed run stands. Lightning tells the sampler the epoch only after the first batches
            were fetched.
    """
    data, batch_size = recipe.data, recipe.train.batch_size
    workers = loader_processes(data.workers, device)
    shared: dict[str, Any] = {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "generator": torch.Generator(),  # one of its own leaves the global random numbers to the network
    }
    transform = TrainTransform(data.crop, data.scale, data.flip, data.jitter, data.noise)
    sampler = EpochSampler(len(train), seed=recipe.seed)
    sampler.set_epoch(epochs_done)
    batches: DataLoader[Any] = DataLoader(
        TrainingSet(train, transform, seed=recipe.seed),
        batch_size=batch_size,
        sampler=sampler,
        drop_last=len(train) >= batch_size,
        pin_memory=device.type == "cuda",
        **shared,
    )
    images: DataLoader[Any] = DataLoader(Images(val), batch_size=None, collate_fn=_as_it_is, **shared)
    return batches, images
