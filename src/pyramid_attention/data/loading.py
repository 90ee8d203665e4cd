"""Training samples on their way to batches: what a sample becomes depends on (seed, epoch, index) alone.

The sampler hands out (epoch, index) pairs, so that a worker, however and whenever it was started, knows all that the
augmentation of a sample depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import data

from .samples import Sample

Pixels = NDArray[np.uint8]


class TrainingSet(data.Dataset[dict[str, Tensor]]):
    """Augmented samples, keyed by (epoch, index). Decoded samples are shared by workers that are forked.

    Args:
        samples: the split.
        transform: makes tensors of an image (H×W×3 uint8) and a mask (H×W uint8), usually a `TrainTransform`; draws
            random numbers from PyTorch's default CPU generator only.
        seed: of the augmentation.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Callable[[Pixels, Pixels], tuple[Tensor, Tensor]],
        seed: int,
    ) -> None:
        self._samples = samples
        self._transform = transform
        self._seed = seed

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        """The sample `index` as augmented in `epoch`: "image" 3×h×w and "mask" h×w, both uint8."""
        epoch, index = key
        sample = self._samples[index]
        state = np.random.SeedSequence((self._seed, epoch, index)).generate_state(1, np.uint64)
        with torch.random.fork_rng(devices=[]):  # restores the generator of whoever runs this: main process or worker
            torch.default_generator.manual_seed(int(state[0]))
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
