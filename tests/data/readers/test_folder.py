"""The `folder` reader: what is paired with what, where folders may lie, and what the values of masks mean."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.data import Dataset, FileSample, open_dataset
from pyramid_attention.data.readers.benchmarks import camvid
from pyramid_attention.data.readers.folders import folder
from pyramid_attention.data.tree import Tree
from pyramid_attention.errors import UserError

IDS = np.arange(80, dtype=np.uint8).reshape(8, 10) % 3
IMAGE = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)


def write(root: Path, path: str, pixels: NDArray[np.generic] | Image.Image = IDS) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file)
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


def read(root: Path) -> Dataset:
    return folder.read(Tree.scan(root))


# Pairing


def test_all_problems_of_all_splits_are_collected(tmp_path: Path) -> None:
    for split in ("train", "val"):
        plant(tmp_path, *(f"{split}/{stem}.jpg" for stem in "abc"), *(f"{split}annot/{stem}.png" for stem in "abc"))
        plant(tmp_path, *(f"{split}annot/{stem}.bmp" for stem in "ab"))
    dataset = camvid.read(Tree.scan(tmp_path))
    assert len(dataset.problems) == 4
    assert names(dataset, "train") == names(dataset, "val") == ["c"]


def test_images_without_a_mask_and_masks_without_an_image_are_noted(tmp_path: Path) -> None:
    plant(tmp_path, *(f"images/{stem}.jpg" for stem in "abcde"), "masks/a.png", "masks/y.png")
    dataset = read(tmp_path)
    assert names(dataset) == ["a"]
    images, masks = tmp_path / "images", tmp_path / "masks"
    assert dataset.notes == (
        f"4 of 5 images of {images} have no mask in {masks} and are left out (b, c, d, …)",
        f"1 masks in {masks} have no image in {images} and are left out (y.png)",
    )
    assert dataset.problems == ()


def test_a_test_split_without_masks_is_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png", "images/test/a.jpg")
    assert list(read(tmp_path).splits) == ["train"]


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
    dataset = read(tmp_path)
    assert {split: names(dataset, split) for split in dataset.splits} == {"train": ["a"]}
    assert dataset.notes == (f"{tmp_path / link} leads back to a folder above it and is left out",)


def test_two_links_to_each_others_folders_end(tmp_path: Path) -> None:
    plant(tmp_path, "a/one.png", "b/two.png")
    os.symlink(tmp_path / "b", tmp_path / "a" / "x")
    os.symlink(tmp_path / "a", tmp_path / "b" / "y")
    tree = Tree.scan(tmp_path / "a")
    assert tree.files == ("one.png", "x/two.png")
    assert tree.loops == ("x/y",)


def test_a_link_to_itself_leads_nowhere(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    os.symlink("self", tmp_path / "self")
    os.symlink("self", tmp_path / "images" / "train" / "self")
    assert names(read(tmp_path)) == ["a"]


def test_links_that_lead_elsewhere_are_followed(tmp_path: Path) -> None:
    plant(tmp_path, "elsewhere/x/a.png")
    plant(tmp_path, "data/images/train/x/a.jpg", pixels=IMAGE)
    (tmp_path / "data" / "masks").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "masks" / "train")
    os.symlink(tmp_path / "data" / "images" / "train" / "x", tmp_path / "data" / "images" / "train" / "y")
    os.symlink(tmp_path / "elsewhere" / "x", tmp_path / "elsewhere" / "y")
    dataset = read(tmp_path / "data")
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


# Layouts


def pairs(dataset: Dataset) -> dict[str, list[tuple[str, str, str]]]:
    """Name, image and mask of every sample, by split, relative to the data set's folder."""
    assert dataset.root is not None
    return {
        split: [
            (s.name, s.image.relative_to(dataset.root).as_posix(), s.mask.relative_to(dataset.root).as_posix())
            for s in samples
        ]
        for split, samples in dataset.splits.items()
    }


