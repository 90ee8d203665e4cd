"""TensorFlow's padding made constant, against timm's, which measures every map."""

import copy

import pytest
import timm
import torch
from timm.layers import AvgPool2dSame, Conv2dSame, ScaledStdConv2dSame, StdConv2dSame
from timm.layers.pool2d_same import MaxPool2dSame

from pyramid_attention.models import build_model
from pyramid_attention.models.backbone import Backbone
from pyramid_attention.models.same_padding import make_borders_constant
from support import shaken


@pytest.mark.parametrize("kernel", [2, 3, 5, (3, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("layer", [Conv2dSame, StdConv2dSame, ScaledStdConv2dSame, MaxPool2dSame])
def test_a_layer_gives_what_it_gave_for_multiples_of_its_stride(layer, kernel, stride, dilation):
    channels = () if layer is MaxPool2dSame else (3, 4)
    theirs = layer(*channels, kernel, stride=stride, dilation=dilation)
    ours = torch.nn.Sequential(copy.deepcopy(theirs))
    maps = torch.randn(2, 3, 8, 12)
    make_borders_constant(ours)
    assert torch.equal(ours(maps), theirs(maps))


@pytest.mark.parametrize("count_include_pad", [True, False])
def test_so_does_average_pooling(count_include_pad):
    theirs = AvgPool2dSame(3, 2, count_include_pad=count_include_pad)
    ours = torch.nn.Sequential(copy.deepcopy(theirs))
    maps = torch.randn(2, 3, 8, 12)
    assert make_borders_constant(ours)
    assert torch.equal(ours(maps), theirs(maps))


@pytest.mark.parametrize(
    ("name", "output_stride"),
    [
        ("tf_efficientnet_lite0", 8),
        ("tf_efficientnet_lite0", 16),
        ("tf_mobilenetv3_small_minimal_100", 32),
        ("tf_mixnet_s", 32),
    ],
)
def test_a_backbone_gives_timms_maps_of_images_whose_sides_are_multiples_of_32(name, output_stride):
    ours = Backbone(name, output_stride, 3)
    theirs = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4), output_stride=output_stride)
    theirs.load_state_dict(ours.body.state_dict())
    images = torch.randn(1, 3, 64, 96)
    assert ours.size_divisor == 32
    with torch.no_grad():
        for mine, other in zip(shaken(ours)(images), shaken(theirs)(images), strict=True):
            torch.testing.assert_close(mine, other)


def test_images_of_other_sizes_are_extended_by_repeating_their_border():
    network = shaken(build_model(num_classes=3, backbone="tf_mobilenetv3_small_minimal_100", channels=8))
    images = torch.randn(1, 3, 33, 50)
    extended = torch.nn.functional.pad(images, (0, 14, 0, 31), mode="replicate")
    with torch.no_grad():
        assert torch.equal(network(images), network(extended)[..., :33, :50])


def test_backbones_with_another_padding_stay_as_they_are():
    assert not make_borders_constant(timm.create_model("resnet18"))
    assert Backbone("resnet18", 16, 3).size_divisor == 1


def test_a_border_that_no_size_changes_asks_nothing_of_the_image():
    # With output stride 16 this ResNet averages at stride 1, padded as in TensorFlow.
    assert Backbone("test_resnet", 16, 3).size_divisor == 1
