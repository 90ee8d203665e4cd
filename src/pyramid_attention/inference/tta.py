"""Test-time augmentation as the paper evaluates: six scales and left-right flip, averaged (Li et al., BMVC 2018).

What is averaged are class probabilities: the scores of each of the twelve views are brought to one grid bilinearly,
that of the largest view, then softmax. The paper says "scores averaged" and not which. Probabilities give each view one
vote, however large its scores, and their mean is a probability again. Its logarithm is what the engine gives: the
softmax of that is the mean, so labels, confidence and tiling go on from it as from any network's scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .engines import Engine
from .padding import pad
from .upsample import Axis, interpolate

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
LEAST = 1e-12
"""The smallest mean probability that is told from none."""


class AugmentedEngine:
    """An engine that runs another on all of `SCALES`, each as it is and mirrored."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.classes, self.size_divisor, self.align_corners = engine.classes, engine.size_divisor, engine.align_corners

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The engine's."""
        return self.engine.metadata

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score images N×H×W×3 (uint8) → N×C×h×w (float32): the logarithms of the mean probabilities.

        Raises:
            UserError: as the engine.
        """
        total: NDArray[np.float32] | None = None
        for scale in sorted(SCALES, reverse=True):
            views = self._probabilities(_scaled(images, scale), None if total is None else total.shape[-2:])
            total = views if total is None else total + views
        assert total is not None
        return np.log(np.maximum(total / (2 * len(SCALES)), LEAST))

    def _probabilities(self, images: NDArray[np.uint8], grid: tuple[int, ...] | None) -> NDArray[np.float32]:
        """The sum of the probabilities of images and of their mirror images at the points of a grid: N×C×h×w.

        Without a grid at the network's own points.
        """

        def view(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            padded = pad(images, self.size_divisor)
            scores = self.engine(padded)
            axes = []
            for points, seen, side, wanted in zip(
                scores.shape[2:], padded.shape[1:3], images.shape[1:3], grid or scores.shape[2:], strict=True
            ):
                axes.append(Axis.between(points, wanted, self.align_corners, side / seen))
            brought = np.stack([interpolate(one, *axes) for one in scores])
            brought -= brought.max(axis=1, keepdims=True)
            odds: NDArray[np.float32] = np.exp(brought)
            odds /= odds.sum(axis=1, keepdims=True)
            return odds

        # First mirror, last mirror back: so a mirrored image gives the mirrored result to the bit.
        return view(images) + view(images[:, :, ::-1])[..., ::-1]


def _scaled(images: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Images N×H×W×3 at another size, as training scales them: bilinear, antialiased."""
    if scale == 1:
        return images
    height, width = images.shape[1:3]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in images])
