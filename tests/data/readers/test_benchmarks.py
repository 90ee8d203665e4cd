"""Cityscapes, ADE20K and the original CamVid, each in the layout of its archive."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.data import READERS, Dataset, open_dataset, published, readers
from pyramid_attention.data.readers.benchmarks import ade20k, camvid32
from pyramid_attention.data.tree import Tree
from pyramid_attention.errors import UserError

IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.fixture(autouse=True)
def no_splits_made(monkeypatch):
    """Each format's own splits; what becomes of a data set without val is tested with the splitting."""
    monkeypatch.setattr(readers, "make_splits", lambda dataset: dataset)


def write(root: Path, path: str, pixels: NDArray[np.uint8] = IMAGE) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return file


def rows(*values: int) -> NDArray[np.uint8]:
    """A mask of two equal rows."""
    return np.array([values] * 2, dtype=np.uint8)


def stems(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [sample.name for sample in samples] for split, samples in dataset.splits.items()}


def first_mask(dataset: Dataset, split: str = "train") -> list[int]:
    """The first row of the first mask, read by a copy that has been pickled, as a worker of the loader does."""
    sample = pickle.loads(pickle.dumps(dataset.split(split)[0]))
    mask, image = sample.read_mask(), sample.read_image()
    assert mask.dtype == np.uint8
    assert image.shape == (*mask.shape, 3)
    return mask[0].tolist()


def complaint(root: Path, format: str | None = None) -> str:
    with pytest.raises(UserError) as raised:
        open_dataset(root, format)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# Cityscapes


