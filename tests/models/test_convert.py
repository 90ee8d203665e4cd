"""Checkpoints of segmentation-models-pytorch's PAN: the same scores, and what is said of others."""

import json
import pickle
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch

from pyramid_attention.artifacts import load_model, save_model
from pyramid_attention.cli import main
from pyramid_attention.errors import UserError
from pyramid_attention.models.convert import convert_checkpoint
from support import shaken


def theirs(encoder="resnet18", seed=0, **options):
    torch.manual_seed(seed)
    net = smp.PAN(encoder, encoder_weights=None, **({"classes": 5} | options))
    return shaken(net)


def same_scores(ours, net, channels=3, size=(128, 160)):  # the least of theirs is 128 at output stride 16
    images = torch.randn(2, channels, *size)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), net(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        ("resnet18", {}),
        ("resnet50", {"decoder_channels": 16}),
        ("resnet18", {"encoder_output_stride": 32, "in_channels": 4}),
        ("tu-resnet18", {}),
        ("tu-mobilenetv3_large_100", {}),
    ],
)
def test_the_same_weights_give_the_same_scores(encoder, options, tmp_path):
    net = theirs(encoder, **options)
    torch.save(net.state_dict(), tmp_path / "pan.pth")
    ours = convert_checkpoint(tmp_path / "pan.pth", encoder, options.get("encoder_output_stride"))
    channels = options.get("in_channels", 3)
    side = ours.spec["output_stride"]
    same_scores(ours, net, channels, (8 * side, 8 * side))
    save_model(ours, tmp_path / "ours")
    again = load_model(tmp_path / "ours")
    assert again.spec == ours.spec
    same_scores(again, net, channels, (9 * side, 11 * side))  # their rounding of sizes shows


def test_where_theirs_differs_from_the_paper_is_in_the_configuration(tmp_path):
    torch.save(theirs().state_dict(), tmp_path / "pan.pth")
    config = convert_checkpoint(tmp_path / "pan.pth", "resnet18").spec
    expected = {
        "dilate_first": True,
        "conv_bias": True,
        "low_activation": "relu",
        "gate_activation": "sigmoid",
        "align_corners": True,
        "rounding": "floor",
        "downsample": "max",
        "attention_channels": 1,
        "channels": 32,
    }
    assert {name: config[name] for name in expected} == expected
    torch.save(theirs("tu-resnet18").state_dict(), tmp_path / "tu.pth")
    assert convert_checkpoint(tmp_path / "tu.pth", "tu-resnet18").spec["dilate_first"] is False


def test_a_folder_saved_by_the_library_needs_no_names(tmp_path, capsys):
    net = theirs("tu-resnet18", encoder_output_stride=32)
    net.save_pretrained(str(tmp_path / "theirs"))
    out = tmp_path / "ours"
    assert main(["convert-checkpoint", str(tmp_path / "theirs"), "--out", str(out), "--classes", "a,b,c,d,e"]) == 0
    assert "5 classes (a, b, c, d, e) on resnet18" in capsys.readouterr().out
    ours = load_model(out)
    assert ours.spec["output_stride"] == 32
    assert ours.classes.names == ("a", "b", "c", "d", "e")
    same_scores(ours, net, size=(256, 256))
    assert main(["convert-checkpoint", str(tmp_path / "theirs"), "--out", str(out)]) == 2
    assert "already holds files" in capsys.readouterr().err


def test_one_score_becomes_two_classes(tmp_path):
    net = theirs(classes=1)
    torch.save({"state_dict": {f"model.{k}": v for k, v in net.state_dict().items()}, "epoch": 3}, tmp_path / "a.ckpt")
    ours = convert_checkpoint(tmp_path / "a.ckpt", "resnet18")
    images = torch.randn(1, 3, 128, 128)
    score = net(images)
    assert ours.classes.names == ("background", "object")
    torch.testing.assert_close(ours(images)[:, 1:], score, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours(images).softmax(1)[:, 1:], score.sigmoid(), atol=1e-4, rtol=1e-4)


