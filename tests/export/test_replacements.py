"""The forms that layers take in an exported graph give the layers' values."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pyramid_attention.export.replacements import (
    AlignedResize,
    MatrixMeans,
    RepeatedBorderPool,
    TwoChannelConv,
    replace_layers,
)
from pyramid_attention.models import build_model
from pyramid_attention.models.blocks import Conv, Resize
from pyramid_attention.models.context.fpa import HalvingPool


@pytest.mark.parametrize("size", [(3, 5), (6, 4), (1, 1), (7, 11), (1, 9)])
def test_aligned_resampling_is_pytorchs(size):
    x = torch.randn(2, 3, 3, 5)
    expected = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
    torch.testing.assert_close(AlignedResize(Resize(True))(x, size), expected)


@pytest.mark.parametrize("size", [(1, 1), (4, 6), (5, 8), (7, 1)])
def test_pooling_of_a_repeated_border_is_pooling_of_the_pixels_that_are_there(size):
    x = torch.randn(2, 3, *size)
    mean = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
    torch.testing.assert_close(RepeatedBorderPool(HalvingPool("avg"))(x), mean)
    torch.testing.assert_close(RepeatedBorderPool(HalvingPool("max"))(x), F.max_pool2d(x, 2, ceil_mode=True))


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (12, 12)])
def test_means_by_matrices_are_adaptive_pooling(bins, size):
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(MatrixMeans(nn.AdaptiveAvgPool2d(bins))(x), F.adaptive_avg_pool2d(x, bins))


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 3), (4, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_second_channel_of_zeros_changes_nothing(inputs, outputs, bias):
    convolution = Conv(inputs, outputs, 5, stride=2, bias=bias)
    x = torch.randn(2, inputs, 7, 6)
    torch.testing.assert_close(TwoChannelConv(convolution)(x), convolution(x))


def test_only_what_a_purpose_needs_is_replaced():
    network = build_model("pan", num_classes=2, backbone="test_resnet", channels=8, attention_channels=1).eval()
    images = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        expected = network(images)
        assert replace_layers(network, set()) == 0
        assert replace_layers(network, {"any size"}) > 0
        torch.testing.assert_close(network(images), expected, atol=1e-5, rtol=1e-5)
    kinds = [type(layer) for layer in network.modules()]
    assert HalvingPool not in kinds
    assert kinds.count(RepeatedBorderPool) == 3
    assert kinds.count(TwoChannelConv) == 6  # the pyramid's convolutions of one channel
