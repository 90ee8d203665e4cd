"""Augmentation: exact windows, aligned masks, void around, mirrored both."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_attention.data.transforms import FILL, TrainTransform

GREY = np.stack(np.meshgrid(np.arange(40), np.arange(60)), axis=-1).astype(np.uint8)  # 60×40, (x, y) at each pixel
IMAGE = np.dstack([GREY, np.full((60, 40), 7, np.uint8)])
MASK = (GREY[..., 0] // 10 + 4 * (GREY[..., 1] // 20)).astype(np.uint8)


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_without_scaling_a_crop_is_an_exact_window(seed: int, width: int, height: int) -> None:
    torch.manual_seed(seed)
    image, mask = TrainTransform((height, width), (1, 1), flip=False)(IMAGE, MASK)
    left, top = int(image[0, 0, 0]), int(image[1, 0, 0])
    window = slice(top, top + height), slice(left, left + width)
    assert np.array_equal(image.permute(1, 2, 0), IMAGE[window])
    assert np.array_equal(mask, MASK[window])


def test_every_window_is_drawn() -> None:
    torch.manual_seed(0)
    crop = TrainTransform((58, 37), (1, 1), flip=False)
    corners = {tuple(crop(IMAGE, MASK)[0][:2, 0, 0].tolist()) for _ in range(300)}
    assert corners == {(x, y) for x in range(4) for y in range(3)}


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_mask_stays_on_its_image(seed: int) -> None:
    """A mask that is a function of the image (its halves) stays that function, but for the edge between them."""
    halves = np.repeat(np.repeat((GREY[..., :1] >= 20) * np.uint8(200), 3, axis=2), 1, axis=0).astype(np.uint8)
    torch.manual_seed(seed)
    image, mask = TrainTransform((50, 50), (0.5, 2.0))(halves, (halves[..., 0] > 0).astype(np.uint8))
    inside = mask != 255
    right = image[0] > 100
    wrong = (right != (mask == 1)) & inside
    assert wrong.sum() <= 2 * 50  # at most two columns at the edge
    assert (image.permute(1, 2, 0)[~inside] == torch.tensor(FILL, dtype=torch.uint8)).all()


def test_what_is_outside_the_image_is_void() -> None:
    torch.manual_seed(1)
    image, mask = TrainTransform((100, 90), (1, 1), flip=False)(IMAGE, MASK)
    assert image.shape == (3, 100, 90)
    assert mask.shape == (100, 90)
    assert (mask != 255).sum() == 60 * 40
    rows, columns = torch.where(mask != 255)
    assert np.array_equal(mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1], MASK)


def test_a_flip_mirrors_both() -> None:
    mirrored = set()
    for seed in range(20):
        torch.manual_seed(seed)
        image, mask = TrainTransform((60, 40), (1, 1))(IMAGE, MASK)
        flipped = bool(image[0, 0, 0] > image[0, 0, -1])
        mirrored.add(flipped)
        expected = (IMAGE[:, ::-1], MASK[:, ::-1]) if flipped else (IMAGE, MASK)
        assert np.array_equal(image.permute(1, 2, 0), expected[0])
        assert np.array_equal(mask, expected[1])
    assert mirrored == {True, False}


def test_scales_are_spread_over_their_range() -> None:
    """With a one-coloured image smaller than the crop, the size of what is not void tells the factor."""
    torch.manual_seed(0)
    transform = TrainTransform((200, 200), (0.5, 2.0))
    factors = [float(((transform(IMAGE, MASK)[1] != 255).sum() / (60 * 40)) ** 0.5) for _ in range(300)]
    assert min(factors) == pytest.approx(0.5, abs=0.03)
    assert max(factors) == pytest.approx(2.0, abs=0.03)
    assert np.mean(factors) == pytest.approx(1.25, abs=0.06)


def test_enlarging_twice_repeats_the_mask_and_interpolates_the_image() -> None:
    torch.manual_seed(0)
    image, mask = TrainTransform((120, 80), (2, 2), flip=False)(IMAGE, MASK)
    assert np.array_equal(mask, MASK.repeat(2, axis=0).repeat(2, axis=1))
    assert np.abs(image[0, 0, 1:-1:2].numpy() - np.arange(39)).max() <= 1


def test_jitter_changes_colours_but_not_the_mask() -> None:
    torch.manual_seed(3)
    image, mask = TrainTransform((60, 40), (1, 1), flip=False, jitter=0.4)(IMAGE + 60, MASK)
    assert np.array_equal(mask, MASK)
    assert not np.array_equal(image.permute(1, 2, 0), IMAGE + 60)
    plain, _ = TrainTransform((60, 40), (1, 1), flip=False)(IMAGE + 60, MASK)
    assert np.array_equal(plain.permute(1, 2, 0), IMAGE + 60)


def test_noise_is_gaussian_on_every_second_image_up_to_its_strength() -> None:
    grey, mask = np.full((60, 40, 3), 128, np.uint8), MASK
    transform = TrainTransform((60, 40), (1, 1), flip=False, noise=0.1)
    deviations = []
    for seed in range(200):
        torch.manual_seed(seed)
        image, labels = transform(grey, mask)
        assert image.dtype == torch.uint8
        assert np.array_equal(labels, mask)
        deviations.append(float(image.float().std()))
        assert abs(float(image.float().mean()) - 128) < 2.5
    noisy = [deviation for deviation in deviations if deviation > 0]
    assert 0.4 < len(noisy) / len(deviations) < 0.6
    assert max(noisy) == pytest.approx(25.5, abs=1.5)
    assert np.mean(noisy) == pytest.approx(25.5 / 2, abs=1.5)


def test_an_image_of_one_pixel() -> None:
    torch.manual_seed(0)
    image, mask = TrainTransform((8, 8), (0.5, 2.0))(np.full((1, 1, 3), 9, np.uint8), np.ones((1, 1), np.uint8))
    assert image.shape == (3, 8, 8)
    assert set(mask.unique().tolist()) == {1, 255}
