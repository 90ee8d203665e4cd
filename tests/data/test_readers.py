"""The readers: which files become which samples, what their ids mean, and what is said of a folder that is wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.classes import ClassTable, voc_colours
from pyramid_attention.data import READERS, Dataset, FileSample, open_dataset, published
from pyramid_attention.errors import UserError
from support import CAMVID

IDS = np.arange(80, dtype=np.uint8).reshape(8, 10) % 3
"""What a mask holds where a test does not care: the ids 0, 1 and 2."""


def write(root: Path, path: str, pixels: NDArray[np.generic] = IDS) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return file


def plant(root: Path, *paths: str, pixels: NDArray[np.generic] = IDS) -> Path:
    """One image under several paths, as image and as mask alike: it is the paths that matter."""
    for path in paths:
        write(root, path, pixels)
    return root


def files(dataset: Dataset) -> dict[str, list[tuple[str, str, str]]]:
    """Name, image and mask of every sample, by split, relative to the data set's folder."""
    assert dataset.root is not None
    listed: dict[str, list[tuple[str, str, str]]] = {}
    for split, samples in dataset.splits.items():
        listed[split] = []
        for sample in samples:
            assert isinstance(sample, FileSample)
            image, mask = (path.relative_to(dataset.root).as_posix() for path in (sample.image, sample.mask))
            listed[split].append((sample.name, image, mask))
    return listed


def labels(dataset: Dataset, split: str = "train") -> NDArray[np.uint8]:
    return dataset.split(split)[0].read_mask()


def complaint(root: Path, format: str | None = None) -> str:
    """What is said of a folder that cannot be opened: always one line that names the folder or a file in it."""
    with pytest.raises(UserError) as raised:
        open_dataset(root, format)
    text = str(raised.value)
    assert "\n" not in text
    assert str(root) in text
    return text


# Where images and masks may stand


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{}/a.jpg", "masks/{}/a.png"),
        ("Images/{}/a.JPG", "Masks/{}/a.PNG"),
        ("imgs/{}/a.tif", "labels/{}/a.bmp"),
        ("JPEGImages/{}/a.jpeg", "annotations/{}/a.png"),
        ("photos/{}/a.webp", "gt/{}/a.tiff"),
        ("{}/images/a.jpg", "{}/masks/a.png"),
        ("{}/img/a.png", "{}/label/a.png"),
        ("{}/images/a.jpg", "{}/annot/a.png"),
        ("{}/a.jpg", "{}_masks/a.png"),
        ("{}/a.jpg", "{}-masks/a.png"),
        ("{}/a.jpg", "{}masks/a.png"),
        ("{}/a.jpg", "{}_label/a.png"),
        ("{}_images/a.jpg", "{}_masks/a.png"),
        ("{}-imgs/a.jpg", "{}-gt/a.png"),
        ("{}images/a.jpg", "{}labels/a.png"),
    ],
)
def test_every_layout_gives_the_same_splits(tmp_path: Path, image: str, mask: str) -> None:
    for split in ("train", "val"):
        plant(tmp_path, image.format(split), mask.format(split))
    dataset = open_dataset(tmp_path)
    assert dataset.format == "folder"
    assert dataset.root == tmp_path
    assert dataset.notes == ()
    assert files(dataset) == {s: [("a", image.format(s), mask.format(s))] for s in ("train", "val")}


@pytest.mark.parametrize("layout", [("images/{}/a.png", "masks/{}/a.png"), ("{}/images/a.png", "{}/masks/a.png")])
def test_beside_a_known_split_any_name_is_a_split(tmp_path: Path, layout: tuple[str, str]) -> None:
    plant(tmp_path, *(path.format(split) for split in ("night", "train") for path in layout))
    assert list(open_dataset(tmp_path).splits) == ["night", "train"]


