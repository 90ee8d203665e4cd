"""A validation split that is made: its share, that it is the same everywhere and later, and that nothing is written."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.classes import ClassTable
from pyramid_attention.data import Dataset, open_dataset
from pyramid_attention.data.holdout import below, find_border, make_splits
from pyramid_attention.data.reading import FOUND, Reading
from pyramid_attention.errors import UserError


@dataclass(frozen=True)
class Named:
    """A sample of which only the name matters."""

    name: str

    def read_image(self) -> NDArray[np.uint8]:
        raise NotImplementedError

    def read_mask(self) -> NDArray[np.uint8]:
        raise NotImplementedError


def dataset(names: list[str], reading: Reading = FOUND, **others: list[str]) -> Dataset:
    splits = {split: [Named(name) for name in listed] for split, listed in {"train": names, **others}.items()}
    return Dataset("some", None, ClassTable.of(2), splits, ("a note",), reading=reading)


def split(data: Dataset) -> dict[str, list[str]]:
    return {name: [sample.name for sample in samples] for name, samples in data.splits.items()}


def numbered(count: int) -> list[str]:
    return sorted(f"photograph {i}" for i in range(count))


def test_about_the_share_is_held_out_in_the_order_of_the_names() -> None:
    names = numbered(1000)
    made = split(make_splits(dataset(names)))
    assert list(made) == ["train", "val"]
    assert abs(len(made["val"]) - 200) <= 1
    assert sorted(made["train"] + made["val"]) == names
    assert all(listed == sorted(listed) for listed in made.values())


def test_the_split_of_a_name_is_the_same_on_every_machine() -> None:
    made = split(make_splits(dataset(numbered(12))))
    # those two alone have a SHA-256 (sha256sum) below 3333…, which is a fifth of all
    assert made["val"] == ["photograph 4", "photograph 9"]


@settings(deadline=None)
@given(st.lists(st.text(max_size=5), min_size=2, max_size=60, unique=True), st.floats(0, 1))
def test_the_share_is_met_within_one_and_no_side_is_empty(names: list[str], share: float) -> None:
    held = below(names, find_border(names, share))
    assert set(held) == {True, False}
    assert abs(sum(held) - min(max(share * len(names), 1), len(names) - 1)) <= 1


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 40))
def test_what_a_recipe_recorded_moves_no_image_when_others_are_added(count: int, more: int) -> None:
    first = make_splits(dataset(numbered(count)))
    before, after = split(first), split(make_splits(dataset(numbered(count + more), first.reading)))
    assert set(before["train"]) <= set(after["train"])
    assert set(before["val"]) <= set(after["val"])


def test_another_share() -> None:
    assert len(split(make_splits(dataset(numbered(20), Reading(val=0.5))))["val"]) in (9, 10, 11)
    assert set(split(make_splits(dataset(numbered(20), Reading(val=0.0))))) == {"train"}


def test_groups_stay_whole_and_are_recorded() -> None:
    names = [f"{video}_{frame}" for video in "abcdefghij" for frame in range(5)]
    by_name = make_splits(dataset(names, Reading(group="^[^_]+")))
    videos = {name[0] for name in split(by_name)["val"]}
    assert by_name.reading.held_out == tuple(sorted(videos))
    assert len(split(by_name)["val"]) == 5 * len(videos) == 10
    known = replace(dataset(names), groups={name: name[0] for name in names})
    assert split(make_splits(known)) == split(by_name)
    later = make_splits(dataset([*names, "k_1", "a_6"], by_name.reading))
    assert {name[0] for name in split(later)["val"]} == videos


def test_images_that_look_alike_stay_on_one_side(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for scene in range(10):
        pixels = generator.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        for frame in range(3):
            for folder, drawn in (("images", pixels), ("masks", pixels[:, :, 0] // 128)):
                file = tmp_path / folder / f"{frame}_{scene}.png"
                file.parent.mkdir(exist_ok=True)
                Image.fromarray(np.minimum(drawn, 250) + np.uint8(frame * (folder == "images"))).save(file)
    made = open_dataset(tmp_path, reading=Reading(group="auto"))
    sides = {side: {sample.name[-1] for sample in of} for side, of in made.splits.items()}
    assert sides["train"].isdisjoint(sides["val"])
    assert len(made.split("val")) == 3 * len(sides["val"])
    assert 1 <= len(sides["val"]) <= 3
    assert any("20 that look like another" in note for note in made.notes)
    again = open_dataset(tmp_path, reading=made.reading)
    assert split(again) == split(made)


def test_it_is_said() -> None:
    made = make_splits(dataset(numbered(12)))
    assert made.notes == (
        "a note",
        "no val split: 2 of 12 images are held out for it, by a hash of their names",
    )


def test_beside_a_test_split_val_is_made_too_and_trainval_is_divided() -> None:
    assert list(split(make_splits(dataset(numbered(12), test=["c"])))) == ["train", "val", "test"]
    assert split(make_splits(dataset(numbered(12), val=[])))["val"]
    both = make_splits(dataset([], trainval=numbered(12), test=["c"]))
    assert split(both)["val"] == ["photograph 4", "photograph 9"]
    assert list(split(both)) == ["train", "val", "test"]


@pytest.mark.parametrize(("names", "others"), [(["a", "b"], {"val": ["c"]}), (["a"], {}), ([], {})])
def test_data_with_val_or_too_few_images_stay_as_they_are(names: list[str], others: dict[str, list[str]]) -> None:
    data = dataset(names, **others)
    assert make_splits(data) is data


@pytest.mark.parametrize(
    ("image", "mask", "format"),
    [("images/{}.png", "masks/{}.png", "folder"), ("train/{}.png", "trainannot/{}.png", "camvid")],
)
def test_every_format_gets_a_val_split_and_nothing_is_written(
    tmp_path: Path, image: str, mask: str, format: str
) -> None:
    for path in (image, mask):
        for name in numbered(12):
            file = tmp_path / path.format(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).save(file)
    before = sorted(tmp_path.rglob("*"))
    opened = open_dataset(tmp_path)
    assert opened.format == format
    assert split(opened)["val"] == ["photograph 4", "photograph 9"]
    assert sorted(tmp_path.rglob("*")) == before


def test_one_group_cannot_be_divided() -> None:
    with pytest.raises(UserError, match="all 3 images are in one group"):
        make_splits(dataset(["a1", "a2", "a3"], Reading(group="^.")))
    with pytest.raises(UserError, match="finds no group in 1 of 3 names, such as 'b'"):
        make_splits(dataset(["a1", "a2", "b"], Reading(group=r"\d")))


def test_an_empty_name_is_no_folder() -> None:
    with pytest.raises(UserError, match=r"an empty name; write \. for the folder you are in"):
        open_dataset("")
