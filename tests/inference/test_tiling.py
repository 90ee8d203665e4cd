"""Tiles: they cover the image, their weights add up to one, and local networks do not notice them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_attention.artifacts import ModelInfo
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.images import ArrayImage
from pyramid_attention.inference import Segmenter, SegmenterOptions, options, plan
from pyramid_attention.inference.engines.torch import TorchEngine
from pyramid_attention.inference.plan import tile_spans
from pyramid_attention.inference.tiling import blend_weights
from pyramid_attention.inference.tta import AugmentedEngine
from pyramid_attention.models import build_model


@settings(deadline=None)
@given(st.integers(200, 3000), st.sampled_from([32, 64]))
def test_the_weights_of_every_point_add_up_to_one_and_a_border_counts_for_nothing(length, overlap):
    tiles = tile_spans(length, 128, overlap)
    begins, ends = [begin // 4 for begin, _ in tiles], [-(-end // 4) for _, end in tiles]
    trim = overlap // 16
    weights = blend_weights(begins, ends, trim, overlap / 8)
    total = np.zeros(ends[-1])
    for begin, end, weight in zip(begins, ends, weights, strict=True):
        assert weight.min() >= 0
        total[begin:end] += weight
        if begin > 0:
            assert not weight[:trim].any()
        if end < ends[-1]:
            assert not weight[-trim:].any()
    np.testing.assert_allclose(total, 1, atol=1e-6)


def network(architecture: str = "baseline", **fields):
    torch.manual_seed(0)
    net = build_model(architecture, num_classes=5, backbone="test_resnet", **fields)
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(2, 3, 96, 96))
    return net.eval()


def make_image(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).normal(128, 60, (height // 8 + 1, width // 8 + 1, 3))
    return np.kron(noise, np.ones((8, 8, 1)))[:height, :width].clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(700, 500), (513, 1000), (333, 64), (260, 259)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_where_the_margin_holds_the_receptive_field_tiled_equals_whole(size, align_corners):
    # test_resnet is shallow: with the baseline's head a logit depends on fewer than 96 pixels to each side.
    engine = TorchEngine(network(align_corners=align_corners), "cpu")
    image = make_image(*size)
    whole, tiled = Segmenter(engine)(image), Segmenter(engine, tile=768, overlap=384)(image)
    if max(size) > 768:
        assert Segmenter(engine, tile=768).plan(*size).tiled
    smaller = Segmenter(engine, tile=256, overlap=128)(image)  # the margin is 32 pixels: not enough
    assert (tiled.labels == whole.labels).mean() >= 0.999
    np.testing.assert_allclose(tiled.confidence, whole.confidence, atol=1e-4)
    assert (smaller.labels == whole.labels).mean() > 0.9


def test_the_receptive_field_really_matters():
    """With a margin that is too small some labels change: the test above does not hold by itself."""
    engine = TorchEngine(network(), "cpu")
    image = make_image(700, 500)
    whole, narrow = Segmenter(engine)(image), Segmenter(engine, tile=128, overlap=32)(image)
    assert not np.array_equal(whole.labels, narrow.labels)


@pytest.mark.parametrize("architecture", ["pan", "fcn"])
def test_other_architectures_and_augmentation_are_tiled_too(architecture):
    net = network(architecture, **({"channels": 8} if architecture == "pan" else {}))
    image = make_image(333, 450)
    for engine in (TorchEngine(net, "cpu"), AugmentedEngine(TorchEngine(net, "cpu"))):
        tiled = Segmenter(engine, tile=256)(image)
        assert tiled.labels.shape == tiled.confidence.shape == (333, 450)
        assert (tiled.labels == Segmenter(engine)(image).labels).mean() > 0.6


class Blank:
    """Logits one class everywhere, at a quarter of the size, and remembers the sizes it was given."""

    info = ModelInfo(classes=ClassTable.of(3))
    device = "cpu"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, images):
        self.shapes.append(images.shape)
        logits = np.zeros((len(images), 3, -(-images.shape[1] // 4), -(-images.shape[2] // 4)), np.float32)
        logits[:, 1] = 1
        return logits


def test_images_above_the_limit_are_tiled_and_others_are_not(monkeypatch):
    for module in (plan, options):
        monkeypatch.setattr(module, "WHOLE_PIXELS", 1 << 16)  # 256×256
    engine = Blank()
    segment = Segmenter(engine)
    segment(make_image(256, 256))
    segment(make_image(64, 1024))
    assert engine.shapes == [(1, 256, 256, 3), (1, 64, 1024, 3)]
    result = segment(make_image(257, 256))
    assert len(engine.shapes) > 3
    assert all(height * width <= 1 << 16 for _, height, width, _ in engine.shapes)
    assert (result.labels == 1).all()
    assert not Segmenter(Blank(), tile=512).plan(512, 512).tiled
    assert Segmenter(Blank(), tile=512).plan(10, 513).tiled


def test_the_confidence_of_tiles_is_the_same_asked_for_before_or_after():
    engine = Blank()
    segment = Segmenter(engine, tile=128)
    image = make_image(200, 300)
    segmentation = segment(image)
    count = len(engine.shapes)
    after = segmentation.confidence
    assert len(engine.shapes) == 2 * count
    before = segment(image, with_confidence=True).confidence
    assert len(engine.shapes) == 3 * count
    np.testing.assert_array_equal(before, after)
    np.testing.assert_allclose(after, np.exp(1) / (np.exp(1) + 2), atol=1e-6)


class Windows(ArrayImage):
    """Remembers the largest window that was read."""

    largest = 0

    def read(self, rows, columns):
        Windows.largest = max(Windows.largest, (rows[1] - rows[0]) * (columns[1] - columns[0]))
        return super().read(rows, columns)


@pytest.mark.parametrize("options", [{"tile": 128}, {"tile": 128, "max_size": 200}, {"max_size": 64}, {}])
def test_rows_come_from_the_top_without_a_gap_and_are_those_of_the_whole(monkeypatch, options):
    monkeypatch.setattr(Windows, "largest", 0)
    segment = Segmenter(TorchEngine(network(), "cpu"), **options)
    image = make_image(333, 270)
    whole = segment(image, with_confidence=True)
    found = list(segment.rows(Windows(image), with_confidence=True))
    assert [rows.top for rows in found] == np.cumsum([0, *(len(rows.labels) for rows in found[:-1])]).tolist()
    np.testing.assert_array_equal(np.concatenate([rows.labels for rows in found]), whole.labels)
    np.testing.assert_array_equal(np.concatenate([rows.confidence for rows in found]), whole.confidence)
    assert (len(found) > 1) == ("tile" in options)
    if options == {"tile": 128}:
        assert Windows.largest <= (128 + 31) ** 2
    assert {rows.confidence for rows in segment.rows(Windows(image))} == {None}


def test_memory_does_not_grow_with_the_height_of_the_image():
    peaks = []
    for height in (2048, 8192):
        image = np.zeros((height, 512, 3), np.uint8)
        tracemalloc.start()
        labels = Segmenter(Blank(), tile=256)(image).labels
        peaks.append(tracemalloc.get_traced_memory()[1] - labels.nbytes)
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 64 * (8192 - 2048)  # bytes a row: where it lies on the grid
    assert peaks[0] < 1 << 20


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tile": 127}, "tile=127 is too small; a tile has 128 pixels a side or more"),
        (
            {"tile": 256, "overlap": 160},
            "overlap=160 .* with tiles of 256 pixels; .* 32 pixels at least and 128 at most",
        ),
        ({"tile": 256, "overlap": 16}, "overlap=16 is not possible"),
    ],
)
def test_tiles_that_cannot_be(fields, message):
    with pytest.raises(UserError, match=message):
        Segmenter(Blank(), **fields)
    with pytest.raises(UserError, match=message):
        SegmenterOptions(**fields)