def street(root: Path, split: str, city: str, frame: int, ids: NDArray[np.uint8], kind: str = "labelIds") -> None:
    stem = f"{city}_{frame:06}_000019"
    write(root, f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png")
    write(root, f"gtFine/{split}/{city}/{stem}_gtFine_{kind}.png", ids)


def streets(root: Path) -> Path:
    street(root, "train", "ulm", 1, rows(7, 33, 0, 4))
    street(root, "train", "aachen", 2, rows(0, 18, 255, 5), "labelTrainIds")
    street(root, "val", "lindau", 0, rows(8, 29, 9, 24))
    street(root, "test", "berlin", 0, rows(0, 1, 2, 3))
    write(root, "gtFine/train/ulm/ulm_000001_000019_gtFine_color.png")
    write(root, "gtFine/train/ulm/ulm_000001_000019_gtFine_instanceIds.png")
    (root / "gtFine/train/ulm/ulm_000001_000019_gtFine_polygons.json").write_text("{}")
    return root


def test_cityscapes_ids_become_the_19_classes(tmp_path: Path) -> None:
    dataset = open_dataset(streets(tmp_path))
    assert (dataset.format, dataset.problems) == ("cityscapes", ())
    assert stems(dataset) == {
        "train": ["aachen/aachen_000002_000019", "ulm/ulm_000001_000019"],
        "val": ["lindau/lindau_000000_000019"],
    }
    assert first_mask(dataset) == [0, 18, 255, 5]
    assert dataset.split("train")[1].read_mask()[0].tolist() == [0, 18, 255, 255]
    assert first_mask(dataset, "val") == [1, 255, 255, 11]
    assert dataset.notes == (
        f"{tmp_path / 'leftImg8bit' / 'test'} is left out: the published masks of test are dummies, the server keeps"
        " the true ones",
    )


def test_of_both_kinds_of_ids_the_published_count(tmp_path: Path) -> None:
    street(tmp_path, "train", "ulm", 1, rows(7, 8, 11, 12))
    street(tmp_path, "train", "ulm", 1, rows(9, 9, 9, 9), "labelTrainIds")
    assert first_mask(open_dataset(tmp_path)) == [0, 1, 2, 3]


def test_cityscapes_table_is_that_of_its_scripts() -> None:
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    classes = [label for label in labels if 0 <= label.trainId < 255]
    assert [label.trainId for label in classes] == list(range(19))
    assert list(published.CITYSCAPES_IDS) == [label.id for label in classes]
    assert published.CITYSCAPES.names == tuple(label.name for label in classes)
    assert published.CITYSCAPES.colours == tuple(label.color for label in classes)
    void = {label.id for label in labels if label.trainId == 255 and label.id >= 0}
    assert {*published.CITYSCAPES_IDS, *void} == set(range(34))


def test_cityscapes_leaves_out_what_lacks_its_other_half(tmp_path: Path) -> None:
    streets(tmp_path)
    write(tmp_path, "leftImg8bit/train/ulm/ulm_000009_000019_leftImg8bit.png")
    write(tmp_path, "gtFine/train/ulm/ulm_000008_000019_gtFine_labelIds.png")
    write(tmp_path, "leftImg8bit/train_extra/bonn/bonn_000000_000019_leftImg8bit.png")
    dataset = open_dataset(tmp_path)
    assert len(dataset.split("train")) == 2
    images, masks = tmp_path / "leftImg8bit" / "train", tmp_path / "gtFine" / "train"
    assert dataset.notes[1:] == (
        f"1 of 3 images of {images} have no mask in {masks} and are left out (ulm/ulm_000009_000019)",
        f"1 masks in {masks} have no image in {images} and are left out (ulm/ulm_000008_000019)",
        f"1 of 1 images of {images}_extra have no mask in {masks}_extra and are left out (bonn/bonn_000000_000019)",
    )


def test_cityscapes_with_two_masks_for_one_image(tmp_path: Path) -> None:
    streets(tmp_path)
    file = write(tmp_path, "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.bmp", rows(7, 7, 7, 7))
    (problem,) = open_dataset(tmp_path).problems
    assert f"holds {file.name} and {file.stem}.png: one stem, two files" in problem


@pytest.mark.parametrize(("gone", "said"), [("gtFine", "unpack gtFine_trainvaltest.zip there")])
def test_cityscapes_without_half_of_it(tmp_path: Path, gone: str, said: str) -> None:
    streets(tmp_path)
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    assert said in complaint(tmp_path)
    assert "holds no folder leftImg8bit" in complaint(tmp_path / "elsewhere", "cityscapes")


def test_cityscapes_with_polygons_only(tmp_path: Path) -> None:
    for file in streets(tmp_path).glob("gtFine/*/*/*.png"):
        file.unlink()
    text = complaint(tmp_path)
    assert text.startswith(f"{tmp_path} holds no image with a mask: ")
    assert "csCreateTrainIdLabelImgs" in text


def test_a_loop_of_links(tmp_path: Path) -> None:
    streets(tmp_path)
    (tmp_path / "gtFine" / "train" / "again").symlink_to(tmp_path / "gtFine")
    assert "is a link to a folder that it lies in" in complaint(tmp_path)


# ADE20K


def scenes(root: Path) -> Path:
    home = root / "ADEChallengeData2016"
    for folder, short, ids in (
        ("training", "train", rows(0, 1, 150, 13)),
        ("validation", "val", rows(2, 2, 0, 3)),
    ):
        for number in (2, 1):
            write(home, f"images/{folder}/ADE_{short}_{number:08}.jpg")
            write(home, f"annotations/{folder}/ADE_{short}_{number:08}.png", ids)
    (home / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tName\n")
    return home


@pytest.mark.parametrize("up", [False, True])
def test_ade20k_counts_from_one_and_zero_is_void(tmp_path: Path, up: bool) -> None:
    home = scenes(tmp_path)
    dataset = open_dataset(tmp_path if up else home)
    assert (dataset.format, dataset.notes, dataset.problems) == ("ade20k", (), ())
    assert stems(dataset) == {
        "train": ["ADE_train_00000001", "ADE_train_00000002"],
        "val": ["ADE_val_00000001", "ADE_val_00000002"],
    }
    assert first_mask(dataset) == [255, 0, 149, 12]
    assert first_mask(dataset, "val") == [1, 1, 255, 2]


def test_ade20k_table() -> None:
    names, colours = published.ADE20K.names, published.ADE20K.colours
    assert len(names) == len(set(names)) == 150
    said = {1: "wall", 8: "bed", 13: "person", 45: "chest of drawers", 59: "screen door", 100: "buffet"}
    said |= {75: "computer", 131: "screen", 139: "ashcan", 142: "crt screen", 145: "bulletin board", 150: "flag"}
    assert {i: names[i - 1] for i in said} == said
    assert {i: colours[i - 1] for i in (1, 2, 13, 75, 150)} == {
        1: (120, 120, 120),
        2: (180, 120, 120),
        13: (150, 5, 61),
        75: (0, 255, 173),
        150: (92, 0, 255),
    }
    assert colours[6] == colours[48] == (140, 140, 140)
    assert len(set(colours)) == 149


def test_ade20k_says_what_is_missing(tmp_path: Path) -> None:
    home = scenes(tmp_path)
    write(home, "images/training/ADE_train_00000003.jpg")
    write(home, "images/training/ADE_train_00000001.png")
    shutil.rmtree(home / "annotations" / "validation")
    dataset = open_dataset(home)
    assert list(dataset.splits) == ["train"]
    images, masks = home / "images" / "training", home / "annotations" / "training"
    assert dataset.notes == (
        f"1 of 3 images of {images} have no mask in {masks} and are left out (ADE_train_00000003)",
        f"2 of 2 images of {home / 'images' / 'validation'} have no mask in {home / 'annotations'} and are left out"
        " (ADE_val_00000001, ADE_val_00000002)",
    )
    assert dataset.problems == (
        f"{images} holds ADE_train_00000001.jpg and ADE_train_00000001.png: one stem, two files, and only one can be"
        " meant; remove one",
    )


def test_an_id_beyond_150(tmp_path: Path) -> None:
    write(scenes(tmp_path), "annotations/training/ADE_train_00000001.png", rows(0, 151, 1, 1))
    with pytest.raises(UserError, match="holds ids that are no class: 151; the class table knows 0-150"):
        open_dataset(tmp_path).split("train")[0].read_mask()


def test_ade20k_by_force(tmp_path: Path) -> None:
    assert f"not in the layout of ADE20K; expected {ade20k.LAYOUT}" in complaint(tmp_path, "ade20k")
    write(tmp_path, "images/training/a.jpg")
    write(tmp_path, "annotations/training/b.png")
    text = complaint(tmp_path, "ade20k")
    assert text.startswith(f"{tmp_path} holds no image with a mask: 1 of 1 images of ")


# CamVid in 32 colours


def drives(root: Path, *stems_: str) -> Path:
    """Sky, Wall, Void and Animal in their colours."""
    colours = np.array([[[128, 128, 128], [64, 192, 0], [0, 0, 0], [64, 128, 64]]] * 2, dtype=np.uint8)
    for stem in stems_:
        write(root, f"701_StillsRaw_full/{stem}.png")
        write(root, f"LabeledApproved_full/{stem}_L.png", colours)
    (root / "label_colors.txt").write_text("64 128 64\tAnimal\n")
    return root


def test_camvid_in_its_32_colours(tmp_path: Path) -> None:
    dataset = open_dataset(drives(tmp_path, "0016E5_00390", "0001TP_006690"))
    assert (dataset.format, dataset.notes, dataset.problems) == ("camvid32", (), ())
    assert stems(dataset) == {"train": ["0001TP_006690", "0016E5_00390"]}
    names = dataset.classes.names
    assert [names[i] for i in first_mask(dataset) if i != 255] == ["Sky", "Wall", "Animal"]
    assert first_mask(dataset) == [21, 30, 255, 0]


def test_camvids_names_are_sorted_and_void_is_none_of_them() -> None:
    names = published.CAMVID32.names
    assert len(names) == len(set(published.CAMVID32.colours)) == 31
    assert list(names) == sorted(names, key=str.lower)
    assert "Void" not in names
    assert published.CAMVID32.void_colour not in published.CAMVID32.colours


def test_lists_of_camvid(tmp_path: Path) -> None:
    drives(tmp_path, *"abcdef")
    (tmp_path / "train.txt").write_text("c\n701_StillsRaw_full/a.png\n")
    (tmp_path / "val.txt").write_text("b.png\nz\n")
    (tmp_path / "test.txt").write_text("d\n")
    dataset = open_dataset(tmp_path)
    assert stems(dataset) == {"test": ["d"], "train": ["c", "a"], "val": ["b"]}
    images = tmp_path / "701_StillsRaw_full"
    assert dataset.notes == (
        f"2 images in {images} are in no list and are left out (e, f)",
        f"1 of 2 images of {tmp_path / 'val.txt'} are not in {images} and are left out (z)",
    )


CODES = "\n".join(sorted([*published.CAMVID32.names, "Void"])) + "\n"


def test_camvid_as_fastai_packs_it(tmp_path: Path) -> None:
    codes = CODES.split()
    ids = rows(*(codes.index(name) for name in ("Sky", "Wall", "Void", "Animal")))
    for stem in "abc":
        write(tmp_path, f"images/{stem}.png")
        write(tmp_path, f"labels/{stem}_P.png", ids)
    (tmp_path / "codes.txt").write_text(CODES)
    (tmp_path / "valid.txt").write_text("b.png\n")
    dataset = open_dataset(tmp_path)
    assert dataset.format == "camvid32"
    assert stems(dataset) == {"val": ["b"], "train": ["a", "c"]}
    assert first_mask(dataset) == [21, 30, 255, 0]


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (CODES.replace("Tunnel", "Tunel"), "names 'Tunel', which is no class of CamVid. Did you mean 'Tunnel'?"),
        (CODES.replace("Tunnel\n", ""), "lacks Tunnel; it has one line for each"),
    ],
)
def test_codes_of_other_classes(tmp_path: Path, codes: str, said: str) -> None:
    write(tmp_path, "images/a.png")
    write(tmp_path, "labels/a_P.png", rows(0, 0, 0, 0))
    (tmp_path / "codes.txt").write_text(codes)
    text = complaint(tmp_path)
    assert text.startswith(str(tmp_path / "codes.txt"))
    assert said in text


