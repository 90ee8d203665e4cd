"""The files of a prediction: label map, overlay, confidence; each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..files import make_folder
from ..images import write_image, write_label_map
from .segmentation import Segmentation
from .sources import Source

Render = Callable[[Segmentation], NDArray[np.uint8]]
"""Draws a segmentation as an image H×W×3 uint8 (report.overlays.overlay_with_legend)."""


def confidence_image(confidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Confidence 0 … 1 (H×W) as grey 0 … 255, rounded to the nearest: 255 is certain."""
    return np.rint(confidence * 255).astype(np.uint8)


def write_results(
    segmentation: Segmentation, source: Source, overlay: Render | None = None, confidence: bool = False
) -> None:
    """Write what was asked for of one image to the places that `source` names.

    The label map is an indexed PNG of class ids with the classes' palette, at the image's own size; the overlay a
    JPEG drawn by `overlay`; the confidence an 8-bit grey PNG (`confidence_image`).

    Raises:
        UserError: a file cannot be written.
    """
    make_folder(source.labels.parent)
    if overlay is not None:
        write_image(source.overlay, overlay(segmentation))
    if confidence:
        write_image(source.confidence, confidence_image(segmentation.confidence))
    write_label_map(source.labels, segmentation.labels, segmentation.classes)
