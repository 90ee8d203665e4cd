"""Winograd's convolution against the direct one in double precision, in PyTorch and in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pyramid_attention.export import winograd
from pyramid_attention.export.program import trace
from pyramid_attention.export.replacements import replace_layers
from pyramid_attention.export.winograd import WinogradConv, gains
from pyramid_attention.models import build_model


def convolution(inputs: int, outputs: int, dilation: int, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=bias)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(1, 19), st.integers(1, 19)
)
def test_it_gives_the_outputs_of_the_convolution(batch, inputs, outputs, dilation, height, width):
    direct = convolution(inputs, outputs, dilation, bias=bool(inputs % 2))
    x = torch.randn(batch, inputs, height, width)
    with torch.no_grad():
        found = WinogradConv(direct)(x)
        expected = direct.double()(x.double())
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=1e-5)


def test_many_channels_lose_no_more_than_rounding():
    direct = convolution(512, 64, 2)
    x = torch.randn(1, 512, 24, 30).relu()
    with torch.no_grad():
        found, expected = WinogradConv(direct)(x), direct.double()(x.double())
    assert (found - expected).abs().max() < 5e-5 * expected.abs().max()


@pytest.mark.parametrize("dilation", [1, 2])
def test_the_graph_takes_any_batch_and_size(tmp_path, dilation):
    layer = WinogradConv(convolution(4, 6, dilation)).eval()
    program = trace(layer, torch.randn(2, 4, 8, 12), (2, 3), least=1)
    path = tmp_path / "winograd.onnx"
    torch.onnx.export(program, input_names=["x"], verbose=False).save(path)
    session = onnxruntime.InferenceSession(path)
    for shape in ((1, 4, 1, 1), (1, 4, 3, 40), (3, 4, 17, 8), (2, 4, 33, 31)):
        x = torch.randn(shape)
        with torch.no_grad():
            expected = layer(x).numpy()
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], expected, atol=1e-5)


def test_the_convolutions_that_gain_are_replaced_and_no_others(monkeypatch):
    network = build_model("pan", num_classes=3, backbone="resnet18", channels=16).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = network.coarse_logits(x)
    assert replace_layers(network, {"speed"}) == 4  # 256 → 512 and three of 512 → 512
    with torch.no_grad():
        found = network.coarse_logits(x)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    monkeypatch.setattr(winograd, "LEAST_WEIGHTS", 1)
    others = {
        "stride": nn.Conv2d(4, 4, 3, 2, 1),
        "kernel": nn.Conv2d(4, 4, 5, 1, 2),
        "groups": nn.Conv2d(4, 4, 3, 1, 1, groups=2),
        "padding": nn.Conv2d(4, 4, 3),
        "reflected": nn.Conv2d(4, 4, 3, 1, 1, padding_mode="reflect"),
        "uneven": nn.Conv2d(4, 4, 3, 1, (1, 2), dilation=(1, 2)),
    }
    assert [name for name, other in others.items() if gains(other)] == []
    assert gains(convolution(4, 4, 1))