def test_a_colour_that_is_none_of_camvids(tmp_path: Path) -> None:
    drives(tmp_path, "a")
    write(tmp_path, "LabeledApproved_full/a_L.png", np.full((2, 4, 3), 7, dtype=np.uint8))
    with pytest.raises(UserError, match=r"holds colours that are no class: \(7, 7, 7\)"):
        open_dataset(tmp_path).split("train")[0].read_mask()


def test_camvid_says_what_is_missing_or_double(tmp_path: Path) -> None:
    drives(tmp_path, "a")
    write(tmp_path, "701_StillsRaw_full/b.png")
    write(tmp_path, "LabeledApproved_full/c_L.png")
    write(tmp_path, "LabeledApproved_full/a_L.bmp")
    dataset = open_dataset(tmp_path)
    images, masks = tmp_path / "701_StillsRaw_full", tmp_path / "LabeledApproved_full"
    assert dataset.notes == (
        f"1 of 2 images of {images} have no mask in {masks} and are left out (b)",
        f"1 masks in {masks} have no image in {images} and are left out (c)",
    )
    assert len(dataset.problems) == 1
    assert "holds a_L.bmp and a_L.png: one stem, two files" in dataset.problems[0]


def test_camvid_without_masks_or_by_force(tmp_path: Path) -> None:
    assert f"not in the layout of CamVid; expected {camvid32.LAYOUT}" in complaint(tmp_path, "camvid32")
    write(tmp_path, "701_StillsRaw_full/a.png")
    (tmp_path / "LabeledApproved_full").mkdir()
    assert complaint(tmp_path).startswith(f"{tmp_path} holds no image with a mask: 1 of 1")


