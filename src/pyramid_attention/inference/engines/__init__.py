"""What runs a network: each engine is one file, and the Segmenter works alike with every one of them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...classes import ClassTable


class Engine(Protocol):
    """A network made ready to run: pixels in, labels and confidence out, preprocessing inside."""

    @property
    def classes(self) -> ClassTable:
        """What the labels mean."""
        ...

    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Segment pictures N×H×W×3 (uint8 RGB, H and W ≥ 32).

        Returns:
            labels N×H×W (uint8) and the softmax probability of each label, N×H×W (float32 in 0 … 1).
        """
        ...
