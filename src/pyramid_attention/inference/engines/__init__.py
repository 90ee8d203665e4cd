"""What runs a network: each engine is one file, and the Segmenter works alike with every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...classes import ClassTable


class Engine(Protocol):
    """A network made ready to run: pixels in, scores out, preprocessing inside."""

    @property
    def classes(self) -> ClassTable:
        """What the scores are for."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What is saved with the model (its recipe, its validation), as plain JSON."""
        ...

    @property
    def size_divisor(self) -> int:
        """Heights and widths must be multiples of this."""
        ...

    @property
    def align_corners(self) -> bool:
        """How scores lie over pixels, see `upsample.Axis`."""
        ...

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score images N×H×W×3 (uint8 RGB; H and W ≥ 32, multiples of `size_divisor`).

        Returns:
            N×C×h×w (float32): one score a class before the softmax, at h×w points that are evenly spread over the H×W
            pixels.

        Raises:
            UserError: memory runs out, or the scores are not finite numbers.
        """
        ...
