"""Training samples on their way to batches: what a sample becomes depends on (seed, epoch, index) alone.

The sampler hands out (epoch, index) pairs, so that a worker, however and whenever it was started, knows all that the
augmentation of a sample depends on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from .samples import Sample
from .scenes import WindowSample
from .transforms import TrainTransform

LEAST_WINDOWS = 128
"""Windows of scenes that an epoch draws at least."""


def epoch_length(samples: Sequence[Sample]) -> int:
    """How many training images an epoch has: one a sample, of scenes at least `LEAST_WINDOWS`."""
    return max(len(samples), LEAST_WINDOWS if isinstance(samples[0], WindowSample) else 0)


class TrainingSet(data.Dataset[dict[str, Tensor]]):
    """Augmented samples, keyed by (epoch, index). Decoded samples are shared by workers that are forked.

    Args:
        samples: the split.
        transform: makes tensors of an image (H×W×B) and a mask (H×W uint8), or of a scene; draws random numbers from
            PyTorch's default CPU generator only.
        seed: of the augmentation.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: TrainTransform,
        seed: int,
    ) -> None:
        self._samples = samples
        self._transform = transform
        self._seed = seed

    def __len__(self) -> int:
        return epoch_length(self._samples)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        """The sample `index` as augmented in `epoch`: "image" B×h×w and "mask" h×w.

        A window of a scene stands for its scene, from which a window is drawn anew.
        """
        epoch, index = key
        sample = self._samples[index % len(self._samples)]
        state = np.random.SeedSequence((self._seed, epoch, index)).generate_state(1, np.uint64)
        with torch.random.fork_rng(devices=[]):  # restores the generator of whoever runs this: main process or worker
            torch.default_generator.manual_seed(int(state[0]))
            if isinstance(sample, WindowSample):
                shown, labels = self._transform.of_scene(sample.scene)
            else:
                shown, labels = self._transform(sample.read_image(), sample.read_mask())
        return {"image": shown, "mask": labels}


class EpochSampler(data.Sampler[tuple[int, int]]):
    """The (epoch, index) pairs of one epoch, in an order that depends on (seed, epoch) alone.

    Args:
        length: number of samples.
        seed: of the order.
    """

    def __init__(self, length: int, seed: int) -> None:
        self._length = length
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the iterators that follow (Lightning calls this before each)."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self._epoch
        order = np.random.default_rng((self._seed, epoch)).permutation(self._length)
        return iter([(epoch, index) for index in order.tolist()])


class ProcessBatches(data.Sampler[list[tuple[int, int]]]):
    """The part of each whole batch that one of several processes computes; the parts are contiguous and differ by one.

    So a step has the same images however many processes share it.

    Args:
        sampler: of the epoch.
        batch_size: of the whole batch.
        drop_last: leave out a last batch that is not full.
        rank: of the process, counted from 0.
        processes: how many there are, at most as many as the smallest batch has images.
    """

    def __init__(
        self, sampler: EpochSampler, batch_size: int, drop_last: bool, rank: int = 0, processes: int = 1
    ) -> None:
        self.sampler = sampler  # Lightning tells it the epoch
        self._whole: data.Sampler[Any] = data.BatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        self._rank, self._processes = rank, processes

    def __len__(self) -> int:
        return len(self._whole)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self._whole:
            begin, end = (len(batch) * part // self._processes for part in (self._rank, self._rank + 1))
            yield batch[begin:end]
