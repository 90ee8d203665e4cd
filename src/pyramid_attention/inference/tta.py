"""Test-time augmentation as the paper evaluates: six scales and left-right flip, averaged (Li et al., BMVC 2018).

What is averaged are class probabilities: the logits of each of the twelve views are brought to one grid bilinearly,
that of the largest view, then softmax. The paper says "scores averaged" and not which. Probabilities give each view one
vote, however large its logits, and their mean is a probability again. Its logarithm is what the engine gives: the
softmax of that is the mean, so labels, confidence and tiling go on from it as from any network's logits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images import ArrayImage, read_whole
from .engines import Engine
from .plan import Plan, pad
from .upsample import interpolate

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
LEAST = 1e-12
"""The smallest mean probability that is distinguished from none."""


def probabilities_at(plan: Plan, logits: NDArray[np.float32], grid: tuple[int, ...]) -> NDArray[np.float32]:
    """The softmax of logits N×C×h×w of a plan, brought to a grid of other h×w bilinearly first."""
    rows, columns = plan.axes(logits.shape[2:], grid)
    probabilities = np.stack([interpolate(one, rows, columns) for one in logits])
    probabilities -= probabilities.max(axis=1, keepdims=True)
    np.exp(probabilities, out=probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities


class AugmentedEngine:
    """An engine that runs another on all of `SCALES`, each as it is and mirrored."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.info, self.device = engine.info, engine.device

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Run the network on images N×H×W×B → N×C×h×w (float32): the logarithms of the mean probabilities.

        Raises:
            UserError: as the engine.
        """
        total: NDArray[np.float32] | None = None
        for scale in sorted(SCALES, reverse=True):
            probabilities = self._probabilities(images, scale, None if total is None else total.shape[2:])
            total = probabilities if total is None else total + probabilities
        assert total is not None
        return np.log(np.maximum(total / (2 * len(SCALES)), LEAST))

    def _probabilities(self, images: NDArray[Any], scale: float, grid: tuple[int, ...] | None) -> NDArray[np.float32]:
        """The sum of the probabilities of the images at a scale and of their mirror images, on a grid: N×C×h×w.

        Without a grid at the places of the network's own.
        """
        height, width = images.shape[1:3]
        size = max(1, round(height * scale)), max(1, round(width * scale))
        plan = Plan((height, width), size, self.info.size_divisor, self.info.align_corners)
        scaled = np.stack([read_whole(plan.resize(ArrayImage(image))) for image in images])

        def view(images: NDArray[Any]) -> NDArray[np.float32]:
            logits = self.engine(pad(images, self.info.size_divisor))
            return probabilities_at(plan, logits, grid or logits.shape[2:])

        # First mirror, last mirror back: so a mirrored image gives the mirrored result to the bit.
        return view(scaled) + view(scaled[:, :, ::-1])[..., ::-1]
