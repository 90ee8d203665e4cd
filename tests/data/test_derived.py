"""Classes merged and dropped, masks fitted: the data set itself, the recipe that asks for it, and the evaluation."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention import evaluate, train
from pyramid_attention.classes import IGNORE, ClassTable
from pyramid_attention.data import Dataset, FileSample, fit_masks, open_dataset, remap_classes
from pyramid_attention.data.samples import ColourSample, id_lookup
from pyramid_attention.errors import UserError
from pyramid_attention.inference import Segmenter
from pyramid_attention.training import load_recipe

NAMES = ["sky", "tree", "bush", "car", "bus"]


def plant(root: Path, mask_size: tuple[int, int] = (48, 40), splits: tuple[str, ...] = ("train", "val")) -> Path:
    """Images of 48×40 pixels; masks of `mask_size` = (width, height) with all ids and void."""
    rng = np.random.default_rng(0)
    for split in splits:
        for name in "abc":
            pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            ids = rng.choice([0, 1, 2, 3, 4, 255], (mask_size[1], mask_size[0])).astype(np.uint8)
            for kind, array in (("images", pixels), ("masks", ids)):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(root / kind / split / f"{name}.png")
    (root / "dataset.yaml").write_text(f"names: [{', '.join(NAMES)}]\n")
    return root


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return open_dataset(plant(tmp_path))


# Classes


def test_classes_are_merged_in_the_order_of_the_recipe_and_what_is_not_named_is_void(data: Dataset) -> None:
    made = remap_classes(data, {"vehicle": ["bus", "car"], "green": ["tree", "bush"]})
    assert made.classes.names == ("vehicle", "green")
    assert made.classes.colours == (data.classes.colours[4], data.classes.colours[1])
    new = {0: IGNORE, 1: 1, 2: 1, 3: 0, 4: 0, IGNORE: IGNORE}
    for split in ("train", "val"):
        for before, after in zip(data.split(split), made.split(split), strict=True):
            assert after.name == before.name
            assert np.array_equal(after.read_image(), before.read_image())
            assert after.read_mask().dtype == np.uint8
            assert np.array_equal(after.read_mask(), np.vectorize(new.get)(before.read_mask()))
    assert made.notes == ("void, as data.classes does not name them: sky",)
    assert made.root == data.root
    assert made.format == "folder"


def test_to_name_every_class_changes_nothing_but_the_names(data: Dataset) -> None:
    made = remap_classes(data, {name.upper(): [name] for name in NAMES})
    assert made.classes == ClassTable(tuple(map(str.upper, NAMES)), data.classes.colours)
    assert np.array_equal(made.split("val")[0].read_mask(), data.split("val")[0].read_mask())
    assert made.notes == ()


def test_a_sample_with_other_classes_can_be_pickled(data: Dataset) -> None:
    sample = fit_masks(remap_classes(data, {"a": ["car"]})).split("train")[0]
    assert np.array_equal(pickle.loads(pickle.dumps(sample)).read_mask(), sample.read_mask())


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"green": ["tre"]}, "data.classes names 'tre', which is no class of {root}. Did you mean 'tree'?"),
        ({"green": ["tree", "tree"]}, "data.classes has 'tree' twice, in 'green' and in 'green'; remove it from one"),
        ({"a": ["car"], "b": ["bus", "car"]}, "data.classes has 'car' twice, in 'a' and in 'b'; remove it from one"),
        ({"a": []}, "data.classes makes 'a' of no class; list the data set's classes it is to hold"),
    ],
)
def test_a_mapping_that_does_not_fit(data: Dataset, mapping: dict[str, list[str]], said: str) -> None:
    with pytest.raises(UserError) as raised:
        remap_classes(data, mapping)
    assert str(raised.value) == said.format(root=data.root)


# Fitting


@pytest.mark.parametrize("size", [(24, 20), (96, 80), (48, 40), (16, 13), (16, 14), (47, 40), (144, 120)])
def test_masks_of_the_same_shape_are_fitted_by_nearest_neighbour(tmp_path: Path, size: tuple[int, int]) -> None:
    data = open_dataset(plant(tmp_path, size))
    fitted = fit_masks(data).split("train")[0]
    on_disk = Image.open(tmp_path / "masks" / "train" / "a.png")
    expected = np.array(on_disk.resize((48, 40), Image.Resampling.NEAREST))
    assert np.array_equal(fitted.read_mask(), expected)
    assert fitted.name == "a"
    assert fitted.read_image().shape == (40, 48, 3)
    if size != (48, 40):
        with pytest.raises(UserError, match=r"or have it fitted with --set data\.resize_masks=true"):
            data.split("train")[0].read_mask()


@pytest.mark.parametrize("size", [(40, 48), (48, 42), (24, 24), (96, 77)])
def test_masks_of_another_shape_are_not(tmp_path: Path, size: tuple[int, int]) -> None:
    for data in (open_dataset(plant(tmp_path, size)), fit_masks(open_dataset(tmp_path))):
        with pytest.raises(UserError) as raised:
            data.split("train")[0].read_mask()
        mask, image = (tmp_path / kind / "train" / "a.png" for kind in ("masks", "images"))
        assert str(raised.value) == (
            f"{mask} is {size[0]}×{size[1]} pixels but its image {image} is 48×40; save the mask at the image's size"
        )


def test_masks_in_colours_are_fitted_too(tmp_path: Path) -> None:
    Image.new("RGB", (4, 2)).save(tmp_path / "a.jpg")
    Image.fromarray(np.array([[[9, 0, 0], [0, 9, 0]]], dtype=np.uint8)).save(tmp_path / "a.png")
    sample = ColourSample("a", tmp_path / "a.jpg", tmp_path / "a.png", {(9, 0, 0): 1, (0, 9, 0): 255})
    data = Dataset("some", tmp_path, ClassTable.of(2), {"train": [sample]})
    assert fit_masks(data).split("train")[0].read_mask().tolist() == [[1, 1, 255, 255]] * 2


def test_masks_in_the_layout_of_voc_are_fitted_too(tmp_path: Path) -> None:
    for folder in ("JPEGImages", "SegmentationClass"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (4, 2)).save(tmp_path / "JPEGImages" / "a.jpg")
    Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).save(tmp_path / "SegmentationClass" / "a.png")
    (tmp_path / "class_names.txt").write_text("background\ncat\n")
    data = open_dataset(tmp_path)
    with pytest.raises(UserError, match=r"or have it fitted with --set data\.resize_masks=true"):
        data.split("train")[0].read_mask()
    assert fit_masks(data).split("train")[0].read_mask().tolist() == [[0, 0, 1, 1]] * 2


def test_samples_without_a_mask_file_stay_as_they_are() -> None:
    shapes = open_dataset("shapes", train=2, size=64)
    assert fit_masks(shapes).split("train")[0] is shapes.split("train")[0]


def test_ids_outside_the_table_are_told_all_the_same(tmp_path: Path) -> None:
    plant(tmp_path, (24, 20), ("train",))
    image, mask = (tmp_path / kind / "train" / "a.png" for kind in ("images", "masks"))
    sample = FileSample("a", image, mask, id_lookup([0, 1], [255]))
    data = Dataset("some", tmp_path, ClassTable.of(2), {"train": [sample]})
    with pytest.raises(UserError, match="holds ids that are no class: 2-4"):
        fit_masks(data).split("train")[0].read_mask()


# Recipe


def test_a_recipe_names_the_classes_in_an_order_that_counts(tmp_path: Path) -> None:
    first = load_recipe("finetune", {"data.classes": {"a": ["x"], "b": ["y", "z"]}})
    other = load_recipe("finetune", {"data.classes": {"b": ["y", "z"], "a": ["x"]}})
    assert first.data.classes == {"a": ["x"], "b": ["y", "z"]}
    assert first.differences(other) == ["data.classes"]
    assert first.differences(load_recipe("finetune")) == ["data.classes"]
    first.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml").differences(first) == []
    (tmp_path / "mine.yaml").write_text("base: recipe.yaml\ndata: {classes: {c: [x]}}")
    assert load_recipe(tmp_path / "mine.yaml").data.classes == {"c": ["x"]}
    assert load_recipe(tmp_path / "mine.yaml", {"data.classes": None}).data.classes is None


@pytest.mark.parametrize("value", [{}, ["a"], {"a": "b"}, {"a": []}, {1: ["b"]}, {"a": [False]}])
def test_classes_that_are_no_mapping_to_lists_of_names(value: object) -> None:
    with pytest.raises(UserError, match=r"recipe field 'data\.classes'"):
        load_recipe("finetune", {"data.classes": value})


# Training and evaluation


def test_a_model_of_other_classes_is_evaluated_on_the_original_data(tmp_path: Path) -> None:
    data = plant(tmp_path / "data", (24, 20))
    asked = {
        "data.classes": {"vehicle": ["bus", "car"], "green": ["tree", "bush"], "above": ["sky"]},
        "data.resize_masks": True,
        "data.crop": [32, 32],
        "data.workers": 0,
        "model.backbone": "test_resnet",
        "model.pretrained": False,
        "model.options.channels": 8,
        "train.batch_size": 3,
        "train.epochs": 2,
    }
    result = train(data, "finetune", fields=asked, out=tmp_path / "run", device="cpu")
    segmenter = Segmenter.load(result.model, device="cpu")
    assert segmenter.classes.names == ("vehicle", "green", "above")
    found = evaluate(data, segmenter)
    assert found.metrics()["miou"] == pytest.approx(result.best_miou, abs=1e-6)
    assert list(found.metrics()["per_class"]) == ["vehicle", "green", "above"]
    prepared = remap_classes(fit_masks(open_dataset(data)), segmenter.info.recipe["data"]["classes"])
    assert evaluate(prepared, segmenter).metrics() == found.metrics()
    with pytest.raises(UserError, match=r"begun with another data\.classes"):
        train(data, "finetune", fields={**asked, "data.classes": {"a": ["car"]}}, out=tmp_path / "run", resume=True)
