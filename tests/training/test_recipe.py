"""Recipes: what they hold, how they are combined, and what a mistake in one says."""

from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from pyramid_attention.errors import UserError
from pyramid_attention.training import Recipe, list_recipes, load_recipe
from pyramid_attention.training.recipe import (
    ChangedModelRecipe,
    CommonFields,
    DataRecipe,
    ModelRecipe,
    TrainRecipe,
    dotted,
)


def test_the_built_in_recipes() -> None:
    assert list_recipes() == ["camvid", "cityscapes", "finetune", "shapes", "voc"]
    for name in list_recipes():
        load_recipe(name)


@pytest.mark.parametrize(("name", "crop"), [("voc", 512), ("cityscapes", 768)])
def test_the_papers_settings(name: str, crop: int) -> None:
    recipe = load_recipe(name)
    train = recipe.train
    assert recipe.data.crop == (crop, crop)
    assert recipe.data.scale == (0.5, 2.0)
    assert recipe.data.flip
    assert (recipe.model.backbone, recipe.model.pretrained, recipe.model.output_stride) == ("resnet101c", True, 16)
    assert (train.optimizer, train.momentum, train.weight_decay, train.batch_size) == ("sgd", 0.9, 1e-4, 16)
    assert (train.learning_rate, train.schedule, train.power, train.epochs) == (4e-3, "poly", 0.9, 100)


def test_overrides_win_and_the_rest_stays() -> None:
    before = load_recipe("camvid")
    after = load_recipe("camvid", {"train.epochs": 2, "model.options.channels": 32, "data.crop": [96, 128], "seed": 7})
    assert (after.train.epochs, after.model.options["channels"], after.data.crop, after.seed) == (2, 32, (96, 128), 7)
    assert set(after.differences(before)) == {"train.epochs", "model.options.channels", "data.crop", "seed"}


def test_scientific_notation_is_a_number() -> None:
    assert load_recipe("voc", {"train.learning_rate": "1e-4"}).train.learning_rate == 1e-4


def test_a_file_over_a_built_in_base(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("base: voc\ntrain: {epochs: 3}\n")
    recipe = load_recipe(file)
    assert recipe.train.epochs == 3
    assert recipe.model.backbone == "resnet101c"


def test_a_saved_recipe_is_the_same_recipe(tmp_path: Path) -> None:
    recipe = load_recipe("finetune", {"train.class_weights": [1, 2.5]})
    recipe = recipe.with_data("here", "folder", {"images": "{id}.jpg", "held_out": ("a", "b")})
    recipe.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    assert yaml.safe_load((tmp_path / "recipe.yaml").read_text())["train"]["epochs"] == 60


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train.epoch", 3, "no field 'train.epoch'. Did you mean 'train.epochs'"),
        ("epochs", 3, "no field 'epochs'. Did you mean 'train.epochs'?"),
        ("trian.epochs", 3, "no field 'trian'. Did you mean 'train'"),
        ("train.epochs", "many", "recipe field 'train.epochs': input should be a valid integer"),
        ("train.epochs", True, "recipe field 'train.epochs': input should be a valid integer"),
        ("train.learning_rate", float("inf"), "recipe field 'train.learning_rate': input should be a finite number"),
        ("train.epochs", 0, "recipe field 'train.epochs': input should be greater than or equal to 1"),
        ("train.optimizer", "adam", "recipe field 'train.optimizer': input should be 'sgd' or 'adamw'"),
        ("model.output_stride", 12, "recipe field 'model.output_stride': input should be 8, 16 or 32"),
        ("data.scale", [2, 1], "scale must be two numbers, smallest first"),
        ("model.options.in_channels", 4, "in_channels is no option"),
        ("data.crop", 512, "recipe field 'data.crop'"),
        ("train", 5, "recipe field 'train'"),
        ("train.epochs.more", 1, "recipe field 'train.epochs'"),
    ],
)
def test_a_mistake_names_the_field_and_the_mend(field: str, value: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe("camvid", {field: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'camvid'"):
        load_recipe("camvit")


@pytest.mark.parametrize("text", ["train: [", "- 1\n- 2", "base: a.yaml", "base: 5"])
def test_a_broken_file_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match="recipe"):
        load_recipe(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_the_keywords_of_train_are_fields_with_the_types_of_the_recipe() -> None:
    groups = {"data": DataRecipe, "model": ModelRecipe, "train": TrainRecipe}
    for name, type_ in get_type_hints(CommonFields).items():
        (dotted_name,) = dotted({name: None})
        group, _, field = dotted_name.rpartition(".")
        assert get_type_hints(groups.get(group, Recipe))[field] == type_, name


def test_a_trained_model_can_be_changed_in_what_a_network_is_described_by() -> None:
    described = set(ModelRecipe.model_fields)
    assert set(ChangedModelRecipe.model_fields) == described - {"backbone"}  # with one it is described afresh
    recipe = load_recipe("camvid", {"model.init": "there", "model.options.gate": "none"})
    assert recipe.model == ChangedModelRecipe(init="there", options={"gate": "none"})
    assert load_recipe(recipe, {"train.epochs": 2}).model == recipe.model
    anew = load_recipe("camvid", {"model.init": "there", "model.backbone": "resnet34"}).model
    assert isinstance(anew, ModelRecipe)
    assert (anew.init, anew.backbone, anew.options["channels"]) == ("there", "resnet34", 64)


def test_a_recipe_without_a_network_is_saved_and_read(tmp_path: Path) -> None:
    recipe = Recipe(model=None)
    recipe.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


def test_the_order_of_classes_is_a_difference() -> None:
    one, other = ({"data.classes": {name: ["x"] for name in names}} for names in ("ab", "ba"))
    assert load_recipe("camvid", one).differences(load_recipe("camvid", other)) == ["data.classes"]


def test_differences_of_equal_recipes_are_none() -> None:
    assert Recipe().differences(Recipe()) == []