# All of them


TREES = {"cityscapes": streets, "ade20k": scenes, "camvid32": lambda root: drives(root, "a")}


@pytest.mark.parametrize("name", TREES)
def test_only_the_right_reader_says_yes(tmp_path: Path, name: str) -> None:
    TREES[name](tmp_path)
    special = [other for other in READERS if other != "folder"]  # folder is asked last and may take what they leave
    assert [other for other in special if READERS[other].detect(Tree.scan(tmp_path))] == [name]


@pytest.mark.parametrize(
    "paths",
    [
        ["images/training/a.png", "annotations/training/a.png", "annotations/validation/a.png"],
        ["images/a.png", "labels/a.png"],
        ["train/a.png", "trainannot/a.png"],
        ["JPEGImages/a.png", "SegmentationClass/a.png"],
        ["images/train/a.png", "labels/train/a.png"],
    ],
)
def test_other_layouts_are_not_theirs(tmp_path: Path, paths: list[str]) -> None:
    for path in paths:
        write(tmp_path, path)
    assert not any(READERS[name].detect(Tree.scan(tmp_path)) for name in TREES)


@pytest.mark.parametrize("name", TREES)
def test_listing_opens_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    TREES[name](tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", refuse)
    assert open_dataset(tmp_path).split("train")


def test_ade20k_is_known_by_its_names_whatever_else_lies_there(tmp_path: Path) -> None:
    home = scenes(tmp_path)
    for number in range(20):  # folders are listed in no order
        (home / "annotations" / "training" / f"{number}.txt").write_text("")
    assert open_dataset(tmp_path).format == "ade20k"


def test_cityscapes_masks_without_their_images_are_noted(tmp_path: Path) -> None:
    streets(tmp_path)
    shutil.rmtree(tmp_path / "leftImg8bit" / "val")
    note = f"1 masks in {tmp_path / 'gtFine' / 'val'} have no image in {tmp_path / 'leftImg8bit' / 'val'}"
    assert any(said.startswith(note) for said in open_dataset(tmp_path).notes)


def test_two_lists_of_one_split_of_camvid(tmp_path: Path) -> None:
    drives(tmp_path, "a", "b")
    (tmp_path / "val.txt").write_text("a\n")
    (tmp_path / "valid.txt").write_text("b\n")
    assert "holds val.txt and valid.txt, both the split 'val'; join them" in complaint(tmp_path)
