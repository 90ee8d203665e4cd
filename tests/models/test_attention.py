"""The attention that is shown is the one the network uses."""

import pytest
import torch

from pyramid_attention.models import build_model
from pyramid_attention.models.attention import attention_maps, class_of_channels
from support import shaken

IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(3))


def network(**options):
    return shaken(build_model("pan", num_classes=4, backbone="test_resnet", channels=8, **options))


@pytest.mark.parametrize("gate", ["channel", "spatial", "both", "none"])
@pytest.mark.parametrize("attention_channels", [1, None])
@torch.no_grad()
def test_the_maps_have_their_names_and_shapes(gate: str, attention_channels: int | None) -> None:
    maps = attention_maps(network(gate=gate, attention_channels=attention_channels), IMAGES)
    shapes = {name: tuple(value.shape) for name, value in maps.items()}
    expected = {"attention": (2, 1, 4, 6), "global": (2, 8)}
    for stride, size in ((16, (4, 6)), (8, (4, 6)), (4, (8, 12))):
        if gate in ("channel", "both"):
            expected[f"channels_{stride}"] = (2, 8)
        if gate in ("spatial", "both"):
            expected[f"places_{stride}"] = (2, 1, *size)
    assert shapes == expected


@torch.no_grad()
def test_a_gate_that_is_shown_as_closed_lets_nothing_pass() -> None:
    """With every weight of the last GAU's gate at 0, the finest map no longer matters."""
    net = network(gate="channel")
    unit = net.decoder.units[2]
    for parameter in unit.channel.parameters():
        parameter.zero_()
    for norm in unit.channel.modules():
        if hasattr(norm, "running_mean"):
            norm.running_mean.zero_()
    assert not attention_maps(net, IMAGES)["channels_4"].any()
    before = net.coarse_logits(IMAGES)
    for parameter in unit.low.parameters():
        parameter.add_(1.0)
    torch.testing.assert_close(net.coarse_logits(IMAGES), before)


@torch.no_grad()
def test_the_global_branch_is_what_the_mean_of_the_map_gives() -> None:
    net = network()
    deepest = net.backbone(IMAGES)[-1].mean(dim=(2, 3), keepdim=True)
    expected = net.context.pooled(deepest).flatten(1)
    torch.testing.assert_close(attention_maps(net, IMAGES)["global"], expected)


@torch.no_grad()
def test_networks_without_these_parts_have_no_maps() -> None:
    assert attention_maps(shaken(build_model("baseline", num_classes=2, backbone="test_resnet")), IMAGES) == {}


@torch.no_grad()
def test_a_channel_belongs_to_the_class_that_weights_it_most() -> None:
    net = network()
    weight = next(module.weight for module in net.head.modules() if isinstance(module, torch.nn.Conv2d))
    weight.fill_(0.1)
    for channel, label in enumerate((3, 0, 0, 2, 1, 3, 2, 1)):
        weight[label, channel, 0, 0] = -5.0
    assert class_of_channels(net).tolist() == [3, 0, 0, 2, 1, 3, 2, 1]
