"""Starting from a trained model: which weights are taken over, and a network made again from an exported file."""

from __future__ import annotations

import shutil

import onnx
import pytest
import torch

from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.export import export
from pyramid_attention.inference.engines.exported import KEY
from pyramid_attention.models import SegmentationModel, build_model
from pyramid_attention.training import Recipe, load_recipe, train
from pyramid_attention.training.initial import describe, load_trained, start_from

TINY = {"data.options": {"train": 8, "val": 2, "size": 64}, "data.crop": [64, 64], "train.epochs": 1, "data.workers": 0}


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model folder with the classes road, sky and car, and a normalisation of its own."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    net = network(["road", "sky", "car"])
    net.mean, net.std = (0.5, 0.4, 0.3), (0.3, 0.2, 0.1)
    net.save_pretrained(folder)
    return folder


def test_scores_of_classes_of_the_same_name_are_taken_over(trained):
    old, new = load_trained(trained), network(["tree", "CAR", "road", "bicycle"])
    before = new.head.weight.clone()
    start = start_from(new, old)
    assert start.classes == ("CAR", "road")
    assert (new.mean, new.std) == ((0.5, 0.4, 0.3), (0.3, 0.2, 0.1))
    torch.testing.assert_close(new.head.weight[1], old.head.weight[2], rtol=0, atol=0)
    torch.testing.assert_close(new.head.bias[2], old.head.bias[0], rtol=0, atol=0)
    torch.testing.assert_close(new.head.weight[[0, 3]], before[[0, 3]], rtol=0, atol=0)
    rest = {name: tensor for name, tensor in new.state_dict().items() if not name.startswith("head.")}
    for name, tensor in rest.items():
        torch.testing.assert_close(tensor, old.state_dict()[name], rtol=0, atol=0)
    assert start.parameters - start.taken == (new.head.weight.numel() + new.head.bias.numel()) / 2


def test_as_many_classes_of_other_names_start_at_random(trained):
    new = network(["a", "b", "c"])
    before = new.head.weight.clone()
    start_from(new, load_trained(trained))
    torch.testing.assert_close(new.head.weight, before, rtol=0, atol=0)


def test_other_options_leave_what_fits(trained):
    new = network(["road", "sky", "car"], attention_channels=1, output_stride=32)
    start = start_from(new, load_trained(trained))
    assert 0.5 < start.taken / start.parameters < 1
    assert f"{start.taken / start.parameters:.1%} of the weights" in str(start)


def test_another_backbone_has_nothing_to_start_from(trained):
    with pytest.raises(UserError, match=r"0% of the backbone mobilenetv3_small_100 fit"):
        start_from(network(["road"], "mobilenetv3_small_100"), load_trained(trained))


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
    before.save_pretrained(tmp_path / "model")
    after = load_trained(export(tmp_path / "model").path)
    assert after.classes.names == ("road", "sky", "car")
    for (name, own), other in zip(after.named_parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6 * float(other.abs().max()), msg=name)
    images = torch.randn(2, 3, 70, 90)
    with torch.no_grad():
        for mode in (False, True):  # with the statistics of the norms, and with those of the images
            found, expected = after.train(mode)(images), before.train(mode)(images)
            assert (found - expected).abs().max() < 2e-3 * expected.abs().max()


def test_files_that_cannot_be_trained(tmp_path, trained):
    path = export(trained, tmp_path / "model.onnx").path
    assert load_trained(path).std == (0.3, 0.2, 0.1)
    model = onnx.load(path)
    text = {entry.key: entry.value for entry in model.metadata_props}[KEY]
    changes = {
        '"precision": "int8"': ('"precision": "fp32"', "has 8-bit weights"),
        '"norms": {}, "old": {': ('"norms": {', "does not hold all that its network needs"),
    }
    for new, (old, message) in changes.items():
        assert old in text
        onnx.helper.set_model_props(model, {KEY: text.replace(old, new)})
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(UserError, match=message):
            load_trained(tmp_path / "other.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(UserError, match="is not a model that 'pan export' made"):
        load_trained(tmp_path / "other.onnx")
    (tmp_path / "other.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is damaged or no ONNX model"):
        load_trained(tmp_path / "other.onnx")


def test_a_recipe_takes_the_network_of_the_trained_model(tmp_path, trained):
    def described(recipe="finetune", **changes):
        fields = {f"model.{name}": value for name, value in changes.items()}
        return describe(load_recipe(recipe, {"model.init": str(trained), **fields} if fields else {}).model)

    plain = described(init=str(trained))
    assert (plain.backbone, plain.pretrained, plain.architecture) == ("test_resnet", False, "pan")
    assert (plain.init, plain.options["channels"]) == (str(trained), 16)
    changed = described(output_stride=32, options={"gate": "none"})
    assert changed == plain.model_copy(update={"output_stride": 32, "options": {**plain.options, "gate": "none"}})
    other = described(backbone="resnet34")  # described afresh
    assert (other.backbone, other.options, other.init) == ("resnet34", {}, str(trained))
    (tmp_path / "mine.yaml").write_text(f"base: finetune\nmodel: {{init: {trained}, options: {{low_kernel: 1}}}}\n")
    mine = described(tmp_path / "mine.yaml")
    assert mine == plain.model_copy(update={"options": {**plain.options, "low_kernel": 1}})
    assert not Recipe(model=described(Recipe(model=mine))).differences(Recipe(model=mine))  # as a run folder has it
    other = described(architecture="deeplabv3plus")
    assert (other.context, other.decoder) == (None, None)  # not PAN's parts under another name
    with pytest.raises(UserError, match="there is no model"):
        described(init=str(tmp_path / "none"))


def test_a_run_that_began_from_a_trained_model_can_be_resumed_without_it(tmp_path, trained, capsys):
    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    train("shapes", fields=TINY, init=str(folder), out=tmp_path / "run", device="cpu")
    assert "of the weights start from it" in capsys.readouterr().err
    assert load_recipe(tmp_path / "run" / "recipe.yaml").model.init == str(folder)
    shutil.rmtree(folder)
    result = train("shapes", out=tmp_path / "run", resume=True, device="cpu")
    assert SegmentationModel.from_pretrained(result.model).spec["backbone"] == "test_resnet"


@pytest.mark.parametrize("fields", [{}, {"train.ema": 0.9}])
def test_a_resumed_run_normalises_images_as_the_trained_model_does(fields):
    recipe = load_recipe("shapes", fields)
    begun, resumed = (SegmentationTask(network(["road", "sky"]), recipe, 10) for _ in range(2))
    begun.network.mean, begun.network.std = (0.5, 0.4, 0.3), (0.3, 0.2, 0.1)
    checkpoint: dict = {}
    begun.on_save_checkpoint(checkpoint)
    resumed.on_load_checkpoint(checkpoint)
    assert resumed.network.mean == resumed.best_network.mean == (0.5, 0.4, 0.3)
    pixels = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    torch.testing.assert_close(resumed.normalise(pixels)[0, :, 0, 0], torch.tensor([0.5 / 0.3, 0.6 / 0.2, 0.7 / 0.1]))
