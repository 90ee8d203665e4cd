"""Starting from a trained model: which weights are taken over, and a network made again from an exported file."""

from __future__ import annotations

import shutil

import pytest
import torch

from pyramid_attention.artifacts import load_model, save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.models import build_model
from pyramid_attention.training import Recipe, load_recipe, train, trainer
from pyramid_attention.training.initial import describe, start_from

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
    save_model(net, folder)
    return folder


def test_scores_of_classes_of_the_same_name_are_taken_over(trained):
    old, new = load_model(trained), network(["tree", "CAR", "road", "bicycle"])
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
    start_from(new, load_model(trained))
    torch.testing.assert_close(new.head.weight, before, rtol=0, atol=0)


def test_other_options_leave_what_fits(trained):
    new = network(["road", "sky", "car"], attention_channels=1, output_stride=32)
    start = start_from(new, load_model(trained))
    assert 0.5 < start.taken / start.parameters < 1
    assert f"{start.taken / start.parameters:.1%} of the weights" in str(start)


def test_another_backbone_has_nothing_to_start_from(trained):
    with pytest.raises(UserError, match=r"0% of the backbone mobilenetv3_small_100 fit"):
        start_from(network(["road"], "mobilenetv3_small_100"), load_model(trained))


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
    assert (other.backbone, other.init) == ("resnet34", str(trained))
    assert other.options == {"channels": 64, "gate": "none"}  # the recipe's
    (tmp_path / "mine.yaml").write_text(f"base: finetune\nmodel: {{init: {trained}, options: {{low_kernel: 1}}}}\n")
    mine = described(tmp_path / "mine.yaml")
    assert mine == plain.model_copy(update={"options": {**plain.options, "low_kernel": 1}})
    assert not Recipe(model=described(Recipe(model=mine))).differences(Recipe(model=mine))  # as a run folder has it
    other = described(architecture="deeplabv3plus")
    assert (other.context, other.decoder) == (None, None)  # not PAN's parts under another name
    with pytest.raises(UserError, match="there is no model"):
        described(init=str(tmp_path / "none"))


def test_a_run_that_began_from_a_trained_model_can_be_resumed_without_it(tmp_path, trained, capsys, monkeypatch):
    folder, loaded = tmp_path / "model", []
    shutil.copytree(trained, folder)
    monkeypatch.setattr(trainer, "load_model", lambda model: loaded.append(model) or load_model(model))
    train("shapes", fields=TINY, init=str(folder), out=tmp_path / "run", device="cpu")
    assert loaded == [str(folder)]  # once
    assert "of the weights start from it" in capsys.readouterr().err
    assert load_recipe(tmp_path / "run" / "recipe.yaml").model.init == str(folder)
    shutil.rmtree(folder)
    result = train("shapes", out=tmp_path / "run", resume=True, device="cpu")
    assert load_model(result.model).spec["backbone"] == "test_resnet"
