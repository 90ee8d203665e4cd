"""The Segmenter and the torch engine, on a network whose answer can be computed by hand."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pyramid_attention.artifacts import ModelInfo
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import MissingExtra, UserError
from pyramid_attention.images import RGB
from pyramid_attention.inference import Segmenter, SegmenterOptions
from pyramid_attention.inference.devices import is_out_of_memory, resolve_device
from pyramid_attention.inference.engines.torch import TorchEngine
from pyramid_attention.inference.tta import AugmentedEngine
from pyramid_attention.models import SegmentationModel


class Linear(nn.Module):
    """Logits are a fixed linear map of the normalised channels; in training mode it answers differently."""

    bands = RGB
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    backbone = SimpleNamespace(size_divisor=1)
    spec = None
    align_corners = False
    normalise = SegmentationModel.normalise

    def __init__(self, classes: ClassTable | None = None, num_classes: int = 4) -> None:
        super().__init__()
        self.classes = classes
        self.num_classes = num_classes
        self.conv = nn.Conv2d(3, num_classes, 1)
        self.norm = nn.BatchNorm2d(num_classes)
        generator = torch.Generator().manual_seed(0)
        self.conv.weight.data = torch.randn(num_classes, 3, 1, 1, generator=generator)
        self.shapes: list[tuple[int, ...]] = []

    def coarse_logits(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        assert not torch.is_grad_enabled()
        self.shapes.append(tuple(images.shape))
        return self.norm(self.conv(images))


def by_hand(network: Linear, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and softmax probabilities in double precision with numpy."""
    normalised = (image / 255 - np.array(network.mean)) / np.array(network.std)
    weight = network.conv.weight.detach().numpy()[:, :, 0, 0].astype(np.float64)
    logits = normalised @ weight.T + network.conv.bias.detach().numpy()
    logits /= np.sqrt(1 + network.norm.eps)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    return logits.argmax(axis=2), weights.max(axis=2) / weights.sum(axis=2)


@pytest.fixture
def network() -> Linear:
    return Linear()


@pytest.fixture
def segmenter(network: Linear) -> Segmenter:
    return Segmenter(TorchEngine(network, "cpu"))


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(40, 57), (32, 32), (1, 1), (1, 100), (31, 33), (300, 7)])
def test_labels_and_confidence_are_argmax_and_softmax_of_the_scores_at_the_images_size(network, segmenter, size):
    image = random_image(*size)
    result = segmenter(image)
    labels, confidence = by_hand(network, image)
    assert (result.labels.dtype, result.confidence.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(result.confidence, confidence, atol=1e-5)
    np.testing.assert_array_equal(result.image, image)


def test_a_live_network_is_taken_as_it_is(network):
    image = random_image(40, 57)
    labels, confidence = by_hand(network, image)
    network.train()
    result = Segmenter(network, device="cpu")(image)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(result.confidence, confidence, atol=1e-5)
    assert network.training
    assert isinstance(Segmenter(network, SegmenterOptions(tta=True, device="cpu")).engine, AugmentedEngine)
    with pytest.raises(UserError, match=r"a Segmenter has no option 'tiel'\. Did you mean 'tile'"):
        Segmenter(network, tiel=512)


def test_a_side_under_32_pixels_is_padded_with_its_edge_before_the_network_sees_it(network, segmenter):
    segmenter(random_image(5, 40))
    segmenter(random_image(33, 32))
    assert network.shapes == [(1, 3, 32, 40), (1, 3, 33, 32)]


def test_path_array_and_pillow_image_give_the_same_result(segmenter, tmp_path):
    image = random_image(40, 50)
    Image.fromarray(image).save(tmp_path / "a.png")
    expected = segmenter(image).labels
    for shown in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image)):
        np.testing.assert_array_equal(segmenter(shown).labels, expected)


def test_the_network_is_left_in_the_mode_it_was_found_in_module_by_module(network, segmenter):
    network.train()
    network.norm.eval()  # a frozen norm stays frozen
    segmenter(random_image(32, 32))
    assert (network.training, network.conv.training, network.norm.training) == (True, True, False)


def test_the_mode_is_put_back_after_an_error_too(network, monkeypatch):
    monkeypatch.setattr(network, "coarse_logits", lambda images: images @ torch.zeros(7, 7))
    network.train()
    with pytest.raises(RuntimeError, match="size"):
        Segmenter(TorchEngine(network, "cpu"))(random_image(40, 50))
    assert network.training


def test_running_statistics_and_autocast_do_not_touch_the_result(network, segmenter):
    image = random_image(40, 40)
    expected = segmenter(image)
    network.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = segmenter(image)
    np.testing.assert_array_equal(result.labels, expected.labels)
    np.testing.assert_array_equal(result.confidence, expected.confidence)
    assert int(network.norm.num_batches_tracked) == 0


def test_classes_come_from_the_network_or_are_numbered():
    table = ClassTable.of(["sky", "road"])
    assert Segmenter(TorchEngine(Linear(table, 2), "cpu")).classes is table
    assert Segmenter(TorchEngine(Linear(None, 3), "cpu")).classes == ClassTable.of(3)


