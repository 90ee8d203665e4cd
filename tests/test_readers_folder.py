"""The `folder` reader: what is paired with what, where folders may lie, and what the values of masks mean."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.data import Dataset, FileSample, open_dataset
from pyramid_attention.data.readers import camvid, folder
from pyramid_attention.data.readers.pairs import list_pictures, pair
from pyramid_attention.errors import UserError

IDS = np.arange(80, dtype=np.uint8).reshape(8, 10) % 3
PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)


def write(root: Path, path: str, pixels: NDArray[np.generic] | Image.Image = IDS) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(file)
    return file


def plant(root: Path, *paths: str, pixels: NDArray[np.generic] | Image.Image = IDS) -> Path:
    for path in paths:
        write(root, path, pixels)
    return root


def names(dataset: Dataset, split: str = "train") -> list[str]:
    return [sample.name for sample in dataset.split(split)]


def complaint(root: Path) -> str:
    with pytest.raises(UserError) as raised:
        open_dataset(root)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# Pairing


@pytest.mark.parametrize("masks", [("a.png", "a_mask.png"), ("a.png", "a.bmp"), ("a_gt.png", "a_mask.png")])
def test_a_photograph_with_two_masks_is_a_problem_and_left_out(tmp_path: Path, masks: tuple[str, str]) -> None:
    plant(tmp_path, "images/train/a.jpg", "images/train/b.jpg", "masks/train/b.png")
    plant(tmp_path, *(f"masks/train/{mask}" for mask in masks))
    dataset = folder.read(tmp_path)
    assert names(dataset) == ["b"]
    (problem,) = dataset.problems
    photograph, folder_of_masks = tmp_path / "images" / "train" / "a.jpg", tmp_path / "masks" / "train"
    assert problem.startswith(f"{photograph} has two masks in {folder_of_masks}, ")
    assert all(mask in problem for mask in masks)
    assert problem.endswith("; remove one")
    assert dataset.notes == ()


def test_two_photographs_for_one_mask_are_a_problem(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "images/train/a.png", "masks/train/a.png")
    plant(tmp_path, "images/train/b.png", "masks/train/b.png")
    dataset = folder.read(tmp_path)
    assert names(dataset) == ["b"]
    images = tmp_path / "images" / "train"
    assert dataset.problems == (f"{images} holds a.jpg and a.png: one stem, two pictures; remove or rename one",)
    assert dataset.notes == ()


def test_all_problems_of_all_splits_are_collected(tmp_path: Path) -> None:
    for split in ("train", "val"):
        plant(tmp_path, *(f"{split}/{stem}.jpg" for stem in "abc"), *(f"{split}annot/{stem}.png" for stem in "abc"))
        plant(tmp_path, *(f"{split}annot/{stem}_mask.png" for stem in "ab"))
    for dataset in (camvid.read(tmp_path), folder.read(tmp_path)):
        assert len(dataset.problems) == 4
        assert names(dataset, "train") == names(dataset, "val") == ["c"]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_photographs_without_a_mask_and_masks_without_a_photograph_are_noted(tmp_path: Path, split: str) -> None:
    plant(tmp_path, *(f"images/{stem}.jpg" for stem in "abcde"), "masks/a.png", "masks/y.png")
    found = pair(split, tmp_path / "images", tmp_path / "masks")
    assert [name for name, _, _ in found.pairs] == ["a"]
    assert found.notes == [
        f"4 of 5 photographs in {tmp_path / 'images'} have no mask and are left out (b.jpg, c.jpg, d.jpg, …)",
        f"1 masks in {tmp_path / 'masks'} have no photograph in {tmp_path / 'images'} and are left out (y.png)",
    ]
    assert found.problems == []


def test_where_no_photograph_of_the_test_split_has_a_mask_it_is_empty(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png", "images/test/a.jpg")
    assert folder.read(tmp_path).splits["test"] == []


# Links and folders that cannot be read


@pytest.mark.parametrize(
    ("link", "to"),
    [
        ("images/train/again", "images/train"),
        ("images/train/x/up", "images"),
        ("images/again", "images"),
        ("masks/train/root", "."),
        ("loop", "."),
        ("images/root", "."),
    ],
)
def test_a_link_back_to_a_folder_above_is_noted_and_not_followed(tmp_path: Path, link: str, to: str) -> None:
    plant(tmp_path, "images/train/x/a.jpg", "masks/train/x/a.png")
    os.symlink(tmp_path / to, tmp_path / link)
    dataset = folder.read(tmp_path)
    assert {split: names(dataset, split) for split in dataset.splits} == {"train": ["x/a"]}
    assert dataset.notes == (f"{tmp_path / link} leads back to a folder above it and is left out",)


def test_two_links_to_each_others_folders_end(tmp_path: Path) -> None:
    plant(tmp_path, "a/one.png", "b/two.png")
    os.symlink(tmp_path / "b", tmp_path / "a" / "x")
    os.symlink(tmp_path / "a", tmp_path / "b" / "y")
    found = list_pictures(tmp_path / "a")
    assert list(found.files) == ["one", "x/two"]
    assert list(found.loops) == [tmp_path / "a" / "x" / "y"]


def test_a_link_to_itself_leads_nowhere(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    os.symlink("self", tmp_path / "self")
    os.symlink("self", tmp_path / "images" / "train" / "self")
    assert names(folder.read(tmp_path)) == ["a"]


def test_links_that_lead_elsewhere_are_followed(tmp_path: Path) -> None:
    plant(tmp_path, "data/images/train/x/a.jpg", "elsewhere/x/a.png")
    (tmp_path / "data" / "masks").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "masks" / "train")
    os.symlink(tmp_path / "data" / "images" / "train" / "x", tmp_path / "data" / "images" / "train" / "y")
    os.symlink(tmp_path / "elsewhere" / "x", tmp_path / "elsewhere" / "y")
    dataset = folder.read(tmp_path / "data")
    assert names(dataset) == ["x/a", "y/a"]
    assert dataset.notes == ()


@pytest.mark.parametrize("closed", ["", "images", "masks/train", "images/train/x"])
def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    plant(tmp_path, "images/train/x/a.jpg", "masks/train/x/a.png")
    scandir = os.scandir

    def refusing(path: str | Path) -> object:
        if Path(path) == tmp_path / closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)  # as permissions do not bind a test that is run by root
    said = f"cannot list {tmp_path / closed}: Permission denied; check the path and its permissions"
    assert complaint(tmp_path) == said
