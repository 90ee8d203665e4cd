"""Model folders: what is saved comes back bit by bit, and what is wrong with one is said in a line."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from dataclasses import replace

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import torch

from pyramid_attention.artifacts import load_model, push_model, read_info, save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.models import SegmentationModel, build_model
from pyramid_attention.models.blocks import convert_sync_batchnorm
from pyramid_attention.models.context.none import NoContext
from support import mutated

OPTIONS = {
    "channels": 8,
    "attention_channels": 2,
    "kernels": (5, 3, 3),
    "downsample": "conv",
    "upsample": "transposed",
    "global_branch": "se",
    "gate": "both",
    "gate_activation": "sigmoid",
    "low_kernel": 1,
    "align_corners": True,
    "output_stride": 8,
    "in_channels": 4,
    "conv_bias": True,
    "dilate_first": False,
    "low_activation": "relu",
    "rounding": "ceil",
}


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = build_model("pan", num_classes=3, backbone="test_resnet", **OPTIONS)
    net(torch.randn(2, 4, 32, 32))  # statistics that are not those of the start
    net.classes = ClassTable.of(["road", "sky", "Bäume"], [(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    net.mean, net.std = (0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.7, 0.8)
    return net.eval()


@pytest.fixture
def folder(net, tmp_path):
    save_model(net, tmp_path / "run" / "model", validation={"miou": 0.5}, max_size=480)
    return tmp_path / "run" / "model"


def refusal(source) -> str:
    with pytest.raises(UserError) as caught:
        load_model(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_saved_model_comes_back_with_the_same_scores_and_all_it_knows(net, tmp_path, channels_last):
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    save_model(net, tmp_path)
    again = load_model(tmp_path)
    images = torch.randn(2, 4, 45, 33)
    if not channels_last:  # another memory format may add in another order
        assert torch.equal(again(images), net(images))
    assert {k: v.tolist() for k, v in again.state_dict().items()} == {
        k: v.tolist() for k, v in net.state_dict().items()
    }
    assert not again.training
    assert (again.spec, again.classes, again.mean, again.std) == (net.spec, net.classes, net.mean, net.std)


def test_the_configuration_says_all_there_is_to_know(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    made = {"architecture": "pan", "context": "fpa", "decoder": "gau", "num_classes": 3, "kernels": [5, 3, 3]}
    assert config["network"] == OPTIONS | made | {"backbone": "test_resnet", "pretrained": False}
    assert config["format_version"] == 2
    assert config["mean"] == [0.1, 0.2, 0.3, 0.4]
    assert config["std"] == [0.5, 0.6, 0.7, 0.8]
    assert config["classes"]["names"] == ["road", "sky", "Bäume"]
    assert config["validation"] == {"miou": 0.5}
    assert (config["max_size"], config["align_corners"], config["precision"]) == (480, True, "fp32")
    assert config["weights_sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_the_description_is_read_without_the_weights(folder):
    (folder / "model.safetensors").unlink()
    info = read_info(folder)
    assert info.validation == {"miou": 0.5}
    assert info.classes.names == ("road", "sky", "Bäume")
    assert read_info(folder.parent) == info


def test_defaults_are_stored_too(tmp_path):
    save_model(build_model(num_classes=2, backbone="test_resnet", context="pyramid_attention"), tmp_path)
    network = read_info(tmp_path).network
    assert (network["channels"], network["gate"], network["context"]) == (256, "channel", "pyramid_attention")


def test_a_network_put_together_by_hand_is_refused(net, tmp_path):
    other = SegmentationModel(net.backbone, net.context, net.decoder, net.head)
    with pytest.raises(UserError, match=r"put together by hand cannot be saved.*build_model"):
        save_model(other, tmp_path / "model")
    assert not list(tmp_path.iterdir())


class Doubled(NoContext):
    """A context of somebody's own."""

    def forward(self, deepest):
        return 2 * deepest


def test_a_model_of_own_parts_is_loaded_by_those_who_give_them(tmp_path):
    net = build_model(context=Doubled, decoder="bilinear", num_classes=2, backbone="test_resnet").eval()
    save_model(net, tmp_path)
    assert f"parts=['{__name__}:Doubled']" in refusal(tmp_path)
    images = torch.randn(1, 3, 20, 20)
    again = load_model(tmp_path, parts=[Doubled])
    assert torch.equal(again(images), net(images))
    assert "# Doubled with bilinear decoder on test_resnet" in (tmp_path / "README.md").read_text()


def test_a_run_folder_stands_for_its_model(folder, net):
    images = torch.randn(1, 4, 20, 20)
    assert torch.equal(load_model(folder.parent)(images), net(images))


def test_a_model_trained_on_several_devices_is_saved_as_any_other(net, tmp_path):
    images = torch.randn(1, 4, 20, 20)
    expected = net(images)
    save_model(convert_sync_batchnorm(net), tmp_path)
    assert torch.equal(load_model(tmp_path)(images), expected)


@pytest.mark.parametrize(
    ("pretrained", "recipe", "says"),
    [
        (
            True,
            {"data": {"path": "my/data"}},
            "trained on ImageNet (Russakovsky et al. 2015; its images are for research), then on my/data.",
        ),
        (False, {"data": {"path": "my/data"}}, "The weights were trained on my/data."),
        ("w.pth", {}, "The weights were trained before on what the file w.pth holds."),
    ],
)
def test_the_card_says_what_the_weights_were_trained_on(tmp_path, pretrained, recipe, says):
    network = build_model(num_classes=2, backbone="test_resnet", channels=8)
    network.spec["pretrained"] = pretrained
    save_model(network, tmp_path / "model", recipe=recipe)
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert says in card
    assert "is not the licence of the images and labels that it was trained on" in card


