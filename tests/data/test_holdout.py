"""A validation split that is made: its share, that it stays the same whatever is added, and what it remembers."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.classes import ClassTable
from pyramid_attention.data import Dataset, open_dataset
from pyramid_attention.data.holdout import hold_out, make_splits
from pyramid_attention.errors import UserError


@dataclass(frozen=True)
class Named:
    """A sample of which only the name matters."""

    name: str

    def read_image(self) -> NDArray[np.uint8]:
        raise NotImplementedError

    def read_mask(self) -> NDArray[np.uint8]:
        raise NotImplementedError


def dataset(root: Path | None, names: list[str], **others: list[str]) -> Dataset:
    splits = {split: [Named(name) for name in listed] for split, listed in {"train": names, **others}.items()}
    return Dataset("some", root, ClassTable.of(2), splits, ("a note",))


def split(data: Dataset) -> dict[str, list[str]]:
    return {name: [sample.name for sample in samples] for name, samples in data.splits.items()}


def numbered(count: int) -> list[str]:
    return sorted(f"photograph {i}" for i in range(count))


def test_about_the_share_is_set_aside_in_the_order_of_the_names(tmp_path: Path) -> None:
    names = numbered(1000)
    made = split(make_splits(dataset(tmp_path, names)))
    assert list(made) == ["train", "val"]
    assert 160 < len(made["val"]) < 240
    assert sorted(made["train"] + made["val"]) == names
    assert all(listed == sorted(listed) for listed in made.values())
    assert 460 < sum(hold_out(names, 0.5, {})) < 540


def test_the_split_of_a_name_is_the_same_on_every_machine() -> None:
    made = split(make_splits(dataset(None, numbered(12))))
    # those two alone have a SHA-256 (sha256sum) below 3333…, which is a fifth of all
    assert made["val"] == ["photograph 4", "photograph 9"]


@given(
    st.lists(st.text(max_size=5), min_size=2, max_size=40, unique=True),
    st.dictionaries(st.text(max_size=5), st.sampled_from(["train", "val"]), max_size=40),
    st.floats(0, 1),
)
def test_no_side_is_empty(names: list[str], before: dict[str, str], share: float) -> None:
    held = hold_out(names, share, before)
    assert len(held) == len(names)
    assert set(held) == {True, False}
    against = [name for name, out in zip(names, held, strict=True) if before.get(name) == ("train" if out else "val")]
    assert len(against) <= 1  # the one that changes over where all would be on one side


@given(st.integers(20, 40), st.integers(0, 40))
def test_images_that_are_added_move_no_other(count: int, more: int) -> None:
    before, after = (split(make_splits(dataset(None, numbered(n)))) for n in (count, count + more))
    assert set(before["train"]) <= set(after["train"])
    assert set(before["val"]) <= set(after["val"])


def test_what_was_decided_is_remembered_and_added_to(tmp_path: Path) -> None:
    few = split(make_splits(dataset(tmp_path, ["a", "b"])))
    assert json.loads((tmp_path / "splits.json").read_text()) == few
    # of two, one had to go into each split whatever its hash; that stays so among many
    many = split(make_splits(dataset(tmp_path, ["a", "b", *numbered(50)])))
    assert all(set(few[name]) <= set(many[name]) for name in few)
    assert json.loads((tmp_path / "splits.json").read_text()) == many
    # images that are gone for a while come back to their places
    make_splits(dataset(tmp_path, numbered(50)))
    assert json.loads((tmp_path / "splits.json").read_text()) == many


def test_what_splits_json_says_is_followed_and_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    names = numbered(20)
    (tmp_path / "splits.json").write_text(json.dumps({"val": names[:10], "train": names[10:]}))
    written = (tmp_path / "splits.json").read_text()
    assert split(make_splits(dataset(tmp_path, names))) == {"train": names[10:], "val": names[:10]}
    assert (tmp_path / "splits.json").read_text() == written


def test_it_is_said(tmp_path: Path) -> None:
    made = make_splits(dataset(tmp_path, numbered(12)))
    assert made.notes == (
        "a note",
        f"no val split: 2 of 12 images were set aside, see {tmp_path / 'splits.json'}",
    )
    assert made.format == "some"
    assert make_splits(dataset(None, numbered(12))).notes[1] == "no val split: 2 of 12 images were set aside"


def test_a_folder_that_cannot_be_written_has_the_same_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = split(make_splits(dataset(None, numbered(12))))

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    made = make_splits(dataset(tmp_path, numbered(12)))
    assert split(made) == expected
    assert "they are not remembered (cannot write" in made.notes[1]
    assert made.notes[1].endswith("but told by a hash of the names, which is the same every time")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "others"),
    [(["a", "b"], {"val": ["c"]}), (["a", "b"], {"test": ["c"]}), (["a"], {}), ([], {}), (["a", "b"], {"val": []})],
)
def test_data_with_other_splits_or_too_few_images_stay_as_they_are(
    tmp_path: Path, names: list[str], others: dict[str, list[str]]
) -> None:
    data = dataset(tmp_path, names, **others)
    assert make_splits(data) is data
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"train": ["a"', "is not valid JSON"),
        ("[]", "does not hold two lists of names"),
        ('{"train": []}', "does not hold two lists of names"),
        ('{"train": [1], "val": []}', "does not hold two lists of names"),
        ('{"train": ["a", "b"], "val": ["b"]}', "has b in train and in val; remove it from one"),
    ],
)
def test_a_splits_json_that_cannot_be_understood(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(UserError) as raised:
        make_splits(dataset(tmp_path, ["a", "b"]))
    assert str(raised.value).startswith(f"{tmp_path / 'splits.json'} {said}")


@pytest.mark.parametrize(
    ("image", "mask", "format"),
    [
        ("images/{}.png", "masks/{}.png", "folder"),
        ("images/train/{}.png", "masks/train/{}.png", "folder"),
        ("train/{}.png", "trainannot/{}.png", "camvid"),
    ],
)
def test_every_format_gets_a_val_split(tmp_path: Path, image: str, mask: str, format: str) -> None:
    for path in (image, mask):
        for name in numbered(12):
            file = tmp_path / path.format(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).save(file)
    for _ in range(2):
        opened = open_dataset(tmp_path)
        assert opened.format == format
        assert split(opened)["val"] == ["photograph 4", "photograph 9"]
        assert len(opened.splits["train"]) == 10


def test_an_edited_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text('{"train": ["a"], "val": ["b"]}', encoding="utf-8-sig")
    assert split(make_splits(dataset(tmp_path, ["a", "b"]))) == {"train": ["a"], "val": ["b"]}


def test_names_that_are_of_no_image_are_told(tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text('{"train": ["a"], "val": ["b.jpg"]}')
    note = "1 names in splits.json are of no image and count for nothing (b.jpg)"
    assert note in make_splits(dataset(tmp_path, ["a", "b"])).notes


def test_a_file_nested_beyond_all_bounds(tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="is not valid JSON"):
        make_splits(dataset(tmp_path, ["a", "b"]))


def test_nothing_is_remembered_while_there_are_problems(tmp_path: Path) -> None:
    """The split that is missing may be one that cannot be read."""
    assert set(make_splits(replace(dataset(tmp_path, ["a", "b"]), problems=("val.json is cut",))).splits) == {
        "train",
        "val",
    }
    assert not (tmp_path / "splits.json").exists()


def test_an_empty_name_is_no_folder() -> None:
    with pytest.raises(UserError, match=r"an empty name; write \. for the folder you are in"):
        open_dataset("")