class Code:
    def __reduce__(self):
        return print, ("run",)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    net = theirs()
    torch.save(net.state_dict(), folder / "pan.pth")
    torch.save(net, folder / "whole.pth")
    torch.save({"state_dict": Code()}, folder / "code.pth")
    (folder / "plain.pkl").write_bytes(pickle.dumps({"a": Code()}))
    (folder / "text.pth").write_text("no weights")
    (folder / "empty.pth").write_bytes(b"")
    (folder / "half.pth").write_bytes((folder / "pan.pth").read_bytes()[:100_000])
    torch.save([1, 2], folder / "list.pth")
    torch.save({**net.state_dict(), "segmentation_head.0.weight": torch.zeros(())}, folder / "flat.pth")
    torch.save({**net.state_dict(), 5: torch.zeros(1)}, folder / "numbered.pth")
    torch.save({k: v for k, v in net.state_dict().items() if not k.startswith("encoder.")}, folder / "top.pth")
    one = {k: v[:1] if k.startswith("segmentation_head") else v for k, v in net.state_dict().items()}
    del one["segmentation_head.0.bias"]
    torch.save(one, folder / "one.pth")
    torch.save(smp.Unet("resnet18", encoder_weights=None).state_dict(), folder / "unet.pth")
    smp.Unet("resnet18", encoder_weights=None).save_pretrained(str(folder / "unet"))
    net.save_pretrained(str(folder / "folder"))
    config = json.loads((folder / "folder" / "config.json").read_text())
    (folder / "deep").mkdir()
    (folder / "deep" / "config.json").write_text(json.dumps(config | {"encoder_depth": 4}))
    (folder / "odd").mkdir()
    (folder / "odd" / "config.json").write_text(json.dumps(config | {"encoder_output_stride": "16"}))
    (folder / "none").mkdir()
    return folder


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("file", "backbone", "says"),
    [
        ("missing.pth", "resnet18", "does not exist"),
        ("whole.pth", "resnet18", "holds more than tensors"),
        ("code.pth", "resnet18", "holds more than tensors"),
        ("plain.pkl", "resnet18", "is refused"),
        ("text.pth", "resnet18", "is refused: it is no file of torch.save"),
        ("empty.pth", "resnet18", "is damaged or holds no weights"),
        ("half.pth", "resnet18", "is damaged or holds no weights"),
        ("list.pth", "resnet18", "holds no state dict"),
        ("flat.pth", "resnet18", "is missing or no convolution"),
        ("numbered.pth", "resnet18", "holds no state dict"),
        ("odd", None, "has encoder_output_stride='16'; save the model again"),
        ("unet.pth", "resnet18", "holds no PAN of segmentation-models-pytorch"),
        ("unet", None, "holds a Unet of segmentation-models-pytorch; only its PAN"),
        ("deep", None, "has encoder_depth=4; only 5"),
        ("none", None, "is no folder that segmentation-models-pytorch saved"),
        ("folder", "resnet50", "was made with the encoder resnet18, not resnet50"),
        ("pan.pth", None, "name it, as in backbone="),
        (
            "pan.pth",
            "resnet34",
            "does not fit a PAN on resnet34 at output stride 16: it is without backbone.body.layer1.2",
        ),
        ("pan.pth", "resnet50", "it has another shape for"),
        ("top.pth", "resnet18", "it is without backbone."),
        ("one.pth", "resnet18", "it is without head.bias"),
        ("pan.pth", "mobilenet_v2", "for resnet and resnext only"),
        ("pan.pth", "resnet19", "no timm model is called 'resnet19'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(broken, file, backbone, says, tmp_path, capsys):
    with pytest.raises(UserError) as caught:
        convert_checkpoint(broken / file, backbone)
    assert says in str(caught.value)
    arguments = ["convert-checkpoint", str(broken / file), "--out", str(tmp_path / "out")]
    assert main(arguments + (["--backbone", backbone] if backbone else [])) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "run" not in captured.out
    assert not Path(tmp_path / "out").exists()
