"""What every network here must do, whatever its backbone and options: sizes, batches, gradients, tracing, precision."""

import math
import typing

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pyramid_attention import PAN
from pyramid_attention.artifacts import load_model, save_model
from pyramid_attention.export.program import export_program
from pyramid_attention.models import build_model
from pyramid_attention.models.architectures import ARCHITECTURES
from pyramid_attention.models.backbone import Backbone
from pyramid_attention.models.blocks import Norm
from pyramid_attention.models.context.fpa import FPAOptions
from pyramid_attention.models.decoder.gau import GAUOptions

SIZES = [(1, 1), (1, 40), (2, 3), (7, 7), (31, 32), (33, 5), (64, 48), (65, 97)]
# Together the rows named "pan" hold every value of every option of PAN's: a test below sees to that.
NETWORKS = {
    "pan": {"channels": 16},
    "pan: as others": {
        "channels": 16,
        "attention_channels": 1,
        "downsample": "max",
        "rounding": "floor",
        "gate_activation": "sigmoid",
        "low_activation": "relu",
        "conv_bias": True,
        "align_corners": True,
    },
    "pan: strided, transposed, SE, both": {
        "channels": 16,
        "downsample": "conv",
        "upsample": "transposed",
        "global_branch": "se",
        "gate": "both",
        "attention_channels": 4,
    },
    "pan: C333, plain, spatial, 1×1, aligned": {
        "channels": 16,
        "kernels": (3, 3, 3),
        "global_branch": "none",
        "gate": "spatial",
        "low_kernel": 1,
        "align_corners": True,
    },
    "pan: no gate, two levels": {"channels": 16, "gate": "none", "context": "pyramid_attention"},
    "baseline": {},
    "fcn": {},
    "unet": {"widths": (24, 16, 8)},
    "parsenet": {},
    "senet": {},
    "pspnet": {"channels": 16},
    "deeplabv3": {"channels": 16},
    "deeplabv3plus": {"channels": 16, "low_channels": 8},
    "dfn": {"channels": 16},
    "aspp under gau": {"channels": 16, "context": "aspp", "decoder": "gau"},
}
every_network = pytest.mark.parametrize("name", NETWORKS)
BACKBONES = {
    "test_resnet": 16,
    "resnet10t": 8,
    "mobilenetv3_small_050": 16,
    "convnext_atto": 32,
    "densenet121": 32,
    "test_efficientnet": 8,
}


def network(name="pan", backbone="test_resnet", seed=0, **options):
    torch.manual_seed(seed)
    architecture = name if name in ARCHITECTURES else "pan"
    return build_model(architecture, num_classes=5, backbone=backbone, **(NETWORKS[name] | options))


def settled(net):
    """In evaluation mode, with the running statistics of a few images instead of 0 and 1."""
    torch.manual_seed(7)
    net.train()
    with torch.no_grad():
        for _ in range(12):
            net(torch.randn(4, net.backbone.in_channels, 64, 64))
    return net.eval()


@pytest.fixture(scope="module", params=NETWORKS)
def any_network(request):
    return network(request.param)


def test_the_rows_hold_every_system_and_every_value_of_pans_options():
    assert NETWORKS.keys() >= ARCHITECTURES.keys()
    pans = [network(name).spec for name in NETWORKS if name.startswith("pan")]
    for options in (FPAOptions, GAUOptions):
        for option, kind in typing.get_type_hints(options).items():
            values = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
            values = (True, False) if kind is bool else values
            found = [spec.get(option) for spec in pans]
            assert all(value in found for value in values), option


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [1, 2])
def test_scores_have_the_size_of_the_images(any_network, size, training, batch):
    scores = any_network.train(training)(torch.randn(batch, 3, *size))
    assert scores.shape == (batch, 5, *size)
    assert scores.isfinite().all()


@pytest.mark.parametrize(("backbone", "output_stride"), BACKBONES.items())
def test_backbones_of_every_kind_work_at_any_size(backbone, output_stride):
    net = network(backbone=backbone, output_stride=output_stride)
    for size in SIZES:
        for training in (True, False):
            assert net.train(training)(torch.randn(1, 3, *size)).shape == (1, 5, *size)