def test_the_card_names_classes_options_and_how_it_was_made(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: pyramid-attention\n")
    for text in ("road, sky, Bäume", '| gate | "both" |', '"miou": 0.5', "Pyramid Attention Network"):
        assert text in card


def test_a_loaded_model_is_saved_again_as_it_was(folder, tmp_path):
    save_model(load_model(folder), tmp_path / "copy", validation={"miou": 0.5}, max_size=480)
    for name in ("config.json", "README.md", "model.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()


def test_numpy_values_are_refused_before_anything_is_written(net, tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_model(net, tmp_path, validation={"miou": np.float32(0.5)})
    assert list(tmp_path.iterdir()) == []


def test_saving_where_a_file_stands_is_refused(net, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken is a file, not a folder"):
        save_model(net, tmp_path / "taken")


def test_what_else_a_model_folder_holds_stays_when_the_model_is_saved_again(net, folder):
    (folder / "model.onnx").write_text("exported")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("main")
    save_model(net, folder, validation={"miou": 0.6})
    assert read_info(folder).validation == {"miou": 0.6}
    assert (folder / "model.onnx").read_text() == "exported"
    assert (folder / ".git" / "HEAD").read_text() == "main"
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_classes_that_do_not_fit_are_refused(net):
    with pytest.raises(UserError, match="the model has 3 classes, the class table 2"):
        net.classes = ClassTable.of(2)


# Bad folders


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 2}', '{"format_version": 2, "digest": 3}'])
def test_a_damaged_configuration(folder, text):
    (folder / "config.json").write_text(text)
    assert refusal(folder).startswith(f"{folder / 'config.json'} is damaged: ")


def test_a_configuration_with_an_impossible_option(folder):
    info = read_info(folder)
    (folder / "config.json").write_text(replace(info, network={**info.network, "gate": "bath"}).to_json())
    assert f"{folder / 'config.json'}: " in refusal(folder)
    assert "gate=" in refusal(folder)
    (folder / "config.json").write_text(replace(info, network={"num_clases": 3}).to_json())
    assert "describes no network that this version can build" in refusal(folder)


def test_missing_weights(folder):
    (folder / "model.safetensors").unlink()
    assert "model.safetensors is missing" in refusal(folder)


def test_weights_of_another_training(folder):
    path = folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    weights["head.bias"] = weights["head.bias"] + 1
    safetensors.torch.save_file(weights, path)
    assert refusal(folder) == (
        f"{path} is damaged: its weights are not those that were written; get or export it again"
    )


def test_weights_of_another_network(folder):
    path = folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    del weights["head.bias"]
    weights["head.weight"] = weights["head.weight"][:2].contiguous()
    weights |= {f"tail.{i}": torch.zeros(1) for i in range(5)}
    safetensors.torch.save_file(weights, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "config.json").write_text(replace(read_info(folder), weights_sha256=digest).to_json())
    text = refusal(folder)
    assert "is without head.bias;" in text
    assert "has the unknown tail.0, tail.1, tail.2 and 2 more;" in text
    assert "has another shape for head.weight (2×8×3×3 instead of 3×8×3×3)" in text


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_no_change_of_a_byte_goes_unnoticed(tmp_path, name):
    torch.manual_seed(0)
    save_model(build_model("baseline", num_classes=3, backbone="test_resnet"), tmp_path)
    whole, info = (tmp_path / name).read_bytes(), read_info(tmp_path)
    draw = random.Random(0)
    refused = 0
    for _ in range(100):
        (tmp_path / name).write_bytes(mutated(whole, draw))
        try:
            load_model(tmp_path)
        except UserError as error:
            refused += " is damaged: " in str(error) and "\n" not in str(error)
        else:
            refused += name == "config.json" and read_info(tmp_path) == info  # one space more or less in the text
    assert refused == 100


# The hub


def test_a_model_is_uploaded_as_its_folder(net, folder, tmp_path, monkeypatch):
    made, sent = [], []

    def upload(folder_path, **how):
        sent.append(how)
        shutil.copytree(folder_path, tmp_path / "hub")

    monkeypatch.setattr(huggingface_hub, "create_repo", lambda name, **how: made.append((name, how)))
    monkeypatch.setattr(huggingface_hub, "upload_folder", upload)
    push_model(net, "somebody/pan", private=True, token="secret", branch="dev", validation={"miou": 0.5}, max_size=480)
    assert made == [("somebody/pan", {"private": True, "token": "secret", "exist_ok": True})]
    assert [(how["repo_id"], how["token"], how["revision"]) for how in sent] == [("somebody/pan", "secret", "dev")]
    for name in ("config.json", "README.md", "model.safetensors"):
        assert (tmp_path / "hub" / name).read_bytes() == (folder / name).read_bytes()


def test_a_refused_upload_is_told(net, monkeypatch):
    def fail(*_, **__):
        raise OSError("401 unauthorised")

    monkeypatch.setattr(huggingface_hub, "create_repo", fail)
    with pytest.raises(UserError, match=r"cannot upload to 'somebody/pan'.*401 unauthorised.*log in"):
        push_model(net, "somebody/pan")
