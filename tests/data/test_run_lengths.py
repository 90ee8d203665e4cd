"""Run lengths against encoders that are written here from the formats' descriptions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pyramid_attention.data.run_lengths import kaggle_pairs, unpack

masks = st.tuples(st.integers(1, 7), st.integers(1, 9)).flatmap(
    lambda size: st.lists(st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda pixels: np.array(pixels).reshape(size)
    )
)


def as_pairs(mask: NDArray[np.bool_]) -> str:
    """Start and length of each run of pixels, counted from 1 down the columns."""
    pairs, start = [], None
    flat = [*mask.T.ravel().tolist(), False]
    for place, inside in enumerate(flat, 1):
        if inside and start is None:
            start = place
        elif not inside and start is not None:
            pairs += [start, place - start]
            start = None
    return " ".join(map(str, pairs))


def packed(values: list[int]) -> list[int]:
    """rle-pack's bits: a run for each stretch of equal values, and literal values for single ones."""
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    start = 0
    while start < len(values):
        end = start
        while end + 1 < len(values) and values[end + 1] == values[start] and end - start < 255:
            end += 1
        bits += f"{int(end > start)}{2:02b}{end - start:08b}{values[start]:08b}"
        start = end + 1
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


@settings(deadline=None)
@given(masks)
def test_pairs_of_kaggle(mask: NDArray[np.bool_]) -> None:
    assert np.array_equal(kaggle_pairs(as_pairs(mask), mask.shape), mask)


def test_pairs_by_hand() -> None:
    assert kaggle_pairs("2 1 5 2", (3, 2)).tolist() == [[False, False], [True, True], [False, True]]


@pytest.mark.parametrize(
    ("text", "said"),
    [("1 2 3", "3 numbers"), ("1 x", "no numbers"), ("0 1", "outside"), ("6 2", "outside"), ("1 0", "outside")],
)
def test_broken_pairs(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kaggle_pairs(text, (3, 2))


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 255, 7]), min_size=1, max_size=40))
def test_bits_of_label_studio(values: list[int]) -> None:
    assert unpack(packed(values)).tolist() == values


def test_bits_that_end_too_early() -> None:
    with pytest.raises(ValueError, match="end too early"):
        unpack(packed([1, 2, 3])[:-1])


@settings(deadline=None, max_examples=30)
@given(masks)
def test_bits_that_label_studio_itself_writes(mask: NDArray[np.bool_]) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    written = brush.mask2rle(mask.astype(np.uint8) * 255)
    values = unpack(written).reshape(*mask.shape, 4)
    assert np.array_equal(values[:, :, 3] > 0, mask)
    assert np.array_equal(values, brush.decode_rle(written).reshape(values.shape))
