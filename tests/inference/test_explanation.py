"""Occlusion: a class rests on the place that an engine really looks at, and on no other."""

from types import SimpleNamespace

import numpy as np
import pytest

from pyramid_attention.inference.explanation import occlusion, probabilities


class LooksAtOnePlace:
    """Class 1 is probable where the pixel (24, 40) is bright, all over the image; two classes, a grid of 4×6 points."""

    info = SimpleNamespace(size_divisor=1, align_corners=False)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        logits = np.zeros((len(images), 2, 4, 6), np.float32)
        logits[:, 1] = images[:, 24, 40, 0, None, None] / 50.0 - 2
        return logits


def test_a_class_rests_on_the_place_that_the_engine_looks_at() -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[24, 40] = 250
    found = occlusion(LooksAtOnePlace(), image, [0, 1], cells=12)
    assert found.keys() == {1}  # no point has class 0
    assert found[1].shape == (8, 12)  # cells of 8×8 pixels
    probability = 1 / (1 + np.exp(2 - 250 / 50.0))
    covered = 1 / (1 + np.exp(2.0))
    rows, columns = np.nonzero(found[1])
    # The pixel lies in cell (3, 5). Each cell is under four covers of 2×2 cells, and its neighbours share some.
    assert {*zip(rows.tolist(), columns.tolist(), strict=True)} == {(r, c) for r in (2, 3, 4) for c in (4, 5, 6)}
    shared = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    np.testing.assert_allclose(found[1][2:5, 4:7], (probability - covered) * shared, rtol=1e-5)


def test_probabilities_are_the_softmax() -> None:
    logits = np.random.default_rng(0).normal(0, 30, (2, 5, 3, 4)).astype(np.float32)
    exact = np.exp(logits.astype(np.longdouble))
    np.testing.assert_allclose(probabilities(logits), exact / exact.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-12)
    assert probabilities(np.full((1, 3, 1, 1), 1e4, np.float32)).sum() == pytest.approx(1)
