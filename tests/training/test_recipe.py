"""Recipes: what they hold, how they are combined, and what a mistake in one says."""

from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from pyramid_attention.errors import UserError
from pyramid_attention.training import Recipe, list_recipes, load_recipe
from pyramid_attention.training.recipe import (
    FIELDS,
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


UNKNOWN = [
    ({"train.epoch": 3}, "'train.epoch'. Did you mean 'train.epochs'?"),
    ({"epoch": 3}, "'epoch'. Did you mean 'train.epochs'?"),
    ({"trian.epochs": 3}, "'trian'. Did you mean 'train'?"),
    ({"modle": {}}, "'modle'. Did you mean 'model'?"),
    ({"zzz": 1}, "'zzz'. Known: " + ", ".join(sorted([*FIELDS, "data", "model", "train"])) + "."),
    ({"options": {}}, "'options'. Did you mean 'data.options' or 'model.options'?"),
    ({"model.init": "m", "model.backbon": "r"}, "'model.backbon'. Did you mean 'model.backbone'?"),
]
FAULTS = [
    ({"train.epochs": "many"}, "'train.epochs': input should be a valid integer, not 'many'"),
    ({"train.epochs": True}, "'train.epochs': input should be a valid integer, not True"),
    ({"train.epochs": 0}, "'train.epochs': input should be greater than or equal to 1, not 0"),
    ({"train.clip": 0, "train.ema": 2}, "'train.clip': input should be greater than 0, not 0 (and 1 more)"),
    (
        {"train.clip": 0, "train.ema": 2, "train.power": 0},
        "'train.clip': input should be greater than 0, not 0 (and 2 more)",
    ),
    ({"train.learning_rate": float("inf")}, "'train.learning_rate': input should be a finite number, not inf"),
    ({"train.optimizer": "adam"}, "'train.optimizer': input should be 'sgd' or 'adamw', not 'adam'"),
    ({"model.output_stride": 12}, "'model.output_stride': input should be 8, 16 or 32, not 12"),
    ({"model.init": "m", "model.output_stride": 12}, "'model.output_stride': input should be 8, 16 or 32, not 12"),
    ({"data.scale": [2, 1]}, "'data': scale must be two numbers, smallest first, above 0"),
    ({"data.crop": 512}, "'data.crop': input should be a valid tuple, not 512"),
    ({"train": 5}, "'train': input should be a valid dictionary or instance of TrainRecipe, not 5"),
    ({"train.epochs.more": 1}, "'train.epochs': input should be a valid integer"),
]


@pytest.mark.parametrize(("fields", "says"), UNKNOWN)
def test_a_field_that_does_not_exist_names_the_nearest(fields: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe("camvid", fields)
    assert str(caught.value) == f"the recipe has no field {says}"


@pytest.mark.parametrize(("fields", "says"), FAULTS)
def test_a_value_that_is_not_possible_names_the_field_and_what_is(fields: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe("camvid", fields)
    assert str(caught.value) == f"recipe field {says}"


def test_options_that_are_fields_are_refused() -> None:
    for name in ("in_channels", "num_classes", "backbone"):
        with pytest.raises(UserError, match=rf"recipe field 'model\.options': {name} is no option"):
            load_recipe("camvid", {f"model.options.{name}": 4})


def test_the_data_set_is_recorded() -> None:
    recipe = load_recipe("voc").with_data("here", "coco", {"val": 0.3, "group": "^a"})
    assert set(recipe.differences(load_recipe("voc"))) == {"data.path", "data.format", "data.val", "data.group"}
    assert (recipe.data.path, recipe.data.format, recipe.data.val) == ("here", "coco", 0.3)


def test_an_option_that_only_one_recipe_has_is_a_difference() -> None:
    assert load_recipe("voc", {"model.options.gate": "none"}).differences(load_recipe("voc")) == ["model.options.gate"]
    assert load_recipe("voc").differences(load_recipe("voc", {"model.options.gate": "none"})) == ["model.options.gate"]


def test_reasons_stand_behind_the_fields_they_are_of(tmp_path: Path) -> None:
    reasons = {"train.epochs": "für 30 Minuten", "data.crop": "as the images", "train.class_weights": "rare ones"}
    recipe = load_recipe("camvid", {"train.class_weights": [1, 2]})
    recipe.save(tmp_path / "recipe.yaml", reasons)
    lines = (tmp_path / "recipe.yaml").read_text(encoding="utf-8").splitlines()
    assert "  epochs: 90  # für 30 Minuten" in lines
    assert [line for line in lines if "#" in line and "crop:" in line] == ["  crop:  # as the images"]
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    assert len([line for line in lines if "#" in line]) == 3


def test_fields_are_changed_without_being_read_again() -> None:
    changed = load_recipe("voc").with_fields({"train.epochs": 3, "train.clip": 2.0, "data.crop": (8, 8)})
    assert (changed.train.epochs, changed.train.clip, changed.data.crop) == (3, 2.0, (8, 8))
    assert set(changed.differences(load_recipe("voc"))) == {"train.epochs", "train.clip", "data.crop"}


def test_a_keyword_is_the_last_part_of_a_fields_name() -> None:
    assert dotted({"seed": 1, "crop": 2, "init": 3, "epochs": 4}) == {
        "seed": 1,
        "data.crop": 2,
        "model.init": 3,
        "train.epochs": 4,
    }
    assert dotted({"options": 1, "epoch": 2}) == {"options": 1, "epoch": 2}  # of two groups; of none


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
    assert Recipe(model=recipe.model).model == recipe.model
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