def plant_pair(root: Path, image: str, mask: str) -> None:
    write(root, image, IMAGE)
    write(root, mask)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("photos/{}.png", "gt/{}_mask.png"),
        ("{}.jpg", "{}_mask.png"),
        ("scene/{}.jpg", "scene/{}_label.png"),
        ("rgb/{}.jpg", "semantic/{}.png"),
        ("b/{}.jpg", "a/{}.png"),
        ("b/{}.png", "a/{}.png"),
        ("camera/{}.png", "a/{}_gt.png"),
        ("data_images/{}.jpg", "somewhere/{}.png"),
        ("2020/{}.png", "2020_segmentation/{}.png"),
    ],
)
def test_layouts_without_splits_are_all_of_train(tmp_path: Path, image: str, mask: str) -> None:
    for stem in "pqr":
        plant_pair(tmp_path, image.format(stem), mask.format(stem))
    found = pairs(read(tmp_path))
    assert list(found) == ["train"]
    assert [trio[1:] for trio in found["train"]] == [(image.format(stem), mask.format(stem)) for stem in "pqr"]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("rgb/{}/a.jpg", "semantic/{}/a.png"),
        ("{}/rgb/a.jpg", "{}/semantic/a.png"),
        ("{}/a.jpg", "{}/a_mask.png"),
        ("images/{}/a.jpg", "images/{}/a_mask.png"),
    ],
)
def test_those_layouts_with_splits(tmp_path: Path, image: str, mask: str) -> None:
    for split in ("train", "validation"):
        plant_pair(tmp_path, image.format(split), mask.format(split))
    assert pairs(read(tmp_path)) == {
        "train": [("a", image.format("train"), mask.format("train"))],
        "val": [("a", image.format("validation"), mask.format("validation"))],
    }


def test_side_by_side_an_image_without_a_mask_and_a_mask_without_an_image_are_noted(tmp_path: Path) -> None:
    plant(tmp_path, "a_mask.png", "c_mask.png", "d_seg_mask.png")
    plant(tmp_path, "a.jpg", "b.jpg", "d_seg.jpg", pixels=IMAGE)
    dataset = read(tmp_path)
    assert names(dataset) == ["a", "d_seg"]
    assert dataset.notes == (
        f"1 of 3 images of {tmp_path} have no mask in {tmp_path} and are left out (b)",
        f"1 masks in {tmp_path} have no image and are left out (c_mask.png)",
    )


@pytest.mark.parametrize(("image", "mask"), [("b/{}.jpg", "a/{}.png"), ("b/{}.png", "a/{}_mask.png")])
def test_masks_in_colours_are_told_from_images(tmp_path: Path, image: str, mask: str) -> None:
    for stem in "pq":
        plant(tmp_path, image.format(stem), mask.format(stem), pixels=PAINTED)
    (tmp_path / "dataset.yaml").write_text(YAML)
    found = pairs(read(tmp_path))
    assert [trio[1:] for trio in found["train"]] == [(image.format(stem), mask.format(stem)) for stem in "pq"]


def ambiguous(root: Path) -> set[str]:
    """The lines to choose from where a folder can be read in two ways."""
    with pytest.raises(UserError, match="can be read in two ways") as raised:
        open_dataset(root)
    return {line.strip() for line in raised.value.more}


def test_which_of_two_folders_holds_the_masks_must_be_said(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{where}/{stem}.png" for where in ("first", "second") for stem in "ab"))
    first, second = "first/{id}.png", "second/{id}.png"
    assert ambiguous(tmp_path) == {
        f'images="{one}" masks="{other}"' for one, other in ((first, second), (second, first))
    }
    (tmp_path / "dataset.yaml").write_text("{images: second, masks: first}")
    found = pairs(open_dataset(tmp_path))
    assert sorted([*found["train"], *found["val"]]) == [(s, f"second/{s}.png", f"first/{s}.png") for s in "ab"]


def test_of_three_folders_names_tell(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{where}/{stem}.png" for where in ("rgb", "depth", "seg") for stem in "ab"))
    assert [trio[1:] for trio in pairs(read(tmp_path))["train"]] == [(f"rgb/{s}.png", f"seg/{s}.png") for s in "ab"]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("one/a.png", "two/a.png"),
        ("deep/one/train/a.png", "deep/two/train/a.png"),
        ("train/one/a.png", "train/two/a.png"),
        ("one/a.png", "one/a_mask.png"),
    ],
)
def test_folders_that_dataset_yaml_names(tmp_path: Path, image: str, mask: str) -> None:
    plant(tmp_path, image, mask, "three/a.png", "images/b.png", "masks/b.png")
    where = "deep/" if image.startswith("deep") else ""
    masks = "two" if "two" in mask else "one"
    (tmp_path / "dataset.yaml").write_text(f"images: {where}one\nmasks: {where}{masks}")
    assert pairs(read(tmp_path)) == {"train": [("a", image, mask)]}


def test_folders_that_dataset_yaml_names_and_that_are_not_there(tmp_path: Path) -> None:
    plant(tmp_path, "one/a.png", "two/a.png")
    (tmp_path / "dataset.yaml").write_text("images: one\nmasks: tow")
    assert complaint(tmp_path) == f'{tmp_path} holds no folder masks="tow" with files; it holds the folders: one, two'
    (tmp_path / "dataset.yaml").write_text("images: 3")
    assert "images is 3; write a folder or a pattern" in complaint(tmp_path)


