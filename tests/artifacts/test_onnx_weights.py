"""A network made again from an exported file: its weights are those it had, and it can be trained on."""

from __future__ import annotations

import pytest
import torch

from pyramid_attention.artifacts import load_model, save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.export import export
from pyramid_attention.models import build_model


def network(names, backbone="test_resnet", **options):
    torch.manual_seed(len(names))
    net = build_model("pan", num_classes=len(names), backbone=backbone, **({"channels": 16} | options))
    net.classes = ClassTable.of(names)
    with torch.no_grad():  # statistics and norms that are not all 0 and 1
        net.train()(torch.randn(4, 3, 64, 64))
        for name, parameter in net.named_parameters():
            if name.endswith("weight") and parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("resnet18", {}),  # Winograd's convolutions
        ("mobilenetv3_small_100", {"attention_channels": 1, "downsample": "max"}),  # one in two steps
        ("regnetx_002", {"gate": "none", "low_kernel": 1, "output_stride": 32}),
        ("test_resnet", {"conv_bias": True, "upsample": "transposed", "global_branch": "se"}),
        ("test_resnet", {"downsample": "conv", "attention_channels": 4}),
    ],
)
def test_an_exported_file_gives_the_network_back(tmp_path, backbone, options):
    before = network(["road", "sky", "car"], backbone, **options)
    save_model(before, tmp_path / "model")
    after = load_model(export(tmp_path / "model").path)
    assert after.classes.names == ("road", "sky", "car")
    for (name, own), other in zip(after.named_parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6 * float(other.detach().abs().max()), msg=name)
    images = torch.randn(6, 3, 70, 90, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for mode in (False, True):  # with the statistics of the norms, and with those of the images
            found, expected = after.train(mode)(images), before.train(mode)(images)
            assert (found - expected).abs().max() < 2e-3 * expected.abs().max()
