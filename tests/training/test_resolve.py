"""Which recipe and which data set a run has."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.classes import ClassTable
from pyramid_attention.data import Dataset, open_dataset
from pyramid_attention.errors import UserError
from pyramid_attention.training import Recipe, load_recipe
from pyramid_attention.training.recipe import ModelRecipe
from pyramid_attention.training.resolve import fit_options, refuse_changes, resolve, stored_recipe

OWN = Dataset("own", None, ClassTable.of(["a"]), {"train": [], "val": []})


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A folder that the reader of CamVid takes."""
    for split in ("train", "val"):
        for kind, pixels in (("", np.zeros((8, 8, 3), np.uint8)), ("annot", np.ones((8, 8), np.uint8))):
            (tmp_path / f"{split}{kind}").mkdir()
            Image.fromarray(pixels).save(tmp_path / f"{split}{kind}" / f"{split}.png")
    return tmp_path


def same(found: Recipe, expected: Recipe) -> bool:
    return set(found.differences(expected)) <= {"data.path", "data.format"}


def test_the_recipe_of_the_datas_format_is_taken_where_there_is_one(camvid: Path) -> None:
    recipe, dataset = resolve(camvid)
    assert same(recipe, load_recipe("camvid"))
    assert (recipe.data.path, recipe.data.format) == (str(camvid), "camvid")
    assert len(dataset.split("train")) == 1
    assert same(resolve(OWN)[0], load_recipe("finetune"))
    assert same(resolve("shapes")[0], load_recipe("shapes"))


def test_a_recipe_that_is_named_wins_over_that_of_a_run_and_fields_over_both(camvid: Path) -> None:
    stored = load_recipe("finetune", {"train.epochs": 3})
    assert resolve(camvid, stored=stored)[0].train.epochs == 3
    assert same(resolve(camvid, "voc", stored=stored)[0], load_recipe("voc"))
    assert resolve(camvid, fields={"train.epochs": 4}, stored=stored)[0].train.epochs == 4


def test_the_format_is_the_one_asked_for_or_the_recipes(camvid: Path) -> None:
    with pytest.raises(UserError):
        resolve(camvid, format="cityscapes")
    with pytest.raises(UserError):
        resolve(camvid, fields={"data.format": "cityscapes"})
    assert resolve(camvid, fields={"data.format": "cityscapes"}, format="camvid")[1].format == "camvid"


def test_the_synthetic_images_take_the_recipes_options() -> None:
    assert len(resolve("shapes", fields={"data.options.train": 5})[1].split("train")) == 5


def test_an_opened_data_set_is_taken_as_it_is() -> None:
    recipe, dataset = resolve(OWN)
    assert dataset is OWN
    assert (recipe.data.path, recipe.data.format) == (None, "own")
    shapes = open_dataset("shapes", train=2, val=1)
    assert resolve(shapes)[1] is shapes
    with pytest.raises(UserError, match=r"data\.options are of the word shapes"):
        resolve(shapes, fields={"data.options.train": 5})


def test_a_folder_is_a_runs_or_empty_or_refused(tmp_path: Path) -> None:
    assert stored_recipe(tmp_path / "new", resume=False) is None
    assert stored_recipe(tmp_path, resume=True) is None
    (tmp_path / "notes.txt").touch()
    for resume, says in ((False, "already holds files"), (True, "is not a run folder")):
        with pytest.raises(UserError, match=says):
            stored_recipe(tmp_path, resume)
    load_recipe("voc").save(tmp_path / "recipe.yaml")
    assert stored_recipe(tmp_path, resume=True) == load_recipe("voc")


def test_what_does_not_touch_the_result_may_change_when_a_run_is_resumed(tmp_path: Path) -> None:
    stored = load_recipe("voc")
    harmless = {"path": "moved", "workers": 3, "cache": False, "check": False}
    refuse_changes(load_recipe(stored, {"data": harmless}), stored, tmp_path)
    with pytest.raises(UserError, match=r"begun with another seed, train\.clip; resume it"):
        refuse_changes(load_recipe(stored, {"seed": 4, "train.clip": 1.0}), stored, tmp_path)


def test_options_of_another_architecture_are_left_out_but_not_what_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = {"channels": 64, "gate": "none", "chanels": 8}
    left = fit_options(ModelRecipe(architecture="fcn", options=options), {})
    assert left.options == {"chanels": 8}  # no network's: for `build_model` to refuse
    assert "fcn has no channels, gate" in capsys.readouterr().err
    asked = fit_options(ModelRecipe(architecture="fcn", options=options), {"model.options.gate": "none"})
    assert asked.options == {"gate": "none", "chanels": 8}
    assert fit_options(ModelRecipe(options={"channels": 64}), {}).options == {"channels": 64}
