"""From logits to labels and confidence, against PyTorch's interpolation in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pyramid_attention.inference import upsample
from pyramid_attention.inference.upsample import Axis, best_labels, confidence, interpolate

sides = st.integers(1, 9)
pixels = st.integers(1, 40)


def expected(logits: np.ndarray, size: tuple[int, int], align_corners: bool) -> torch.Tensor:
    """C×H×W in double precision."""
    return F.interpolate(
        torch.from_numpy(logits).double()[None], size=size, mode="bilinear", align_corners=align_corners
    )[0]


def drawn(seed: int, classes: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(classes, height, width)).astype(np.float32)


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 9999), st.integers(1, 6), sides, sides, pixels, pixels, st.booleans(), st.sampled_from([0.0, 1.0])
)
def test_labels_and_confidence_are_those_of_a_full_interpolation(seed, classes, h, w, height, width, align, dense):
    logits = drawn(seed, classes, h, w)
    rows, columns = Axis.between(h, height, align), Axis.between(w, width, align)
    truth = expected(logits, (height, width), align)
    np.testing.assert_allclose(interpolate(logits, rows, columns), truth, atol=1e-5)
    np.testing.assert_allclose(confidence(logits, rows, columns), truth.softmax(0).max(0)[0], atol=1e-5)
    before, upsample.DENSE = upsample.DENSE, dense  # all rows at once, or pixels along outlines alone
    try:
        labels = best_labels(logits, rows, columns)
    finally:
        upsample.DENSE = before
    assert (labels.dtype, labels.shape) == (np.uint8, (height, width))
    best = truth.max(0)[0].numpy()
    chosen = np.take_along_axis(truth.numpy(), labels[None].astype(np.int64), 0)[0]
    assert (best - chosen).max() < 1e-5  # another class only where both have the same logit but for rounding


factors = st.integers(1, 9)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 9999), st.integers(1, 6), sides, sides, factors, factors, st.integers(0, 3), st.integers(0, 3))
def test_whole_factors_give_the_labels_of_a_full_interpolation(seed, classes, h, w, down, across, short, narrow):
    logits = drawn(seed, classes, h, w)
    whole = Axis.between(h, h * down), Axis.between(w, w * across)
    assert (whole[0].factor, whole[1].factor) == (down, across)
    height, width = max(1, h * down - short), max(1, w * across - narrow)  # an image that was padded
    labels = best_labels(logits, whole[0].part(0, height), whole[1].part(0, width))
    truth = expected(logits, (h * down, w * across), False).numpy()[:, :height, :width]
    chosen = np.take_along_axis(truth, labels[None].astype(np.int64), 0)[0]
    assert labels.shape == (height, width)
    assert (truth.max(0) - chosen).max() < 1e-5


@pytest.mark.parametrize("size", [(50, 70), (48, 68)])
@pytest.mark.parametrize("chunk", [1, 100, 1 << 20])
def test_the_size_of_the_chunks_changes_nothing(monkeypatch, chunk, size):
    logits = drawn(0, 5, 12, 17)
    rows, columns = Axis.between(12, size[0]), Axis.between(17, size[1])
    labels, before = best_labels(logits, rows, columns), confidence(logits, rows, columns)
    monkeypatch.setattr(upsample, "CHUNK", chunk)
    np.testing.assert_array_equal(best_labels(logits, rows, columns), labels)
    np.testing.assert_array_equal(confidence(logits, rows, columns), before)


def test_of_equal_scores_the_first_class_is_taken():
    logits = np.zeros((3, 4, 4), np.float32)
    logits[0, 0] = -1
    axis = Axis.between(4, 16)
    labels = best_labels(logits, axis, axis)
    assert labels[-1].max() == 0
    assert labels[0].min() == 1


def test_scores_far_apart_do_not_overflow():
    logits = np.array([[[1e30]], [[-1e30]]], np.float32)
    axis = Axis.between(1, 3)
    np.testing.assert_array_equal(confidence(logits, axis, axis), np.ones((3, 3)))


def test_pixels_on_a_part_of_the_stretch_are_the_first_of_all():
    whole = Axis.between(10, 40)
    part = Axis.between(10, 30, covered=30 / 40)
    np.testing.assert_array_equal(part.below, whole.below[:30])
    np.testing.assert_allclose(part.share, whole.share[:30], atol=1e-6)
    late = whole.part(10, 20, first=2)
    np.testing.assert_array_equal(late.above, whole.above[10:20] - 2)
    assert len(late) == 10
