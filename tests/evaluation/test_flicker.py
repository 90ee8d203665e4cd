"""Flicker of label maps whose changes are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pyramid_attention.evaluation.flicker import measure_flicker


def still(labels, index):
    return labels


def test_what_does_not_change_does_not_flicker():
    labels = np.random.default_rng(0).integers(0, 3, (8, 9), dtype=np.uint8)
    found = measure_flicker([labels] * 5, 3, still)
    assert (found.flicker, found.neighbour_miou) == (0, 1)


def test_a_label_that_changes_and_changes_back_counts_once():
    calm = np.zeros((4, 5), np.uint8)
    other = calm.copy()
    other[0, :2] = 1  # for one frame: flicker
    later = calm.copy()
    later[3, 3] = 1  # and for good: none
    found = measure_flicker([calm, other, later, later], 2, still)
    assert found.flicker == pytest.approx(2 / 40)  # two of 20 pixels in one of two frames with neighbours on both sides
    # Pairs: 18 same, 2 other; then 17 of 0, and 3 changed; then 19 and 1 the same.
    assert found.neighbour_miou == pytest.approx((54 / 59 + 1 / 6) / 2)


def test_what_moves_as_the_video_does_is_steady():
    wide = np.repeat(np.random.default_rng(1).integers(0, 4, (6, 10), dtype=np.uint8), 4, axis=1)
    frames = [np.roll(wide, 3 * index, axis=1) for index in range(5)]
    moved = measure_flicker(frames, 4, lambda labels, index: np.roll(labels, 3, axis=1))
    assert (moved.flicker, moved.neighbour_miou) == (0, 1)
    assert measure_flicker(frames, 4, still).neighbour_miou < 0.6


def test_two_frames_say_nothing_of_flicker():
    with pytest.raises(ValueError, match="three frames"):
        measure_flicker([np.zeros((2, 2), np.uint8)] * 2, 2, still)
