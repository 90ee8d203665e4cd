"""Test-time augmentation, against a loop written by hand and on networks whose answer is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pyramid_attention.artifacts import save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.images import RGB
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.engines.torch import TorchEngine
from pyramid_attention.inference.tta import SCALES, AugmentedEngine
from pyramid_attention.models import SegmentationModel, build_model


class Pointwise(nn.Module):
    """A 1×1 convolution of the normalised pixels."""

    bands = RGB
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    backbone = SimpleNamespace(size_divisor=1)
    align_corners = False
    normalise = SegmentationModel.normalise
    spec = None

    def __init__(self) -> None:
        super().__init__()
        self.classes = ClassTable.of(4)
        self.num_classes = 4
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.conv.weight.data = torch.randn(4, 3, 1, 1, generator=torch.Generator().manual_seed(0))
        self.shapes: list[tuple[int, ...]] = []

    def coarse_logits(self, images: Tensor) -> Tensor:
        self.shapes.append(tuple(images.shape))
        logits: Tensor = self.conv(images)
        return logits


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build_model("pan", num_classes=3, backbone="test_resnet", channels=8)


def make_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def averaged(network: nn.Module) -> Segmenter:
    return Segmenter(AugmentedEngine(TorchEngine(network, "cpu")))


def plain(network: nn.Module) -> Segmenter:
    return Segmenter(TorchEngine(network, "cpu"))


def test_the_papers_six_scales_each_with_its_mirror_image() -> None:
    network = Pointwise()
    averaged(network)(make_image(80, 64))
    assert SCALES == (0.5, 0.75, 1, 1.25, 1.5, 1.75)
    expected = [(1, 3, round(80 * scale), round(64 * scale)) for scale in reversed(SCALES) for _ in range(2)]
    assert network.shapes == expected


def test_the_result_is_the_mean_of_the_probabilities_on_the_largest_views_grid(network: nn.Module) -> None:
    image = make_image(80, 100)
    network.eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (network.mean, network.std))
    grid = (35, 44)  # a quarter of 140×175
    views = []
    with torch.no_grad():
        for scale in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75):
            size = (round(100 * scale), round(80 * scale))
            for flip in (False, True):
                view = np.asarray(
                    Image.fromarray(image[:, ::-1] if flip else image).resize(size, Image.Resampling.BILINEAR)
                )
                pixels = torch.tensor(view).permute(2, 0, 1)[None].float()
                logits = network.coarse_logits((pixels / 255 - mean) / std)
                probabilities = F.interpolate(logits, grid, mode="bilinear").softmax(1)
                views.append(probabilities.flip(3) if flip else probabilities)
    total = torch.cat(views).double().mean(dim=0, keepdim=True).log()
    confidence, labels = F.interpolate(total, (80, 100), mode="bilinear")[0].softmax(0).max(dim=0)

    result = averaged(network)(image)
    assert (result.labels.dtype, result.confidence.dtype) == (np.uint8, np.float32)
    np.testing.assert_allclose(result.confidence, confidence, atol=1e-5)
    assert (result.labels == labels.numpy()).mean() > 0.9995  # the rest are ties but for rounding
    assert (plain(network)(image).labels != result.labels).mean() > 0.01  # the test would see a difference


@pytest.mark.parametrize("size", [(40, 57), (33, 32), (5, 90)])
def test_a_mirrored_image_gives_the_mirrored_result(network: nn.Module, size: tuple[int, int]) -> None:
    segment = averaged(network)
    image = np.pad(make_image(*size), ((0, max(0, 32 - size[0])), (0, 0), (0, 0)))
    result, mirrored = segment(image), segment(image[:, ::-1].copy())
    np.testing.assert_allclose(mirrored.confidence, result.confidence[:, ::-1], atol=1e-6)
    assert (mirrored.labels == result.labels[:, ::-1]).mean() > 0.999  # the rest are ties but for rounding
    logits = segment.engine(image[None])
    np.testing.assert_array_equal(segment.engine(image[None, :, ::-1]), logits[..., ::-1])  # these to the bit


@pytest.mark.parametrize("size", [(40, 64), (1, 1), (31, 45)])
def test_on_one_colour_a_pointwise_network_gives_the_plain_result(size: tuple[int, int]) -> None:
    image = np.broadcast_to(np.array([90, 30, 200], dtype=np.uint8), (*size, 3))
    once, often = plain(Pointwise())(image), averaged(Pointwise())(image)
    np.testing.assert_array_equal(often.labels, once.labels)
    np.testing.assert_allclose(often.confidence, once.confidence, atol=1e-6)
    assert often.labels.shape == size


def test_mirrored_alone_a_pointwise_network_gives_the_plain_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyramid_attention.inference.tta.SCALES", (1.0,))
    image = make_image(40, 57)
    once, often = plain(Pointwise())(image), averaged(Pointwise())(image)
    np.testing.assert_array_equal(often.labels, once.labels)
    np.testing.assert_allclose(often.confidence, once.confidence, atol=1e-6)


def test_the_network_keeps_its_mode_and_scores_that_are_not_finite_are_told(network: nn.Module) -> None:
    network.train()
    segment = averaged(network)
    segment(make_image(32, 32))
    assert network.training
    for parameter in network.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        segment(make_image(32, 32))


def test_it_passes_on_what_the_engine_says_of_itself(network: nn.Module) -> None:
    engine = TorchEngine(network, "cpu")
    around = AugmentedEngine(engine)
    assert around.info is engine.info
    assert around.device == engine.device == "cpu"


def test_a_loaded_model_averages_where_it_is_told_to(network: nn.Module, tmp_path: Path) -> None:
    save_model(network, tmp_path)
    image = make_image(48, 64)
    expected = averaged(network)(image)
    result = Segmenter.load(tmp_path, device="cpu", tta=True)(image)
    np.testing.assert_array_equal(result.confidence, expected.confidence)
    np.testing.assert_array_equal(
        Segmenter.load(tmp_path, device="cpu")(image).confidence, plain(network)(image).confidence
    )
