"""Several models as one: the mean of their probabilities, on the finest grid that one of them has.

As in test-time augmentation each gets one vote, however large its logits, and what comes out is the logarithm of the
mean, which tiling, confidence and all else take for any network's logits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..artifacts import ModelInfo
from ..errors import UserError
from .engines import Engine
from .plan import Plan
from .tta import LEAST, probabilities_at


def combine(infos: Sequence[ModelInfo]) -> ModelInfo:
    """What is known of several models taken as one.

    Raises:
        UserError: a model has other classes than the first, or its logits lie over the pixels in another way.
    """
    first = infos[0]
    for number, info in enumerate(infos[1:], 2):
        ours, theirs = (one.classes.names if one.classes else () for one in (first, info))
        if ours != theirs:
            raise UserError(
                f"model {number} of the ensemble has other classes ({', '.join(theirs)}) than the first"
                f" ({', '.join(ours)}); name models of the same classes in the same order"
            )
        if info.bands != first.bands:
            raise UserError(
                f"model {number} of the ensemble takes {info.bands}, and the first {first.bands}; name models of the"
                " same images"
            )
        if info.align_corners != first.align_corners:
            raise UserError(
                f"model {number} of the ensemble differs from the first in align_corners; name models that agree"
            )
    sizes = [info.max_size for info in infos]
    digests = [info.weights_sha256 for info in infos]
    return replace(
        first,
        network={},
        max_size=None if None in sizes else max(size for size in sizes if size is not None),
        size_divisor=math.lcm(*(info.size_divisor for info in infos)),
        validation={},
        provenance={"ensemble": digests},
        flops=None,
        weights_sha256=None if None in digests else hashlib.sha256(" ".join(map(str, digests)).encode()).hexdigest(),
    )


class EnsembleEngine:
    """An engine that runs several others on the same images.

    Args:
        engines: two or more.

    Raises:
        UserError: see `combine`.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.engines = engines
        self.info = combine([engine.info for engine in engines])
        self.device = engines[0].device

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the networks on images N×H×W×3 (uint8) → N×C×h×w (float32): the logarithms of the mean probabilities.

        Raises:
            UserError: as the engines.
        """
        size = images.shape[1], images.shape[2]
        plan = Plan(size, size, self.info.size_divisor, self.info.align_corners)
        logits = [engine(images) for engine in self.engines]
        grid = max((one.shape[2:] for one in logits), key=math.prod)
        total = sum(probabilities_at(plan, one, grid) for one in logits)
        mean: NDArray[np.float32] = np.log(np.maximum(total / len(logits), LEAST))
        return mean