@pytest.mark.parametrize(
    ("alias", "split"),
    [("training", "train"), ("valid", "val"), ("validation", "val"), ("Validation", "val"), ("testing", "test")],
)
@pytest.mark.parametrize("layout", [("images/{}/a.png", "masks/{}/a.png"), ("{}/a.png", "{}_masks/a.png")])
def test_other_names_of_the_splits(tmp_path: Path, layout: tuple[str, str], alias: str, split: str) -> None:
    plant(tmp_path, *(path.format(alias) for path in layout))
    assert list(open_dataset(tmp_path).splits) == [split]


def test_images_and_masks_may_name_a_split_differently(tmp_path: Path) -> None:
    plant(tmp_path, "images/validation/a.png", "masks/val/a.png")
    assert files(open_dataset(tmp_path)) == {"val": [("a", "images/validation/a.png", "masks/val/a.png")]}


@pytest.mark.parametrize("ending", ["", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_annotation"])
def test_endings_of_a_mask(tmp_path: Path, ending: str) -> None:
    plant(tmp_path, "train/images/a.b.jpg", f"train/masks/a.b{ending}.png")
    assert files(open_dataset(tmp_path)) == {"train": [("a.b", "train/images/a.b.jpg", f"train/masks/a.b{ending}.png")]}


def test_a_mask_that_is_named_as_an_image_is_that_images_own(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{kind}/val/{stem}.png" for kind in ("images", "masks") for stem in ("a", "a_gt")))
    assert [(name, mask) for name, _, mask in files(open_dataset(tmp_path))["val"]] == [
        ("a", "masks/val/a.png"),
        ("a_gt", "masks/val/a_gt.png"),
    ]


def test_subfolders_are_read_and_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    stems = ["b", "x/a", "x/y/a", "a", "x/b"]
    plant(tmp_path, *(f"images/val/{stem}.jpg" for stem in stems), *(f"masks/val/{stem}.png" for stem in stems))
    names = [sample.name for sample in open_dataset(tmp_path).split("val")]
    assert names == sorted(stems)


def test_hidden_files_and_files_that_are_no_images_are_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    plant(tmp_path, "images/train/._b.jpg", "images/train/.cache/c.jpg", "images/.cache/d.jpg")
    (tmp_path / "images" / "train" / "Thumbs.db").write_bytes(b"")
    dataset = open_dataset(tmp_path)
    assert [name for name, _, _ in files(dataset)["train"]] == ["a"]
    assert dataset.notes == ()


# What the ids mean


def test_names_and_colours_of_dataset_yaml(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    (tmp_path / "dataset.yaml").write_text("names: [sky, tree, house]\ncolours: [[1, 2, 3], [0, 0, 0], [255, 0, 9]]\n")
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("sky", "tree", "house")
    assert dataset.classes.colours == ((1, 2, 3), (0, 0, 0), (255, 0, 9))
    assert np.array_equal(labels(dataset), IDS)


def test_classes_stand_in_the_order_of_their_ids(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    (tmp_path / "dataset.yaml").write_text(
        "names: {8: house, 0: sky, 7: tree}\ncolours: {7: [0, 9, 0], 8: [9, 0, 0], 0: [0, 0, 9]}\n"
    )
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("sky", "tree", "house")
    assert dataset.classes.colours == ((0, 0, 9), (0, 9, 0), (9, 0, 0))


@pytest.mark.parametrize(
    ("yaml", "on_disk", "expected"),
    [
        ("names: [a, b, c]", [0, 1, 2, 255], [0, 1, 2, 255]),
        ("names: {0: a, 7: b, 8: c}", [0, 7, 8, 255], [0, 1, 2, 255]),
        ("names: {8: c, 0: a, 7: b}", [0, 7, 8, 255], [0, 1, 2, 255]),
        ("names: [a, b, c]\nignore: 9", [0, 1, 2, 9], [0, 1, 2, 255]),
        ("names: {1: a, 2: b}\nignore: [0, 3, 255]", [0, 1, 2, 3, 255], [255, 0, 1, 255, 255]),
        ("names: {0: a, 255: b}", [0, 255], [0, 1]),
        ("names: {0: a, 255: b}\nignore: []", [0, 255], [0, 1]),
        ("names: {0: a, 300: b}\nignore: 65535", [0, 300, 65535], [0, 1, 255]),
    ],
)
def test_ids_on_disk_become_labels(tmp_path: Path, yaml: str, on_disk: Sequence[int], expected: Sequence[int]) -> None:
    ids = np.array([on_disk, on_disk[::-1]], dtype=np.uint16 if max(on_disk) > 255 else np.uint8)
    plant(tmp_path, "images/train/a.png", "masks/train/a.png", pixels=ids)
    (tmp_path / "dataset.yaml").write_text(yaml)
    found = labels(open_dataset(tmp_path))
    assert found.dtype == np.uint8
    assert found.tolist() == [list(expected), list(expected[::-1])]


@pytest.mark.parametrize("yaml", [None, "", "# only a remark", "names:", "ignore: 255"])
def test_without_names_the_masks_say_how_many_classes_there_are(tmp_path: Path, yaml: str | None) -> None:
    for split, largest in (("train", 2), ("val", 4)):
        plant(tmp_path, f"images/{split}/a.jpg")
        write(tmp_path, f"masks/{split}/a.png", np.array([[0, 1, largest, 255]] * 3, dtype=np.uint8))
    if yaml is not None:
        (tmp_path / "dataset.yaml").write_text(yaml)
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == tuple(f"class {i}" for i in range(5))
    assert dataset.classes.colours == voc_colours(5)


def test_a_void_id_makes_no_class(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.png", "masks/train/a.png", pixels=np.array([[0, 1, 2, 9]], dtype=np.uint8))
    (tmp_path / "dataset.yaml").write_text("ignore: 9")
    dataset = open_dataset(tmp_path)
    assert len(dataset.classes) == 3
    assert labels(dataset).tolist() == [[0, 1, 2, 255]]


@pytest.mark.parametrize("ids", [[0, 0], [5, 5], [255, 255]])
def test_ids_that_do_not_say_how_many_classes_there_are(tmp_path: Path, ids: list[int]) -> None:
    plant(tmp_path, "images/train/a.png", "masks/train/a.png", pixels=np.array([ids], dtype=np.uint8))
    text = complaint(tmp_path)
    assert f"hold the ids {ids[0]}, which do not say" in text
    assert f"name them in {tmp_path / 'dataset.yaml'}" in text


@pytest.mark.parametrize("form", ["indexed", "16-bit", "grey as RGB"])
def test_a_mask_may_be_indexed_deep_or_grey_saved_as_colour(tmp_path: Path, form: str) -> None:
    plant(tmp_path, "images/train/a.jpg")
    image = {
        "indexed": Image.fromarray(IDS),
        "16-bit": Image.fromarray(IDS.astype(np.uint16)),
        "grey as RGB": Image.fromarray(np.repeat(IDS[:, :, None], 3, axis=2)),
    }[form]
    if form == "indexed":
        image.putpalette([9, 8, 7, 200, 0, 0, 0, 200, 0])
    (tmp_path / "masks" / "train").mkdir(parents=True)
    image.save(tmp_path / "masks" / "train" / "a.png")
    assert np.array_equal(labels(open_dataset(tmp_path)), IDS)


# CamVid


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_camvid_has_its_classes_and_two_void_ids(tmp_path: Path, suffix: str) -> None:
    ids = np.array([[*range(12), 255]] * 2, dtype=np.uint8)
    for split in ("train", "val", "test", "night"):
        plant(tmp_path, f"{split}/seq_1.{suffix}", f"{split}annot/seq_1.png", pixels=ids)
    dataset = open_dataset(tmp_path)
    assert dataset.format == "camvid"
    assert set(dataset.splits) == {"train", "val", "test", "night"}
    assert files(dataset)["night"] == [("seq_1", f"night/seq_1.{suffix}", "nightannot/seq_1.png")]
    assert labels(dataset, "test").tolist() == [[*range(11), 255, 255]] * 2
    # names as in the data set's own table, colours as SegNet draws them
    assert dict(zip(dataset.classes.names, dataset.classes.colours, strict=True)) == {
        "Sky": (128, 128, 128),
        "Building": (128, 0, 0),
        "Pole": (192, 192, 128),
        "Road": (128, 64, 128),
        "Pavement": (60, 40, 222),
        "Tree": (128, 128, 0),
        "SignSymbol": (192, 128, 128),
        "Fence": (64, 64, 128),
        "Car": (64, 0, 128),
        "Pedestrian": (64, 64, 0),
        "Bicyclist": (0, 128, 192),
    }


def test_camvids_splits_have_other_names_too(tmp_path: Path) -> None:
    plant(tmp_path, "Train/a.png", "Trainannot/a.png", "valid/a.png", "validannot/a.png")
    assert sorted(open_dataset(tmp_path, "camvid").splits) == ["train", "val"]
    plant(tmp_path, "val/b.png", "valannot/b.png")
    assert "holds val and valid, both the split 'val'; join them" in complaint(tmp_path)


def test_camvid_says_which_folder_it_leaves_out(tmp_path: Path) -> None:
    plant(tmp_path, "train/a.png", "trainannot/a.png", "val/a.png")
    dataset = open_dataset(tmp_path)
    assert list(dataset.splits) == ["train"]
    assert dataset.notes == (f"1 of 1 images of {tmp_path / 'val'} have no mask in {tmp_path} and are left out (a)",)


@pytest.mark.skipif(not CAMVID.exists(), reason="the real CamVid is not beside the repository")
def test_the_real_camvid() -> None:
    dataset = open_dataset(CAMVID)
    assert dataset.format == "camvid"
    assert {name: len(samples) for name, samples in dataset.splits.items()} == {"train": 367, "val": 101}
    assert dataset.notes == ()
    seen = set()
    for sample in [*dataset.split("train")[::40], *dataset.split("val")[::20]]:
        mask = sample.read_mask()
        assert sample.read_image().shape == (360, 480, 3)
        assert mask.shape == (360, 480)
        seen |= set(np.unique(mask).tolist())
    assert {0, 1, 3, 5, 8, 255} <= seen <= {*range(11), 255}


# Which reader


def test_the_reader_can_be_named(tmp_path: Path) -> None:
    plant(tmp_path, "train/a.png", "trainannot/a.png")
    assert open_dataset(tmp_path).format == "camvid"
    as_folder = open_dataset(tmp_path, "folder")
    assert as_folder.format == "folder"
    assert as_folder.classes.names == ("class 0", "class 1", "class 2")
    assert files(as_folder) == files(open_dataset(tmp_path, "camvid"))


def test_camvids_folders_with_other_classes_in_a_dataset_yaml_are_no_camvid(tmp_path: Path) -> None:
    plant(tmp_path, "train/a.png", "trainannot/a.png")
    (tmp_path / "dataset.yaml").write_text("names: [a, b, c]")
    dataset = open_dataset(tmp_path)
    assert dataset.format == "folder"
    assert dataset.classes.names == ("a", "b", "c")
    assert open_dataset(tmp_path, "camvid").classes == published.CAMVID


@pytest.mark.parametrize("layout", [("images/{}/a.jpg", "masks/{}/a.png"), ("{}/a.jpg", "{}annot/a.png")])
def test_listing_opens_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: tuple[str, str]) -> None:
    plant(tmp_path, *(path.format(split) for split in ("train", "val") for path in layout))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", refuse)
    if layout[0].startswith("images"):
        (tmp_path / "dataset.yaml").write_text("names: [a, b, c]")
    dataset = open_dataset(tmp_path)
    assert len(dataset.split("train")) == len(dataset.split("val")) == 1


# What is left over


def test_masks_without_an_image_are_left_out_with_a_note(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", *(f"masks/train/{stem}.png" for stem in "abcde"))
    dataset = open_dataset(tmp_path)
    assert [name for name, _, _ in files(dataset)["train"]] == ["a"]
    assert dataset.notes == (
        f"4 masks in {tmp_path / 'masks' / 'train'} have no image in {tmp_path / 'images' / 'train'} and are left"
        " out (b.png, c.png, d.png, …)",
    )


def test_images_of_the_test_split_may_lack_masks(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    plant(tmp_path, "images/test/a.jpg", "images/test/b.jpg", "masks/test/b.png")
    dataset = open_dataset(tmp_path)
    assert [name for name, _, _ in files(dataset)["test"]] == ["b"]
    images, masks = (tmp_path / kind / "test" for kind in ("images", "masks"))
    assert dataset.notes == (f"1 of 2 images of {images} have no mask in {masks} and are left out (a)",)


def test_images_without_masks_are_left_out_with_a_note(tmp_path: Path) -> None:
    plant(tmp_path, "masks/train/a.png", *(f"images/train/{stem}.jpg" for stem in ("a", "b", "x/c", "d", "e")))
    dataset = open_dataset(tmp_path)
    assert [name for name, _, _ in files(dataset)["train"]] == ["a"]
    images, masks = (tmp_path / kind / "train" for kind in ("images", "masks"))
    assert dataset.notes[0] == f"4 of 5 images of {images} have no mask in {masks} and are left out (b, d, e, …)"
    assert dataset.problems == ()


# Bad input: folders


@pytest.mark.parametrize(
    ("image", "mask"),
    [("images/{}/a.jpg", "masks/{}/a.png"), ("{}/images/a.jpg", "{}/masks/a.png"), ("{}/a.jpg", "{}_masks/a.png")],
)
def test_a_split_without_any_mask_is_left_out_with_a_note(tmp_path: Path, image: str, mask: str) -> None:
    plant(tmp_path, image.format("train"), mask.format("train"), image.format("val"))
    dataset = open_dataset(tmp_path)
    assert list(dataset.splits) == ["train"]
    assert dataset.notes[0].startswith(f"1 of 1 images of {(tmp_path / image.format('val')).parent} have no mask in ")


OTHER = (IDS + 1) % 3


def test_a_second_mask_or_image_of_one_name_is_a_problem(tmp_path: Path) -> None:
    stems = [f"{k:02}" for k in range(12)]
    image = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    plant(tmp_path, *(f"images/train/{stem}.jpg" for stem in stems), "images/train/05.png", pixels=image)
    plant(tmp_path, *(f"masks/train/{stem}.png" for stem in stems))
    write(tmp_path, "masks/train/03_mask.png", OTHER)
    images, masks = tmp_path / "images" / "train", tmp_path / "masks" / "train"
    assert set(open_dataset(tmp_path).problems) == {
        f"{images / '03.jpg'} has two masks in {masks}, 03.png and 03_mask.png; remove one",
        f"{images} holds 05.jpg and 05.png: one stem, two files, and only one can be meant; remove one",
    }


@pytest.mark.parametrize(
    "masks",
    [("masks/train/a.png", "masks/train/a_mask.png"), ("masks/train/a.png", "labels/train/a.png")],
)
def test_nothing_is_chosen_where_two_could_be_meant(tmp_path: Path, masks: tuple[str, str]) -> None:
    write(tmp_path, "images/train/a.jpg", np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8))
    for mask, ids in zip(masks, (IDS, np.tile(IDS[:, :1], 10)), strict=True):
        write(tmp_path, mask, ids)
    with pytest.raises(UserError, match="can be read in two ways") as raised:
        open_dataset(tmp_path)
    patterns = [mask.replace("train", "{split}").replace("/a", "/{id}") for mask in masks]
    assert sorted(raised.value.more) == sorted(
        f'  images="images/{{split}}/{{id}}.jpg" masks="{one}"' for one in patterns
    )


def test_two_folders_of_one_split(tmp_path: Path) -> None:
    plant(tmp_path, "images/val/a.jpg", "images/valid/a.jpg", "masks/val/a.png")
    assert f"{tmp_path / 'images'} holds val and valid, both the split 'val'; join them" in complaint(tmp_path)


def test_two_folders_that_differ_in_case_only(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    if (tmp_path / "Images").exists():
        pytest.skip("this file architecture does not tell Images from images")
    plant(tmp_path, "Images/train/a.jpg")
    assert complaint(tmp_path) == f"{tmp_path} holds Images and images; rename or remove one of them"


def test_of_two_folders_for_one_thing_that_with_images_is_meant(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "boxes.json").write_text("{}")
    assert files(open_dataset(tmp_path)) == {"train": [("a", "images/train/a.jpg", "masks/train/a.png")]}


def unknown(root: Path, format: str | None = None) -> tuple[str, ...]:
    """What is said of a folder in no known format, which is five lines at most."""
    with pytest.raises(UserError) as raised:
        open_dataset(root, format)
    lines = (str(raised.value), *raised.value.more)
    assert lines[0].startswith(f"{root} is in no known format; it holds ")
    assert len(lines) <= 5
    return lines


@pytest.mark.parametrize("format", [None, "folder"])
def test_an_empty_folder(tmp_path: Path, format: str | None) -> None:
    assert unknown(tmp_path, format)[0].endswith("it holds no images")


def test_an_empty_folder_with_its_format_named(tmp_path: Path) -> None:
    text = complaint(tmp_path, "camvid")
    assert text.startswith(f"{tmp_path} holds no image with a mask")
    assert READERS["camvid"].LAYOUT in text


@pytest.mark.parametrize("path", ["a.jpg", "photos/a.jpg"])
def test_images_without_masks(tmp_path: Path, path: str) -> None:
    first, second, third = unknown(plant(tmp_path, path))
    assert first.endswith(f"it holds 1 files as {path}")
    assert second.startswith("  lacking: masks")
    assert "image,mask" in third


def test_images_and_masks_that_share_nothing(tmp_path: Path) -> None:
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        write(tmp_path, f"shots/{'xyz'[k]}.jpg", pixels)
        write(tmp_path, f"truth/{'uvw'[k]}.png", np.tile(IDS[:, :1], 10))
    lines = unknown(tmp_path)
    assert lines[0].endswith("it holds 3 files as shots/x.jpg and 3 files as truth/u.png")
    assert lines[2].endswith('images="shots/{id}.jpg" masks="truth/{id}.png"')
    assert "image,mask" in lines[3]


def test_folders_of_splits_without_images(tmp_path: Path) -> None:
    for folder in ("images/train", "masks/train"):
        (tmp_path / folder).mkdir(parents=True)
    assert unknown(tmp_path)[0].endswith("it holds no images")


def test_a_folder_that_is_missing_or_a_file(tmp_path: Path) -> None:
    assert "does not exist; give the folder" in complaint(tmp_path / "nowhere")
    assert "is a file, not a folder; give the folder" in complaint(write(tmp_path, "a.png"))


@pytest.mark.parametrize(
    ("format", "hint"),
    [("foldr", "Did you mean 'folder'?"), ("xxxx", f"Known: {', '.join(sorted([*READERS, 'scenes']))}.")],
)
def test_an_unknown_format(tmp_path: Path, format: str, hint: str) -> None:
    with pytest.raises(UserError) as raised:
        open_dataset(tmp_path, format)
    assert str(raised.value) == f"there is no format '{format}'. {hint}"


def test_options_belong_to_shapes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the options seed, size belong to shapes"):
        open_dataset(tmp_path, size=3, seed=1)
    with pytest.raises(UserError, match=r"write \./shapes for a folder of that name"):
        open_dataset("shapes", "folder")


def test_a_folder_that_is_called_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path / "shapes", "images/train/a.jpg", "masks/train/a.png")
    monkeypatch.chdir(tmp_path)
    assert open_dataset("./shapes", "folder").format == "folder"


# Bad input: dataset.yaml


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("names: [a, b", "is not valid YAML"),
        ("names: [a, b, c]\nmade: 2001-99-99", "is not valid YAML (month must be in 1..12); write as in: names:"),
        ("- a\n- b", "holds no fields; write for example: names:"),
        ("names: [a, b, c]\ncolors: [[0, 0, 0]]", "has an unknown field 'colors'. Did you mean 'colours'?"),
        ("nmaes: [a, b, c]", "has an unknown field 'nmaes'. Did you mean 'names' or"),
        ("1: [a, b, c]", "has an unknown field '1'. Known: block, colours, ignore, images, masks, names, scenes."),
        ("names: a", "names is 'a'; write a list"),
        ("names: []", "names is []; write a list"),
        ("names: [a, no, c]", "the name of class 1 is False, which YAML does not take as text; quote it"),
        ("names: [a, 2, c]", "the name of class 1 is 2,"),
        ("names: [tree, tree, house]", "class names are used twice: tree"),
        ("names: {zero: a}", "names has the id 'zero'; an id is a whole number of 0 to 65535"),
        ("names: {-1: a}", "names has the id -1"),
        ("names: {true: a}", "names has the id True"),
        (f"names: [{', '.join(f'c{i}' for i in range(256))}]\nignore: []", "1 to 255 classes, this one has 256"),
        ("names: [a, b]\ncolours: [[0, 0, 0]]", "names has the ids [0, 1], colours [0]"),
        ("names: {0: a, 7: b}\ncolours: [[0, 0, 0], [1, 1, 1]]", "names has the ids [0, 7], colours [0, 1]"),
        ("names: [a]\ncolours: [[0, 0]]", "the colour of class 0 is [0, 0]; write three numbers"),
        ("names: [a]\ncolours: [red]", "the colour of class 0 is 'red'; write three numbers"),
        ("names: [a]\ncolours: [[0, 0, 256]]", "the colour of class 'a' must be three whole numbers of 0 to 255"),
        ("names: [a]\ncolours: [[0, 0, 0.5]]", "the colour of class 'a' must be three whole numbers of 0 to 255"),
        ("names: [a, b, c]\nignore: [2]", "the ids [2] are in names and in ignore; remove them from one"),
        ("names: [a, b, c]\nignore: void", "ignore has the id 'void'"),
        ("names: [a, b, c]\nignore: [255, -1]", "ignore has the id -1"),
    ],
)
def test_a_dataset_yaml_that_cannot_be_understood(tmp_path: Path, yaml: str, said: str) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    (tmp_path / "dataset.yaml").write_text(yaml)
    text = complaint(tmp_path)
    assert text.startswith(str(tmp_path / "dataset.yaml"))
    assert said in text


def test_a_dataset_yaml_that_is_no_text(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    (tmp_path / "dataset.yaml").write_bytes(b"names: [\xff\xfe]")
    assert f"{tmp_path / 'dataset.yaml'} is not text in UTF-8" in complaint(tmp_path)


def test_a_dataset_yaml_that_is_a_folder(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    (tmp_path / "dataset.yaml").mkdir()
    assert f"cannot read {tmp_path / 'dataset.yaml'}" in complaint(tmp_path)


# Bad input: masks that are read for want of names


def test_a_mask_that_is_no_image_where_names_are_wanting(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    (tmp_path / "masks" / "train" / "a.png").write_text("not an image")
    assert complaint(tmp_path).startswith(f"{tmp_path / 'masks' / 'train' / 'a.png'} is not an image")


# The splits


@pytest.mark.parametrize(("name", "hint"), [("trian", "Did you mean 'train'?"), ("x", "Known: train, val.")])
def test_an_unknown_split(tmp_path: Path, name: str, hint: str) -> None:
    plant(tmp_path, *(f"{kind}/{split}/a.png" for kind in ("images", "masks") for split in ("train", "val")))
    with pytest.raises(UserError) as raised:
        open_dataset(tmp_path).split(name)
    assert str(raised.value) == f"{tmp_path} has no split '{name}'. {hint}"


def test_an_empty_split() -> None:
    dataset = Dataset("some", Path("x"), ClassTable.of(2), {"val": []})
    with pytest.raises(UserError) as raised:
        dataset.split("val")
    assert str(raised.value) == "the split 'val' of x is empty; put images and masks there"
