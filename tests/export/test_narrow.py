"""Convolutions to few channels in two steps, against the direct ones in double precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pyramid_attention.export.narrow import NarrowConv, gains
from pyramid_attention.export.replacements import replace_layers
from pyramid_attention.models import build_model


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 3),
    st.sampled_from([1, 3, 5, 7]),
    st.integers(1, 15),
    st.integers(1, 15),
)
def test_it_gives_the_outputs_of_the_convolution(batch, inputs, outputs, kernel, height, width):
    torch.manual_seed(0)
    direct = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bool(inputs % 2))
    x = torch.randn(batch, inputs, height, width)
    with torch.no_grad():
        found = NarrowConv(direct)(x)
        expected = direct.double()(x.double())
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_it_is_used_where_an_attention_of_one_channel_begins():
    network = build_model("pan", num_classes=3, attention_channels=1).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before = network(x)
        assert replace_layers(network, {"speed"}) == 1 + 4  # and those that Winograd's takes
        torch.testing.assert_close(network(x), before, atol=1e-5, rtol=1e-4)
    assert isinstance(network.context.downs[0][2][0], NarrowConv)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(512, 8, 7, padding=3),  # fills a register
        nn.Conv2d(512, 1, 1),
        nn.Conv2d(1, 1, 7, padding=3),  # the places would cost more than they save
        nn.Conv2d(512, 1, 7, padding=3, stride=2),
        nn.Conv2d(512, 1, 7, padding=6, dilation=2),
        nn.Conv2d(512, 4, 7, padding=3, groups=2),
        nn.Conv2d(512, 1, 7, padding=3, padding_mode="reflect"),
    ],
)
def test_others_stay_as_they_are(convolution):
    assert not gains(convolution)
