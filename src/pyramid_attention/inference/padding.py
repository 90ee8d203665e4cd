"""Pictures made large enough for a network, on every engine alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_SIDE = 32
"""Smaller pictures are padded to this many pixels a side, by repeating their edge, and the result is cropped."""


def pad(images: NDArray[np.uint8], multiple: int = 1) -> NDArray[np.uint8]:
    """Repeat the right and lower edge of pictures N×H×W×3 up to `MIN_SIDE` and a multiple of `multiple`."""
    more = [max(MIN_SIDE, -(-side // multiple) * multiple) - side for side in images.shape[1:3]]
    if not any(more):
        return np.ascontiguousarray(images)
    return np.pad(images, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), mode="edge")
