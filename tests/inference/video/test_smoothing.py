"""Smoothing: an exact mean where nothing moves, along the motion where something does, none where the scene changes."""

from __future__ import annotations

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from pyramid_attention.artifacts import ModelInfo  # noqa: E402
from pyramid_attention.classes import ClassTable  # noqa: E402
from pyramid_attention.inference import Segmenter  # noqa: E402
from pyramid_attention.inference.video.smoothing import (  # noqa: E402
    PERSISTENCE,
    SmoothedEngine,
    brought_along,
    flow_between,
)

RNG = np.random.default_rng(0)
TEXTURE = cv2.GaussianBlur(RNG.integers(0, 256, (96, 256), dtype=np.uint8), (0, 0), 2.5)
TEXTURE = np.clip((TEXTURE.astype(float) - TEXTURE.mean()) * 4 + 128, 0, 255).astype(np.uint8)


def frame(shift: int) -> np.ndarray:
    """96×128: what a camera sees that moves to the right by `shift` pixels."""
    return np.repeat(TEXTURE[:, shift : shift + 128, None], 3, axis=2)


class Given:
    """An engine that gives the logits it was given, one after the other."""

    info = ModelInfo(classes=ClassTable.of(["a", "b", "c"]))
    device = "cpu"

    def __init__(self, logits) -> None:
        self.logits = list(logits)

    def __call__(self, images):
        return np.stack([self.logits.pop(0) for _ in images]).astype(np.float32)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=0))
    return powers / powers.sum(axis=0)


def test_a_first_frame_keeps_its_labels_to_the_pixel():
    logits = RNG.normal(size=(3, 24, 32))
    image = frame(0)
    plain, smoothed = Segmenter(Given([logits])), Segmenter(SmoothedEngine(Given([logits])))
    np.testing.assert_array_equal(smoothed(image).labels, plain(image).labels)
    np.testing.assert_allclose(smoothed.engine._average.sum(axis=2), 1, atol=1e-5)


def test_where_nothing_moves_the_mean_is_that_of_the_formula():
    one, two, three = RNG.normal(size=(3, 3, 24, 32))
    engine = SmoothedEngine(Given([one, two, three]))
    logits = engine(np.stack([frame(0)] * 3))
    mean = softmax(one)
    for own, given in ((two, logits[1]), (three, logits[2])):
        mean = PERSISTENCE * mean + (1 - PERSISTENCE) * softmax(own)
        np.testing.assert_allclose(np.exp(given), mean, atol=1e-5)


def test_another_scene_gets_its_own_probabilities():
    one, two = 5 * RNG.normal(size=(2, 3, 24, 32))
    engine = SmoothedEngine(Given([one, two]))
    dark, bright = np.full((96, 128, 3), 20, np.uint8), np.full((96, 128, 3), 220, np.uint8)
    np.testing.assert_allclose(np.exp(engine(np.stack([dark, bright]))[1]), softmax(two), atol=1e-5)


def test_the_flow_of_a_shift_is_the_shift():
    flow = flow_between(frame(6)[..., 0], frame(0)[..., 0])
    middle = flow[16:-16, 16:-16]
    np.testing.assert_allclose(np.median(middle, axis=(0, 1)), (6, 0), atol=0.3)
    back = brought_along(frame(0)[..., 0], flow)
    assert np.abs(back.astype(int) - frame(6)[..., 0])[16:-16, 16:-16].mean() < 4


def test_what_is_remembered_moves_with_the_image():
    """An edge between two classes moves with the image; a network that now and then errs is outvoted there."""
    truth = [(np.arange(128) + shift < 100) for shift in range(0, 40, 4)]
    logits = []
    for number, left in enumerate(truth):
        own = np.where(left, 2.0, -2.0)[None, ::4].repeat(24, axis=0)
        own = -own if number in (5, 7) else own  # wrong everywhere
        logits.append(np.stack([own, -own, np.full_like(own, -9)]))
    labels = Segmenter(SmoothedEngine(Given(logits)))
    wrong = []
    for number, left in enumerate(truth):
        found = labels(frame(4 * number)).labels[:, 8:-8]
        wrong.append((found != np.where(left, 0, 1)[None, 8:-8]).mean())
    # Without smoothing: 1 in the sixth and the eighth. The 12 columns that came into view since then have no past.
    assert max(wrong) <= 12 / 112


def test_going_on_from_a_state_is_as_never_having_stopped():
    logits = RNG.normal(size=(6, 3, 24, 32))
    images = [frame(3 * number) for number in range(6)]
    whole = SmoothedEngine(Given(logits), keep_every=2)
    expected = [whole(image[None])[0] for image in images]
    second = SmoothedEngine(Given(logits[4:]), whole.take_state(4))
    np.testing.assert_array_equal([second(image[None])[0] for image in images[4:]], expected[4:])
    np.testing.assert_array_equal(SmoothedEngine(Given(logits))(np.stack(images)), expected)