@every_network
def test_every_parameter_gets_a_finite_gradient_that_is_not_zero(name):
    net = network(name, "resnet18").train()
    F.cross_entropy(net(torch.randn(2, 3, 64, 64)), torch.randint(5, (2, 64, 64))).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        before_norm = net.spec.get("conv_bias") and name.endswith(".0.bias")  # the norm takes it away again
        assert before_norm or parameter.grad.any(), name


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (64, 64)])
def test_statistics_that_would_come_from_one_value_stay(size):
    net = network(backbone="resnet18", output_stride=32).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    seen = {}
    for name, norm in net.named_modules():
        if isinstance(norm, Norm):
            norm.register_forward_hook(lambda _, x, __, name=name: seen.update({name: x[0].numel() // x[0].shape[1]}))
    net(torch.randn(1, 3, *size)).sum().backward()
    after = net.state_dict()
    single = {name for name, values in seen.items() if values == 1}
    assert ({n.split(".")[0] for n in single} == {"backbone", "context", "decoder"}) == (size != (64, 64))
    assert (len(single) == len(seen)) == (size == (1, 1))
    for name in seen:
        unchanged = all(
            torch.equal(after[f"{name}.{key}"], before[f"{name}.{key}"])
            for key in ("running_mean", "running_var", "num_batches_tracked")
        )
        assert unchanged == (name in single), name


def test_an_image_does_not_depend_on_its_neighbours(any_network):
    net = settled(any_network)
    images = torch.randn(3, 3, 47, 61)
    alone = torch.cat([net(image[None]) for image in images])
    torch.testing.assert_close(net(images), alone, atol=1e-5, rtol=1e-5)


@every_network
def test_bf16_is_close_to_fp32(name):
    net = network(name, "resnet18").eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        exact = net(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = net(images).float()
    assert (rough - exact).norm() / exact.norm() < 3e-2


def test_channels_last_gives_the_same_scores_and_gradients():
    results = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        net = network(backbone="resnet18").to(memory_format=memory_format)
        torch.manual_seed(3)
        images = torch.randn(2, 3, 64, 64).contiguous(memory_format=memory_format)
        scores = net(images)
        scores.square().mean().backward()
        results.append((scores, net.context.main[0].weight.grad, net.backbone.body.conv1.weight.grad))
    for contiguous, channels_last in zip(*results, strict=True):
        torch.testing.assert_close(channels_last, contiguous, atol=1e-4, rtol=1e-3)


@every_network
def test_an_exported_network_takes_any_batch_and_any_size_from_32(name):
    check_export(network(name))


@pytest.mark.parametrize(
    ("name", "backbone", "output_stride"),
    [
        ("pan", "resnet18", 32),
        ("pan", "mobilenetv3_small_050", 8),
        ("pan", "resnet10t", 16),
        ("pan: as others", "resnet18", 16),
        ("pan: no gate, two levels", "resnet18", 32),
        ("pspnet", "resnet18", 16),
        ("pan", "convnext_atto", 32),  # whose maps have their channels last
    ],
)
def test_backbones_of_several_kinds_are_exported(name, backbone, output_stride):
    check_export(network(name, backbone, output_stride=output_stride))


def check_export(net):
    net = settled(net)
    graph = export_program(net).module()
    for shape in [(1, 3, 32, 32), (3, 3, 33, 127), (2, 3, 200, 47)]:
        images = torch.randn(shape)
        torch.testing.assert_close(graph(images), net(images), atol=1e-5, rtol=1e-5)


@every_network
def test_a_compiled_network_is_one_graph_for_any_size(name):
    torch.compiler.reset()
    net = settled(network(name))
    compiled = torch.compile(net, backend="eager", fullgraph=True, dynamic=True)
    for shape in [(2, 3, 64, 48), (3, 3, 33, 65)]:
        images = torch.randn(shape)
        torch.testing.assert_close(compiled(images), net(images), atol=1e-5, rtol=1e-5)
    if name in ("pan", "baseline", "dfn"):  # the mode doubles the time, and its graph is not the options'
        compiled.train()
        assert compiled(torch.randn(1, 3, 1, 1)).shape == (1, 5, 1, 1)


@every_network
def test_a_saved_network_gives_the_same_scores_after_loading(name, tmp_path):
    net = settled(network(name))
    save_model(net, tmp_path)
    images = torch.randn(2, 3, 40, 50)
    assert torch.equal(load_model(tmp_path)(images), net(images))


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenetv3_small_050"])
def test_maps_are_never_smaller_than_the_output_stride_says(backbone, output_stride):
    body = Backbone(backbone, output_stride, 3)
    sizes = [m.shape[-2:] for m in body(torch.zeros(2, 3, 65, 96))]
    for size, stride in zip(sizes, (4, 8, 16, 32), strict=True):
        stride = min(stride, output_stride)
        assert size == (math.ceil(65 / stride), 96 // stride)
    assert [m.shape[1] for m in body(torch.zeros(1, 3, 8, 8))] == body.channels


def test_the_last_stage_is_dilated_from_its_second_convolution_on():
    stage = Backbone("resnet50", 16, 3).body.layer4
    assert [block.conv2.dilation for block in stage] == [(1, 1), (2, 2), (2, 2)]
    assert [block.conv2.stride for block in stage] == [(1, 1)] * 3


def test_only_the_maps_that_are_used_are_computed():
    assert list(Backbone("resnet18", 16, 3).body.return_layers.values()) == ["1", "2", "3", "4"]
    assert Backbone("selecsls42", 32, 3).body.feature_info.reduction() == [4, 8, 16, 32]  # has 1/2 and 1/64, too


def test_a_transformer_of_fixed_size_is_told_to_take_any():
    body = Backbone("swin_tiny_patch4_window7_224", 32, 3).eval()
    assert [tuple(m.shape[1:]) for m in body(torch.zeros(1, 3, 33, 60))] == [
        (96, 16, 16),
        (192, 8, 8),
        (384, 4, 4),
        (768, 2, 2),
    ]


def test_patches_see_the_border_repeated():
    body = Backbone("convnext_atto", 32, 3).eval()
    assert body.size_divisor == 32
    image = torch.randn(1, 3, 33, 40)
    whole = F.pad(image, (0, 24, 0, 31), mode="replicate")
    for mine, padded in zip(body(image), body.body(whole), strict=True):
        torch.testing.assert_close(mine, padded)


def test_normalised_images_have_the_statistics_of_the_weights():
    net = network()
    net.mean, net.std = (0.5, 0.4, 0.3), (0.3, 0.2, 0.1)
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    expected = ((images / 255 - np.array(net.mean)) / np.array(net.std)).transpose(0, 3, 1, 2)
    found = net.normalise(torch.from_numpy(images))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("in_channels", [1, 4])
def test_images_of_other_than_three_channels(in_channels):
    net = network(backbone="resnet10t", in_channels=in_channels)
    assert net(torch.randn(2, in_channels, 20, 30)).shape == (2, 5, 20, 30)
    assert net.mean == pytest.approx([(0.485 + 0.456 + 0.406) / 3] * in_channels)
    assert len(net.std) == in_channels


@every_network
def test_training_starts_from_nearly_equal_scores(name):
    options = {"channels": 256} if "channels" in NETWORKS[name] else {}
    net = network(name, "resnet18", **options).train()
    loss = F.cross_entropy(net(torch.randn(4, 3, 64, 64)), torch.randint(5, (4, 64, 64)))
    # ReLU behind the low-level convolution leaves sums of positive numbers: larger scores from the same small head.
    tolerance = 0.3 if net.spec.get("low_activation") == "relu" else 0.2
    assert loss.item() == pytest.approx(math.log(5), rel=tolerance)


@every_network
def test_the_same_seed_makes_the_same_network_and_the_same_scores(name):
    one, two, other = network(name, seed=1), network(name, seed=1), network(name, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    images = torch.randn(2, 3, 33, 40)
    assert torch.equal(one(images), two(images))


def test_pan_by_its_own_name():
    assert PAN(5, "test_resnet", channels=16).spec == network().spec


def test_the_first_convolution_of_a_stage_is_dilated_on_request():
    body = Backbone("resnet50", 16, 3, dilate_first=True).body
    assert [block.conv2.dilation for block in body.layer4] == [(2, 2)] * 3
    assert body.layer3[0].conv2.dilation == (1, 1)
    assert [block.conv1.dilation for block in Backbone("resnet18", 8, 3, dilate_first=True).body.layer3] == [(2, 2)] * 2
    net = network(backbone="resnet18", dilate_first=True)
    for size in SIZES:
        assert net(torch.randn(1, 3, *size)).shape[-2:] == size