def test_folders_that_share_few_names_are_no_data_set(tmp_path: Path) -> None:
    plant(tmp_path, *(f"one/{stem}.png" for stem in "abcde"), *(f"two/{stem}.png" for stem in "evwxyz"))
    assert complaint(tmp_path).startswith(f"{tmp_path} is in no known format")


# Lists


def plant_listed(root: Path, **lists: str) -> Path:
    stems = ("a", "b", "c", "x/a")
    plant(root, *(f"images/{stem}.jpg" for stem in stems), *(f"masks/{stem}.png" for stem in stems))
    for name, text in lists.items():
        (root / f"{name}.txt").write_text(text)
    return root


def test_lists_tell_the_splits(tmp_path: Path) -> None:
    plant_listed(
        tmp_path, train="a\nimages/x/a.jpg\n\n a \n", validation="/else/where/images/b.png\r\n", test="c.jpg\n"
    )
    dataset = open_dataset(tmp_path)
    assert {split: names(dataset, split) for split in dataset.splits} == {
        "train": ["a", "x/a"],
        "val": ["b"],
        "test": ["c"],
    }
    assert dataset.notes == dataset.problems == ()


def test_lists_for_images_beside_their_masks(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{stem}{ending}.png" for stem in "ab" for ending in ("", "_mask")))
    (tmp_path / "train.txt").write_text("a")
    (tmp_path / "val.txt").write_text("b.png")
    dataset = open_dataset(tmp_path)
    assert (names(dataset), names(dataset, "val")) == (["a"], ["b"])


def test_what_lists_and_folders_do_not_share_is_left_out_with_a_note(tmp_path: Path) -> None:
    plant_listed(tmp_path, train="a\nq\nr.jpg", val="b")
    dataset = open_dataset(tmp_path)
    assert (names(dataset), names(dataset, "val")) == (["a"], ["b"])
    assert dataset.notes == (
        f"2 of 3 lines of {tmp_path / 'train.txt'} name no image with a mask and are left out (q, r.jpg)",
        "2 images are in none of train.txt, val.txt and are left out (c, x/a)",
    )


def test_an_image_in_two_lists_is_a_problem(tmp_path: Path) -> None:
    plant_listed(tmp_path, train="a\nb\nc", val="b\nx/a\nc", test="x/a")
    assert read(tmp_path).problems == (
        f"1 image is in {tmp_path / 'test.txt'} and in {tmp_path / 'val.txt'} (x/a); remove each from one of them",
        f"2 images are in {tmp_path / 'train.txt'} and in {tmp_path / 'val.txt'} (b, c); remove each from one of them",
    )


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    plant_listed(tmp_path, train="a", val="q\nr")
    assert complaint(tmp_path).startswith(f"no line of {tmp_path / 'val.txt'} names an image with a mask (q, r);")
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00")
    assert complaint(tmp_path).startswith(f"{tmp_path / 'val.txt'} is not text in UTF-8")
    (tmp_path / "valid.txt").write_text("b")
    assert "val.txt and valid.txt, both the split 'val'" in complaint(tmp_path)


# What the masks mean

COLOURS = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 200]], dtype=np.uint8)
PAINTED = COLOURS[IDS]
YAML = "names: [ground, house, lake]\ncolours: [[0, 0, 0], [200, 0, 0], [0, 0, 200]]\n"


def painted(form: str) -> Image.Image:
    """`IDS` in `COLOURS`: as RGB, with transparency, or in a palette whose indices say nothing."""
    if form == "palette":
        image = Image.fromarray(np.array([7, 2, 1], dtype=np.uint8)[IDS])
        palette = np.zeros((256, 3), dtype=np.uint8)
        palette[[7, 2, 1]] = COLOURS
        image.putpalette(palette.tobytes())
        return image
    return Image.fromarray(PAINTED).convert(form)


@pytest.mark.parametrize("form", ["RGB", "RGBA", "palette"])
def test_masks_that_show_the_colours_of_dataset_yaml(tmp_path: Path, form: str) -> None:
    write(tmp_path, "images/train/a.jpg", IMAGE)
    write(tmp_path, "masks/train/a.png", painted(form))
    (tmp_path / "dataset.yaml").write_text(YAML)
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("ground", "house", "lake")
    assert dataset.classes.colours == ((0, 0, 0), (200, 0, 0), (0, 0, 200))
    (sample,) = dataset.split("train")
    assert np.array_equal(sample.read_mask(), IDS)
    assert np.array_equal(pickle.loads(pickle.dumps(sample)).read_mask(), IDS)


