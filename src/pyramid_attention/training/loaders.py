"""The samples of a training run, checked and cached, and the loaders that make batches and images of them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ..data import Dataset, Sample, check_samples, reduce_samples
from ..data.loading import EpochSampler, ProcessBatches, TrainingSet, epoch_length
from ..data.scenes import WindowSample
from ..data.transforms import TrainTransform
from ..errors import UserError
from ..images import RGB
from ..models import SegmentationModel
from ..report.progress import progress
from . import processes
from .recipe import DataRecipe, Recipe
from .task import NamedPair

CACHE_LIMIT = 4 * 2**30
"""`data.cache: auto` keeps the decoded training images in memory if they take at most so many bytes (4 GiB)."""


class Images(TorchDataset[NamedPair | None]):
    """A data set of PyTorch's that gives each sample at its own size, without augmentation.

    Args:
        samples: a process's own.
        length: of the longest share, so that all processes are done at the same time; None fills up the shorter.
    """

    def __init__(self, samples: Sequence[Sample], length: int) -> None:
        self.samples, self.length = samples, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> NamedPair | None:
        if index >= len(self.samples):
            return None
        sample = self.samples[index]
        return sample.name, sample.read_image(), sample.read_mask()


def _as_it_is(sample: Any) -> Any:
    return sample  # PyTorch would make tensors of the arrays


def loader_processes(wanted: int | None, device: torch.device, devices: int = 1) -> int:
    """Return how many processes load for one of a machine's devices: as wanted, or by its share of the cores.

    One a core for CUDA, at most 8; else one where cores are left.
    """
    if wanted is not None:
        return wanted
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) // devices
    return min(8, cores) if device.type == "cuda" else min(1, max(0, cores - 1))


def fits_in_memory(samples: Sequence[Sample], devices: int = 1) -> bool:
    """Say whether the decoded samples, once for each device, stay below `CACHE_LIMIT`; all as large as the first."""
    image = samples[0].read_image()
    size: int = image.nbytes + image.size // image.shape[2]  # the mask has a byte a pixel
    return size * len(samples) * devices <= CACHE_LIMIT


def open_samples(data: DataRecipe, dataset: Dataset, devices: int = 1) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return the samples of training and of validation, made smaller as the recipe says.

    Each is decoded once, to find what is broken before training begins; those of training are kept decoded where the
    recipe caches them. Drawn images cannot be broken, so they are decoded for the cache alone. Several processes check
    a share each.

    Args:
        data: of the recipe.
        dataset: which.
        devices: of this machine that train together: each process keeps images of its own.

    Raises:
        UserError: the data set has a problem that would corrupt a training or not these splits; or the first sample
            that cannot be read, and how many more there are.
    """
    dataset.refuse_problems()
    train, val = (reduce_samples(dataset.split(name), data.reduce) for name in (data.train_split, data.val_split))
    check = data.check and dataset.format != "shapes"
    drawn = isinstance(train[0], WindowSample)  # anew from the scene's files, each time
    keep = not drawn and (fits_in_memory(train, devices) if data.cache == "auto" else data.cache)
    if check or keep:
        own, own_val = train if keep else _share(train), _share(val) if check else ()
        shown = progress("reading the data", len(own) + len(own_val)) if processes.is_first() else nullcontext()
        with shown as advance:
            found = check_samples(own, advance, keep=keep)
            check_samples(own_val, advance)
        if keep:
            train = found
    return train, val


def _share(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples that this process validates on."""
    return samples[processes.rank() :: processes.count()]


def build_loaders(
    recipe: Recipe,
    train: Sequence[Sample],
    val: Sequence[Sample],
    device: torch.device,
    epochs_done: int,
    network: SegmentationModel | None = None,
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Make the loaders of training batches and of validation images: of this process's share of each.

    Args:
        recipe: its `data` group, seed, batch size and devices.
        train, val: the samples, see `open_samples`.
        device: decides how many processes load.
        epochs_done: where a resumed run stands. Lightning tells the sampler the epoch only after the first batches
            were fetched.
        network: that is trained, for the bands of its images and their statistics; by default images are in RGB.

    Raises:
        UserError: a batch has fewer images than there are processes.
    """
    data, batch_size, count = recipe.data, recipe.train.batch_size, processes.count()
    length = epoch_length(train)
    if (smallest := min(batch_size, length)) < count:
        raise UserError(
            f"a batch of {smallest} images (train.batch_size={batch_size}, {length} in '{data.train_split}') does"
            f" not reach for {count} processes; train on fewer devices, or with a larger batch"
        )
    workers = loader_processes(data.workers, device, recipe.train.devices)
    shared: dict[str, Any] = {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "generator": torch.Generator(),  # one of its own leaves the global random numbers to the network
    }
    transform = TrainTransform(data.crop, data.scale, data.flip, data.jitter, data.noise)
    if network is not None and network.bands != RGB:
        mean, std = ([value * network.bands.scale for value in values] for values in (network.mean, network.std))
        transform = TrainTransform(data.crop, data.scale, data.flip, data.jitter, data.noise, network.bands, mean, std)
    sampler = EpochSampler(length, seed=recipe.seed)
    sampler.set_epoch(epochs_done)
    batches: DataLoader[Any] = DataLoader(
        TrainingSet(train, transform, seed=recipe.seed),
        batch_sampler=ProcessBatches(sampler, batch_size, length >= batch_size, processes.rank(), count),
        pin_memory=device.type == "cuda",
        **shared,
    )
    images: DataLoader[Any] = DataLoader(
        Images(_share(val), math.ceil(len(val) / count)), batch_size=None, collate_fn=_as_it_is, **shared
    )
    return batches, images
