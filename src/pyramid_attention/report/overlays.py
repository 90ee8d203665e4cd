"""An overlay that explains itself: the image under the colours of its classes, and the legend below."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..inference import Segmentation
from .legend import legend, present, text_size_for


def overlay_with_legend(segmentation: Segmentation, alpha: float = 0.5) -> NDArray[np.uint8]:
    """The overlay of a segmentation with a legend of the classes that occur in it (H'×W'×3 uint8).

    The image keeps its pixels, top left; the legend's text grows with it. An image narrower than a class's name gets
    white to its right.
    """
    overlay = segmentation.overlay(alpha)
    height, width = segmentation.labels.shape
    strip = legend(segmentation.classes, present(segmentation.labels), width, text_size_for(height, width))
    canvas = np.full((height + strip.shape[0], strip.shape[1], 3), 255, dtype=np.uint8)
    canvas[:height, :width] = overlay
    canvas[height:] = strip
    return canvas


def steady_overlay(alpha: float = 0.5) -> Callable[[Segmentation], NDArray[np.uint8]]:
    """Draws overlays of frames, all of one size: the legend below shows every class, and is left out where it is
    larger than the frame.
    """
    strips: dict[tuple[int, ...], NDArray[np.uint8]] = {}

    def draw(segmentation: Segmentation) -> NDArray[np.uint8]:
        overlay = segmentation.overlay(alpha)
        height, width = overlay.shape[:2]
        if (height, width) not in strips:
            classes = segmentation.classes
            strip = legend(classes, range(len(classes)), width, text_size_for(height, width))
            strips[height, width] = strip if strip.shape[0] <= height and strip.shape[1] == width else strip[:0, :width]
        return np.concatenate([overlay, strips[height, width]])

    return draw
