"""Images made large enough for a network, on every engine alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .options import MIN_SIDE


def pad(images: NDArray[np.uint8], size_divisor: int = 1) -> NDArray[np.uint8]:
    """Repeat the right and lower edge of images N×H×W×3 up to `MIN_SIDE` and a multiple of `size_divisor`.

    Whoever pads crops the result.
    """
    more = [max(MIN_SIDE, -(-side // size_divisor) * size_divisor) - side for side in images.shape[1:3]]
    if not any(more):
        return np.ascontiguousarray(images)
    return np.pad(images, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), mode="edge")
