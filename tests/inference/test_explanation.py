"""What a segmentation rests on: the network's own attention, and the places that an engine really looks at."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pyramid_attention.classes import ClassTable
from pyramid_attention.images import as_reader
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.explanation import explain, occlusion, probabilities
from pyramid_attention.models import build_model
from pyramid_attention.models.attention import attention_maps, class_of_channels
from support import shaken


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


def test_what_is_shown_of_a_network_is_what_it_computes_for_the_image() -> None:
    network = shaken(build_model("pan", num_classes=3, backbone="test_resnet", channels=8, gate="channel"))
    network.classes = ClassTable.of(["road", "tree", "car"], [[0, 0, 0], [0, 200, 0], [200, 0, 0]])
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    segmenter = Segmenter(network)
    found = explain(segmenter, image, network)
    np.testing.assert_array_equal(found.image, image)  # without what it was padded by
    np.testing.assert_array_equal(found.labels, segmenter(image).labels)
    padded = segmenter.plan(60, 90).prepare(as_reader(image))
    with torch.inference_mode():
        maps = attention_maps(network, network.normalise(torch.from_numpy(padded[None])))
    assert found.maps.keys() == maps.keys() == {"attention", "global", "channels_16", "channels_8", "channels_4"}
    for name, values in found.maps.items():
        np.testing.assert_allclose(values, maps[name][0], rtol=1e-6)
    assert list(found.class_of_channels) == class_of_channels(network).tolist()
    present = set(np.unique(found.labels).tolist())
    assert set(found.relevance) <= present  # one of few pixels may own no place of the coarse grid
    step = 8  # 90 pixels in twelve cells
    assert {cells.shape for cells in found.relevance.values()} == {(-(-60 // step), -(-90 // step))}
    everything = occlusion(segmenter.engine, padded, sorted(present))
    for label, cells in found.relevance.items():
        np.testing.assert_array_equal(cells, everything[label][:8, :12])


def test_a_network_without_attention_is_explained_by_its_regions_alone() -> None:
    network = shaken(build_model("baseline", num_classes=2, backbone="test_resnet"))
    network.classes = ClassTable.of(["road", "tree"], [[0, 0, 0], [0, 200, 0]])
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = explain(Segmenter(network), image, network)
    assert not found.maps
    assert not found.class_of_channels
    assert found.relevance
