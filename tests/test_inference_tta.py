"""Test-time augmentation, against a loop written by hand and on networks whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.engines.torch import TorchEngine
from pyramid_attention.inference.tta import SCALES, AugmentedEngine
from pyramid_attention.models import build_model


class Pointwise(nn.Module):
    """A 1×1 convolution of the normalised pixels."""

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(self) -> None:
        super().__init__()
        self.classes = ClassTable.of(4)
        self.config = {"num_classes": 4}
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.conv.weight.data = torch.randn(4, 3, 1, 1, generator=torch.Generator().manual_seed(0))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape))
        scores: Tensor = self.conv(images)
        return scores


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build_model("pan", num_classes=3, backbone="test_resnet", channels=8)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_papers_six_scales_each_with_its_mirror_image() -> None:
    network = Pointwise()
    Segmenter(AugmentedEngine(network, "cpu"))(picture(40, 64))
    assert SCALES == (0.5, 0.75, 1, 1.25, 1.5, 1.75)
    expected = [(1, 3, round(40 * scale), round(64 * scale)) for scale in SCALES for _ in range(2)]
    assert network.seen == expected


def test_the_result_is_the_mean_of_the_probabilities_at_the_photographs_size(network: nn.Module) -> None:
    image = picture(40, 53)
    network.eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (network.mean, network.std))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    views = []
    with torch.no_grad():
        for scale in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75):
            size = (round(40 * scale), round(53 * scale))
            for flip in (False, True):
                view = pixels.flip(3) if flip else pixels
                view = F.interpolate(view, size, mode="bilinear", antialias=True)
                scores = network((view / 255 - mean) / std)
                probabilities = F.interpolate(scores, (40, 53), mode="bilinear").softmax(1)
                views.append(probabilities.flip(3) if flip else probabilities)
    confidence, labels = torch.cat(views).double().mean(dim=0).max(dim=0)

    result = Segmenter(AugmentedEngine(network, "cpu"))(image)
    assert (result.labels.dtype, result.confidence.dtype) == (np.uint8, np.float32)
    np.testing.assert_allclose(result.confidence, confidence, atol=1e-6)
    np.testing.assert_array_equal(result.labels, labels)
    plain = Segmenter(TorchEngine(network, "cpu"))(image)
    assert (plain.labels != result.labels).any()  # the test would not see a difference otherwise


@pytest.mark.parametrize("size", [(40, 57), (33, 32), (5, 90)])
def test_a_mirrored_photograph_gives_the_mirrored_result_to_the_bit(network: nn.Module, size: tuple[int, int]) -> None:
    segment = Segmenter(AugmentedEngine(network, "cpu"))
    image = np.pad(picture(*size), ((0, max(0, 32 - size[0])), (0, 0), (0, 0)))
    result, mirrored = segment(image), segment(image[:, ::-1].copy())
    np.testing.assert_array_equal(mirrored.labels, result.labels[:, ::-1])
    np.testing.assert_array_equal(mirrored.confidence, result.confidence[:, ::-1])


@pytest.mark.parametrize("size", [(40, 64), (1, 1), (31, 45)])
def test_on_one_colour_a_pointwise_network_gives_the_plain_result(size: tuple[int, int]) -> None:
    image = np.broadcast_to(np.array([90, 30, 200], dtype=np.uint8), (*size, 3))
    plain, averaged = (Segmenter(engine(Pointwise(), "cpu"))(image) for engine in (TorchEngine, AugmentedEngine))
    np.testing.assert_array_equal(averaged.labels, plain.labels)
    np.testing.assert_allclose(averaged.confidence, plain.confidence, atol=1e-6)
    assert averaged.labels.shape == size


def test_mirrored_alone_a_pointwise_network_gives_the_plain_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyramid_attention.inference.tta.SCALES", (1.0,))
    image = picture(40, 57)
    plain, averaged = (Segmenter(engine(Pointwise(), "cpu"))(image) for engine in (TorchEngine, AugmentedEngine))
    np.testing.assert_array_equal(averaged.labels, plain.labels)
    np.testing.assert_allclose(averaged.confidence, plain.confidence, atol=1e-6)


def test_the_network_keeps_its_mode_and_scores_that_are_not_finite_are_told(network: nn.Module) -> None:
    network.train()
    segment = Segmenter(AugmentedEngine(network, "cpu"))
    segment(picture(32, 32))
    assert network.training
    for parameter in network.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        segment(picture(32, 32))


def test_running_out_of_memory_says_what_to_leave_out(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "forward", lambda images: torch.empty(1 << 50))  # a petabyte
    with pytest.raises(UserError, match=r"segmenting 50×40 pixels; scale the picture down, leave out --tta$"):
        Segmenter(AugmentedEngine(network, "cpu"))(picture(40, 50))


def test_a_loaded_model_averages_where_it_is_told_to(network: nn.Module, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    image = picture(48, 64)
    expected = Segmenter(AugmentedEngine(network, "cpu"))(image)
    averaged = Segmenter.load(tmp_path, "cpu", tta=True)(image)
    np.testing.assert_array_equal(averaged.confidence, expected.confidence)
    plain = Segmenter.load(tmp_path, "cpu")(image)
    np.testing.assert_array_equal(plain.confidence, Segmenter(TorchEngine(network, "cpu"))(image).confidence)
