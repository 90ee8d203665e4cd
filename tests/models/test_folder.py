"""Model folders: what is saved comes back bit by bit, and what is wrong with one is said in a line."""

import json
import shutil

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.models import SegmentationModel, build_model
from pyramid_attention.models.blocks import convert_sync_batchnorm

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
    net.save_pretrained(tmp_path / "run" / "model", {"miou": 0.5})
    return tmp_path / "run" / "model"


def refusal(source) -> str:
    with pytest.raises(UserError) as caught:
        SegmentationModel.from_pretrained(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_saved_model_comes_back_with_the_same_scores_and_all_it_knows(net, tmp_path, channels_last):
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    net.save_pretrained(tmp_path, {"miou": 0.5})
    again = SegmentationModel.from_pretrained(tmp_path)
    images = torch.randn(2, 4, 45, 33)
    if not channels_last:  # another memory format may add in another order
        assert torch.equal(again(images), net(images))
    assert {k: v.tolist() for k, v in again.state_dict().items()} == {
        k: v.tolist() for k, v in net.state_dict().items()
    }
    assert not again.training
    assert (again.spec, again.classes, again.mean, again.std) == (net.spec, net.classes, net.mean, net.std)
    assert again.metadata == {"miou": 0.5}


def test_every_option_is_stored(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    expected = OPTIONS | {
        "kernels": [5, 3, 3],
        "architecture": "pan",
        "context": "fpa",
        "decoder": "gau",
        "num_classes": 3,
    }
    assert config["model"] == expected | {"backbone": "test_resnet", "pretrained": False}
    assert config["format_version"] == 1
    assert config["preprocessing"] == {"mean": [0.1, 0.2, 0.3, 0.4], "std": [0.5, 0.6, 0.7, 0.8]}
    assert config["classes"]["names"] == ["road", "sky", "Bäume"]
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_defaults_are_stored_too(tmp_path):
    build_model(num_classes=2, backbone="test_resnet", context="pyramid_attention").save_pretrained(tmp_path)
    model = json.loads((tmp_path / "config.json").read_text())["model"]
    assert (model["channels"], model["gate"], model["context"]) == (256, "channel", "pyramid_attention")


def test_a_run_folder_stands_for_its_model(folder, net):
    images = torch.randn(1, 4, 20, 20)
    assert torch.equal(SegmentationModel.from_pretrained(folder.parent)(images), net(images))


def test_a_model_trained_on_several_devices_is_saved_as_any_other(net, tmp_path):
    images = torch.randn(1, 4, 20, 20)
    expected = net(images)
    convert_sync_batchnorm(net).save_pretrained(tmp_path)
    assert torch.equal(SegmentationModel.from_pretrained(tmp_path)(images), expected)


def test_the_card_names_classes_options_and_how_it_was_made(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: pyramid-attention\n")
    for text in ("road, sky, Bäume", '| gate | "both" |', '"miou": 0.5', "Pyramid Attention Network"):
        assert text in card


def test_a_loaded_model_keeps_its_metadata_when_saved_again(folder, tmp_path):
    again = SegmentationModel.from_pretrained(folder)
    again.save_pretrained(tmp_path / "copy")
    assert (tmp_path / "copy" / "config.json").read_text() == (folder / "config.json").read_text()


def test_numbers_of_numpy_in_the_metadata_are_refused_before_anything_is_written(net, tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        net.save_pretrained(tmp_path, {"miou": np.float32(0.5)})
    assert list(tmp_path.iterdir()) == []


def test_saving_where_a_file_stands_is_refused(net, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken is a file, not a folder"):
        net.save_pretrained(tmp_path / "taken")


def test_classes_that_do_not_fit_are_refused(net):
    with pytest.raises(UserError, match="the model has 3 classes, the class table 2"):
        net.classes = ClassTable.of(2)


# Bad folders


def test_no_such_folder(tmp_path):
    assert "there is no model folder" in refusal(tmp_path / "nowhere")
    assert "a hub id such as owner/name" in refusal(tmp_path / "nowhere")


def test_a_folder_of_something_else(tmp_path):
    assert "no model folder and no run folder" in refusal(tmp_path)


def test_a_file(tmp_path):
    (tmp_path / "model.pth").write_text("")
    assert "is a file where a model folder is expected" in refusal(tmp_path / "model.pth")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 1}', '{"format_version": 1, "model": 3}'])
def test_a_damaged_configuration(folder, text):
    (folder / "config.json").write_text(text)
    assert str(folder / "config.json") in refusal(folder)


def test_a_configuration_with_an_impossible_option(folder):
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"both"', '"bath"'))
    assert "gate='bath'" in refusal(folder)
    assert str(path) in refusal(folder)


def test_a_model_of_a_newer_format(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | {"format_version": 2, "library_version": "9.0.0"}
    path.write_text(json.dumps(config))
    assert "has format 2, written by pyramid-attention 9.0.0" in refusal(folder)
    assert "update pyramid-attention" in refusal(folder)


def test_missing_weights(folder):
    (folder / "model.safetensors").unlink()
    assert "model.safetensors is missing" in refusal(folder)


def test_truncated_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert "is damaged or no safetensors file" in refusal(folder)


def test_weights_of_another_network(folder):
    path = folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    del weights["head.bias"]
    weights["head.weight"] = weights["head.weight"][:2].contiguous()
    weights |= {f"tail.{i}": torch.zeros(1) for i in range(5)}
    safetensors.torch.save_file(weights, path)
    text = refusal(folder)
    assert "is without head.bias;" in text
    assert "has the unknown tail.0, tail.1, tail.2 and 2 more;" in text
    assert "has another shape for head.weight (2×8×3×3 instead of 3×8×3×3)" in text


# The hub


def test_a_hub_id_is_downloaded(folder, net, monkeypatch):
    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: asked.append(name) or str(folder))
    images = torch.randn(1, 4, 20, 20)
    assert torch.equal(SegmentationModel.from_pretrained("somebody/pan-streets")(images), net(images))
    assert asked == ["somebody/pan-streets"]


def test_a_hub_that_cannot_be_reached(monkeypatch):
    def fail(*_, **__):
        raise LocalEntryNotFoundError("cannot reach the hub\nmore of it")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    text = refusal("runs/model")
    assert text == (
        "there is no model folder runs/model, and 'runs/model' cannot be had from the Hugging Face hub"
        " (cannot reach the hub)"
    )


def test_a_model_is_uploaded_as_its_folder(net, folder, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(huggingface_hub, "create_repo", lambda name, **how: made.append((name, how)))
    monkeypatch.setattr(
        huggingface_hub, "upload_folder", lambda repo_id, folder_path: shutil.copytree(folder_path, tmp_path / "hub")
    )
    net.push_to_hub("somebody/pan", private=True)
    assert made == [("somebody/pan", {"private": True, "exist_ok": True})]
    assert (tmp_path / "hub" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_a_refused_upload_is_told(net, monkeypatch):
    def fail(*_, **__):
        raise OSError("401 unauthorised")

    monkeypatch.setattr(huggingface_hub, "create_repo", fail)
    with pytest.raises(UserError, match=r"cannot upload to 'somebody/pan'.*401 unauthorised.*log in"):
        net.push_to_hub("somebody/pan")
