"""A segmentation: labels at once, all else when it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from pyramid_attention.classes import ClassTable
from pyramid_attention.images import ArrayImage
from pyramid_attention.inference import Segmentation

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (33, 40, 3), dtype=np.uint8)
LABELS = RANDOM.integers(0, 3, (33, 40), dtype=np.uint8)
CLASSES = ClassTable.of(["a", "b", "c"], [(10, 20, 30), (200, 0, 0), (0, 0, 250)])


def test_an_overlay_blends_image_and_colours():
    result = Segmentation(LABELS, CLASSES, ArrayImage(IMAGE), lambda: pytest.fail("confidence"))
    colours = np.array(CLASSES.colours)[LABELS]
    np.testing.assert_array_equal(result.overlay(0), IMAGE)
    np.testing.assert_array_equal(result.overlay(1), colours)
    assert np.abs(result.overlay(0.25) - (0.75 * IMAGE + 0.25 * colours)).max() <= 1
    with pytest.raises(ValueError, match="alpha"):
        result.overlay(1.5)


def test_image_and_confidence_are_found_once_when_they_are_asked_for():
    asked = []

    class Reader(ArrayImage):
        def read(self, rows, columns):
            asked.append("image")
            return super().read(rows, columns)

    def confidence():
        asked.append("confidence")
        return np.ones((33, 40), np.float32)

    result = Segmentation(LABELS, CLASSES, Reader(IMAGE), confidence)
    assert asked == []
    for _ in range(2):
        np.testing.assert_array_equal(result.image, IMAGE)
        assert result.confidence.min() == 1
    assert asked == ["image", "confidence"]
