"""The plan of an image: what is resized, padded and cut, and where its pixels lie in the network's logits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from pyramid_attention.images import ArrayImage
from pyramid_attention.inference import SegmenterOptions
from pyramid_attention.inference.plan import Plan, plan_image, tile_spans
from pyramid_attention.inference.upsample import interpolate

sides = st.integers(1, 90)


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(4, 40), st.integers(1, 20))
def test_tiles_cover_a_side_and_overlap_by_as_much_as_was_asked_for(length, tile, overlap):
    tile, overlap = 32 * tile, 32 * min(overlap, tile // 2)
    tiles = tile_spans(length, tile, overlap)
    assert tiles[0][0] == 0
    assert tiles[-1][1] == length
    assert all(begin % 32 == 0 for begin, _ in tiles)
    assert all(end - begin <= tile for begin, end in tiles[:-1])
    assert tiles[-1][1] - tiles[-1][0] <= tile + 31
    assert len({end - begin for begin, end in tiles[:-1]}) <= 1
    for (_, end), (begin, _) in pairwise(tiles):
        assert end - begin >= overlap
    if length <= tile:
        assert tiles == [(0, length)]


@settings(deadline=None)
@given(sides, sides, st.sampled_from([None, 32, 50, 64]), st.sampled_from([1, 4, 32]))
def test_the_network_gets_the_image_resized_and_its_last_row_and_column_repeated(height, width, max_size, divisor):
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    plan = plan_image(height, width, SegmenterOptions(), max_size=max_size, size_divisor=divisor)
    factor = 1 if max_size is None else min(1, max_size / max(height, width))
    assert plan.resized == (max(1, round(height * factor)), max(1, round(width * factor)))
    assert plan.padded == tuple(max(32, -(-side // divisor) * divisor) for side in plan.resized)
    small = np.asarray(Image.fromarray(pixels).resize(plan.resized[::-1], Image.Resampling.BILINEAR))
    rows, columns = (
        np.minimum(np.arange(padded), resized - 1) for padded, resized in zip(plan.padded, plan.resized, strict=True)
    )
    np.testing.assert_array_equal(plan.prepare(ArrayImage(pixels)), small[rows][:, columns])


@settings(deadline=None)
@given(sides, sides, st.sampled_from([None, 40]), st.sampled_from([1, 32]), st.booleans())
def test_pixels_lie_in_the_logits_where_the_resized_image_lies_in_the_padded_one(h, w, max_size, divisor, align):
    """Logits interpolated to the padded image, cropped to the resized one, and stretched to the image's size."""
    plan = plan_image(h, w, SegmenterOptions(), max_size=max_size, size_divisor=divisor, align_corners=align)
    grid = tuple(-(-side // 4) for side in plan.padded)
    places = np.stack(np.meshgrid(*(np.arange(count, dtype=np.float32) for count in grid), indexing="ij"))
    found = interpolate(places, *plan.axes(grid))  # at each pixel its row and column in the grid
    for axis, (size, resized, padded, count) in enumerate(zip((h, w), plan.resized, plan.padded, grid, strict=True)):
        if align:
            pixel = np.arange(size) * ((resized - 1) / max(size - 1, 1))  # in the padded image, from 0
            expected = pixel * ((count - 1) / (padded - 1))
        else:
            pixel = (np.arange(size) + 0.5) * (resized / size)
            expected = np.clip(pixel * (count / padded) - 0.5, 0, count - 1)
        np.testing.assert_allclose(np.moveaxis(found[axis], axis, 0)[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("align", [False, True])
def test_without_padding_pixels_lie_as_pytorch_interpolates(align):
    plan = Plan((50, 70), (32, 64), align_corners=align)
    logits = np.random.default_rng(0).normal(size=(2, 8, 16)).astype(np.float32)
    expected = F.interpolate(torch.from_numpy(logits)[None], (50, 70), mode="bilinear", align_corners=align)[0]
    np.testing.assert_allclose(interpolate(logits, *plan.axes((8, 16))), expected, atol=1e-5)


def test_an_image_is_cut_where_it_is_larger_than_a_tile_or_than_four_megapixels():
    def tiles(size, **options):
        plan = plan_image(*size, SegmenterOptions(**options))
        assert plan.tiled == (len(plan.rows) * len(plan.columns) > 1)
        return len(plan.rows), len(plan.columns)

    assert tiles((2048, 2048)) == (1, 1)
    assert tiles((64, 50_000)) == (1, 1)
    assert tiles((2049, 2048)) == (2, 1)
    assert tiles((512, 512), tile=512) == (1, 1)
    assert tiles((10, 513), tile=512) == (1, 2)
    assert tiles((513, 10), tile=540) == (2, 1)  # tiles are multiples of 32: 512
    plan = plan_image(1000, 2000, SegmenterOptions(tile=256), max_size=500)
    assert (plan.rows[-1][1], plan.columns[-1][1]) == (250, 500)  # what is cut is the resized image
