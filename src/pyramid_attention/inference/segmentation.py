"""What becomes of an image: a label for every pixel, and on request the confidence and an overlay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..classes import ClassTable
from ..images import RGB, Bands, ImageReader, read_whole


@dataclass(frozen=True)
class Segmentation:
    """The segmentation of an image of H×W pixels."""

    labels: NDArray[np.uint8]
    """H×W class ids."""
    classes: ClassTable
    """What the labels mean."""
    source: ImageReader = field(repr=False)
    """Where the image is read from."""
    find_confidence: Callable[[], NDArray[np.float32]] = field(repr=False)
    """Computes `confidence`."""
    bands: Bands = RGB
    """What the values of the image are."""

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The image itself, H×W×3 RGB uint8, upright; of other bands as `Bands.to_rgb` shows them."""
        return self.bands.to_rgb(read_whole(self.source))

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """H×W softmax probability of the chosen class, 0 … 1; computed when it is first asked for."""
        return self.find_confidence()

    def overlay(self, alpha: float = 0.5) -> NDArray[np.uint8]:
        """The classes' colours laid over the image: H×W×3 uint8, (1 − alpha) × image + alpha × colour.

        Raises:
            ValueError: alpha outside 0 … 1.
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is the weight of the colours, 0 to 1, not {alpha}")
        colours = Image.fromarray(self.classes.colourise(self.labels))
        return np.array(Image.blend(Image.fromarray(self.image), colours, alpha))