def test_colours_without_names_and_colours_that_are_void(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png", pixels=PAINTED)
    write(tmp_path, "masks/train/a.png", PAINTED)
    (tmp_path / "dataset.yaml").write_text("colours: [[200, 0, 0], [0, 0, 200]]\nignore: [[0, 0, 0], [9, 9, 9]]")
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("class 0", "class 1")
    (sample,) = dataset.split("train")
    assert np.array_equal(sample.read_mask(), np.array([255, 0, 1], dtype=np.uint8)[IDS])


def test_a_black_mask_among_coloured_ones_is_read_by_its_colour(tmp_path: Path) -> None:
    plant(tmp_path, *(f"images/train/{stem}.jpg" for stem in "abc"))
    write(tmp_path, "masks/train/a.png", np.zeros_like(PAINTED))
    write(tmp_path, "masks/train/b.png", PAINTED)
    write(tmp_path, "masks/train/c.png", Image.fromarray(np.zeros_like(IDS)))
    (tmp_path / "dataset.yaml").write_text("names: [house, ground, lake]\ncolours: [[200,0,0], [0,0,0], [0,0,200]]\n")
    found = [sample.read_mask() for sample in read(tmp_path).split("train")]
    assert (found[0] == 1).all()
    assert np.array_equal(found[1], np.array([1, 0, 2], dtype=np.uint8)[IDS])
    assert (found[2] == 1).all()


@pytest.mark.parametrize("palette", [None, "the classes' own", "another"])
def test_ids_stay_ids_where_colours_are_given_for_display(tmp_path: Path, palette: str | None) -> None:
    mask = Image.fromarray(np.where(IDS == 2, 255, IDS).astype(np.uint8))
    if palette is not None:
        own = palette == "the classes' own"
        mask.putpalette((COLOURS if own else COLOURS + 5).tobytes() + bytes(759))
    write(tmp_path, "images/train/a.jpg", IMAGE)
    write(tmp_path, "masks/train/a.png", mask)
    (tmp_path / "dataset.yaml").write_text(YAML)
    (sample,) = open_dataset(tmp_path).split("train")
    assert isinstance(sample, FileSample)
    assert np.array_equal(sample.read_mask(), np.where(IDS == 2, 255, IDS))


def test_ids_of_16_bits_stay_ids_too(tmp_path: Path) -> None:
    write(tmp_path, "images/train/a.jpg", IMAGE)
    write(tmp_path, "masks/train/a.png", IDS.astype(np.uint16))
    (tmp_path / "dataset.yaml").write_text(YAML)
    assert np.array_equal(open_dataset(tmp_path).split("train")[0].read_mask(), IDS)


def test_masks_in_colours_that_nothing_explains_have_a_class_for_each(tmp_path: Path) -> None:
    plant(tmp_path, *(f"images/{stem}.jpg" for stem in "abc"))
    for stem, pixels in (("a", np.full_like(PAINTED, 9)), ("b", PAINTED), ("c", PAINTED)):
        write(tmp_path, f"masks/{stem}.png", pixels)
    dataset = read(tmp_path)
    assert dataset.classes.names == ("class 0", "class 1", "class 2", "class 3")
    assert dataset.classes.colours == ((0, 0, 0), (0, 0, 200), (9, 9, 9), (200, 0, 0))
    assert np.array_equal(dataset.split("train")[1].read_mask(), np.array([0, 3, 1])[IDS])


def test_an_image_in_the_place_of_a_mask(tmp_path: Path) -> None:
    plant(tmp_path, "images/a.png", "masks/a.png", pixels=np.random.default_rng(1).integers(0, 256, (40, 40, 3), "u1"))
    assert complaint(tmp_path).startswith(f"{tmp_path / 'masks' / 'a.png'} shows more than 256 colours, too many")


def test_a_colour_that_is_given_twice(tmp_path: Path) -> None:
    plant(tmp_path, "images/a.png", "masks/a.png", pixels=PAINTED)
    for ignore in ("[]", "[[1, 2, 3]]"):
        twice = "[1, 2, 3]" if ignore == "[]" else "[4, 5, 6]"
        (tmp_path / "dataset.yaml").write_text(f"colours: [[1, 2, 3], {twice}]\nignore: {ignore}")
        assert complaint(tmp_path) == (
            f"{tmp_path / 'dataset.yaml'}: the colour [1, 2, 3] is given twice; give each class its own"
        )
    (tmp_path / "dataset.yaml").write_text("colours: [[1, 2, 3]]\nignore: [[0, 0, 300]]")
    assert "ignore has the colour [0, 0, 300]; write three whole numbers" in complaint(tmp_path)
    (tmp_path / "dataset.yaml").write_text("colours: [[1, 2, [3]]]")
    assert "the colour of class 'class 0' must be three whole numbers of 0 to 255" in complaint(tmp_path)


OBJECT = (IDS == 1).astype(np.uint8)


def black_and_white(form: str) -> Image.Image:
    if form == "palette":
        image = Image.fromarray(OBJECT)
        image.putpalette([0, 0, 0, 255, 255, 255])
        return image
    return Image.fromarray(OBJECT * 255).convert(form)


@pytest.mark.parametrize("form", ["1", "L", "RGB", "palette"])
def test_black_and_white_masks_are_background_and_object(tmp_path: Path, form: str) -> None:
    plant(tmp_path, "images/train/a.jpg", "images/train/b.jpg", pixels=IMAGE)
    write(tmp_path, "masks/train/a.png", black_and_white(form))
    write(tmp_path, "masks/train/b.png", np.zeros_like(IDS))
    dataset = read(tmp_path)
    assert dataset.classes.names == ("background", "object")
    with_object, without = dataset.split("train")
    assert np.array_equal(with_object.read_mask(), OBJECT)
    assert (without.read_mask() == 0).all()


def test_what_is_not_black_and_white(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", pixels=IMAGE)
    write(tmp_path, "masks/train/a.png", OBJECT)
    assert read(tmp_path).classes.names == ("class 0", "class 1")
    write(tmp_path, "masks/train/a.png", OBJECT * 255)
    (tmp_path / "dataset.yaml").write_text("ignore: 255")
    assert "hold the ids 0, 255, which do not say how many classes there are" in complaint(tmp_path)
    (tmp_path / "dataset.yaml").write_text("names: {0: nothing, 255: cell}")
    assert read(tmp_path).classes.names == ("nothing", "cell")


def test_broken_masks_do_not_hide_one_another(tmp_path: Path) -> None:
    """Without names all masks are read to find the classes: those that cannot be are told with the samples."""
    plant(tmp_path, *(f"images/train/{stem}.jpg" for stem in "abc"), *(f"masks/train/{stem}.png" for stem in "abc"))
    plant(tmp_path, "images/val/a.jpg", "masks/val/a.png")
    for stem in "ab":
        (tmp_path / "masks" / "train" / f"{stem}.png").write_bytes(b"")
    dataset = open_dataset(tmp_path)
    assert len(dataset.classes) == 3
    for sample in dataset.split("train")[:2]:
        with pytest.raises(UserError, match="is not an image in a known format"):
            sample.read_mask()
    assert dataset.split("train")[2].read_mask().tolist() == IDS.tolist()


@pytest.mark.parametrize("yaml", ["", "names: [a, b, c]"])
def test_masks_that_are_jpegs_are_refused(tmp_path: Path, yaml: str) -> None:
    """Ids next to one another become others, which are classes too: nothing else would tell."""
    plant(tmp_path, "images/train/a.jpg", "images/val/a.jpg", "masks/train/a.jpg", "masks/val/a.jpg")
    (tmp_path / "dataset.yaml").write_text(yaml)
    with pytest.raises(UserError, match=r"a\.jpg is a JPEG, whose compression changes the ids .* as PNG"):
        open_dataset(tmp_path).split("train")[0].read_mask()


def test_a_damaged_mask_does_not_hide_what_the_others_show(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
    plant(tmp_path, "images/train/a.jpg", "images/train/b.jpg", "masks/train/b.png", pixels=colours[IDS])
    (tmp_path / "masks" / "train" / "a.png").write_bytes(b"")
    (tmp_path / "dataset.yaml").write_text("colours: [[0, 0, 0], [255, 0, 0], [0, 255, 0]]")
    assert read(tmp_path).split("train")[1].read_mask().tolist() == IDS.tolist()


def test_lists_with_an_upper_case_suffix(tmp_path: Path) -> None:
    plant(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png")
    (tmp_path / "TRAIN.TXT").write_text("a")
    (tmp_path / "VAL.TXT").write_text("b")
    assert (names(open_dataset(tmp_path)), names(open_dataset(tmp_path), "val")) == (["a"], ["b"])


def test_a_dataset_yaml_nested_beyond_all_bounds(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    (tmp_path / "dataset.yaml").write_text("names: " + "[" * 5000)
    assert "is not valid YAML" in complaint(tmp_path)
