"""Training samples on their way to batches: what a sample becomes depends on (seed, epoch, index) alone.

The sampler hands out (epoch, index) pairs, so that a worker, however and whenever it was started, knows all that the
augmentation of a sample depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import data

from .samples import Sample

Pixels = NDArray[np.uint8]


class TrainingSet(data.Dataset[dict[str, Tensor]]):
    """Augmented samples, keyed by (epoch, index).

    Args:
        samples: the split.
        transform: makes tensors of an image (H×W×3 uint8) and a mask (H×W uint8), usually a `TrainTransform`; draws
            random numbers from PyTorch's default CPU generator only.
        seed: of the augmentation.
        cache: decode every sample now and keep it in memory. Workers that are forked share it; others get a copy each.

    Raises:
        UserError: a sample cannot be read.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Callable[[Pixels, Pixels], tuple[Tensor, Tensor]],
        seed: int,
        cache: bool,
    ) -> None:
        self._samples = samples
        self._transform = transform
        self._seed = seed
        self._cached: list[tuple[Pixels, Pixels]] | None = None
        if cache:
            with ThreadPoolExecutor(max_workers=4) as pool:
                self._cached = list(pool.map(_read, samples))

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        """The sample `index` as augmented in `epoch`: "image" 3×h×w and "mask" h×w, both uint8."""
        epoch, index = key
        image, mask = _read(self._samples[index]) if self._cached is None else self._cached[index]
        state = np.random.SeedSequence((self._seed, epoch, index)).generate_state(1, np.uint64)
        with torch.random.fork_rng(devices=[]):  # restores the generator of whoever runs this: main process or worker
            torch.default_generator.manual_seed(int(state[0]))
            shown, labels = self._transform(image, mask)
        return {"image": shown, "mask": labels}


def _read(sample: Sample) -> tuple[Pixels, Pixels]:
    return sample.read_image(), sample.read_mask()


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