def test_scores_that_are_not_finite_are_reported(network, segmenter):
    network.conv.weight.data.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        segmenter(random_image(32, 32))


def test_running_out_of_memory_says_what_to_lower(network, segmenter, monkeypatch):
    def coarse_logits(images: Tensor) -> Tensor:
        return torch.empty(1 << 50)  # a petabyte: the allocator's own error

    monkeypatch.setattr(network, "coarse_logits", coarse_logits)
    message = "out of memory on cpu while segmenting 50×40 pixels; segment smaller tiles, as with tile=256, or scale"
    with pytest.raises(UserError, match=message):
        Segmenter(TorchEngine(network, "cpu"))(random_image(40, 50))


def test_other_errors_of_torch_are_not_taken_for_memory(network, segmenter, monkeypatch):
    monkeypatch.setattr(network, "coarse_logits", lambda images: images @ torch.zeros(7, 7))
    with pytest.raises(RuntimeError, match="size"):
        Segmenter(TorchEngine(network, "cpu"))(random_image(40, 50))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_devices_are_found_by_name():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    assert resolve_device(torch.device("meta")) == torch.device("meta")
    with pytest.raises(UserError, match=r"no device 'cdua'; use one of auto, cpu, cuda, mps"):
        resolve_device("cdua")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_reported():
    with pytest.raises(UserError, match='no cuda device on this machine; use device="cpu"'):
        resolve_device("cuda")


def test_without_torch_the_message_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"the engine torch needs torch.*pip install 'pyramid-attention\[train\]'"):
        Segmenter.load(tmp_path)


def test_the_rooms_that_run_models_import_no_torch():
    code = (
        "import sys; from pyramid_attention.inference import Segmenter, Segmentation;"
        "from pyramid_attention.evaluation import evaluate;"
        "import pyramid_attention.inference.predict, pyramid_attention.report.sheets;"
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("size", [(90, 121), (121, 90), (300, 64), (65, 1)])
@pytest.mark.parametrize("size_divisor", [1, 32])
@pytest.mark.parametrize("align", [False, True])
def test_a_larger_image_is_shrunk_and_every_pixel_gets_a_label(network, size, size_divisor, align):
    network.backbone, network.align_corners = SimpleNamespace(size_divisor=size_divisor), align
    image = random_image(*size)
    result = Segmenter(TorchEngine(network, "cpu"), max_size=64)(image)
    factor = 64 / max(size)
    height, width = (max(1, round(side * factor)) for side in size)
    assert network.shapes[-1][2:] == tuple(max(32, -(-side // size_divisor) * size_divisor) for side in (height, width))
    small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    given = network.shapes[-1][2:]
    padded = np.pad(small, [(0, given[0] - height), (0, given[1] - width), (0, 0)], "edge")
    pixels = torch.from_numpy(padded / 255 - np.array(network.mean)) / torch.tensor(network.std)
    with torch.no_grad():
        network.double().eval()
        found = network.norm(network.conv(pixels.permute(2, 0, 1)[None]))[0, :, :height, :width]
    network.float()
    truth = torch.nn.functional.interpolate(found[None], size=size, mode="bilinear", align_corners=align)[0]
    chosen = truth.gather(0, torch.from_numpy(result.labels.astype(np.int64))[None])[0]
    assert (truth.amax(0) - chosen).max() < 1e-4
    np.testing.assert_allclose(result.confidence, truth.softmax(0).amax(0), atol=1e-4)


def test_smaller_images_stay_and_0_never_shrinks(network, segmenter):
    image = random_image(40, 64)
    np.testing.assert_array_equal(
        Segmenter(TorchEngine(network, "cpu"), max_size=64)(image).labels, segmenter(image).labels
    )
    engine = TorchEngine(network, "cpu", info=ModelInfo(max_size=48))
    assert Segmenter(engine).max_size == 48
    assert Segmenter(engine, max_size=0).max_size is None
    assert Segmenter(engine, tile=128).max_size is None  # tiles are of the image as it is
    assert Segmenter(engine, tile=128, max_size=64).max_size == 64
    with pytest.raises(UserError, match="max_size='48' is not"):
        Segmenter(TorchEngine(network, "cpu"), max_size="48")
    with pytest.raises(UserError, match="32 pixels or more"):
        Segmenter(TorchEngine(network, "cpu"), max_size=31)


def test_a_shrunk_image_that_is_still_larger_than_a_tile_goes_by_tiles(network):
    image = np.repeat(np.repeat(random_image(20, 30), 16, 0), 16, 1)  # 320×480
    whole = Segmenter(TorchEngine(network, "cpu"), max_size=240)(image)
    tiled = Segmenter(TorchEngine(network, "cpu"), max_size=240, tile=128)(image)
    assert network.shapes[-1][2:] == (128, 128)
    assert tiled.labels.shape == tiled.confidence.shape == image.shape[:2]
    assert (tiled.labels == whole.labels).mean() > 0.95  # the nearest pixel's label, instead of one of its own
