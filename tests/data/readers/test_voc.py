"""VOC as its archive holds it, with SBD beside it, and as annotation tools export it."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from pyramid_attention.classes import IGNORE, voc_colours
from pyramid_attention.data import READERS, Dataset, fit_masks, open_dataset, published, readers
from pyramid_attention.data.readers.benchmarks import voc
from pyramid_attention.data.split_lists import read_names
from pyramid_attention.data.tree import Tree
from pyramid_attention.errors import MissingExtra, UserError

IDS = np.array([[0, 1, 20, 255], [15, 15, 0, 255]], dtype=np.uint8)
IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
PALETTE = np.array(voc_colours(256), dtype=np.uint8)


@pytest.fixture(autouse=True)
def no_splits_made(monkeypatch):
    """Each format's own splits; what becomes of a data set without val is tested with the splitting."""
    monkeypatch.setattr(readers, "make_splits", lambda dataset: dataset)


def make_image(home: Path, *stems: str) -> None:
    for stem in stems:
        file = home / "JPEGImages" / f"{stem}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGE).save(file)


def mask(home: Path, *stems: str, ids: NDArray[np.uint8] = IDS, folder: str = "SegmentationClass") -> None:
    """An indexed PNG with VOC's palette, as the archive has it."""
    for stem in stems:
        file = home / folder / f"{stem}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(ids)
        image.putpalette(PALETTE.tobytes())
        image.save(file)


def names(file: Path, *lines: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def devkit(root: Path) -> Path:
    """train: a, b; val: c; test: d without a mask. Gives the folder of the year."""
    home = root / "VOCdevkit" / "VOC2012"
    make_image(home, *"abcd")
    mask(home, *"abc")
    for folder in ("Annotations", "SegmentationObject", "ImageSets/Main"):
        (home / folder).mkdir(parents=True)
    for split, stems in {"train": "ab", "val": "c", "trainval": "abc", "test": "d"}.items():
        names(home / "ImageSets" / "Segmentation" / f"{split}.txt", *stems)
    return home


def sbd(folder: Path, train: str, val: str, ids: NDArray[np.uint8] = IDS % 21) -> Path:
    for stem in train + val:
        file = folder / "cls" / f"{stem}.mat"
        file.parent.mkdir(parents=True, exist_ok=True)
        fields = {"Segmentation": ids, "Boundaries": np.zeros((20, 1)), "CategoriesPresent": np.unique(ids)}
        savemat(file, {"GTcls": fields})
    names(folder / "train.txt", *train)
    names(folder / "val.txt", *val)
    return folder


def stems(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [sample.name for sample in samples] for split, samples in dataset.splits.items()}


def complaint(root: Path, format: str | None = None) -> str:
    with pytest.raises(UserError) as raised:
        open_dataset(root, format)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# The archive


@pytest.mark.parametrize("up", [0, 1, 2])
def test_the_archive_is_read_from_any_of_its_folders(tmp_path: Path, up: int) -> None:
    home = devkit(tmp_path)
    root = [home, home.parent, tmp_path][up]
    dataset = open_dataset(root)
    assert (dataset.format, dataset.root, dataset.problems) == ("voc", root, ())
    assert stems(dataset) == {"train": ["a", "b"], "val": ["c"], "trainval": ["a", "b", "c"]}
    lists = home / "ImageSets" / "Segmentation"
    assert dataset.notes == (
        f"1 of 1 images of {lists / 'test.txt'} have no mask in {home / 'SegmentationClass'} and are left out (d)",
    )
    sample = pickle.loads(pickle.dumps(dataset.split("train")[0]))
    assert np.array_equal(sample.read_mask(), IDS)
    assert sample.read_image().shape == IMAGE.shape


def test_classes_are_those_of_the_development_kit() -> None:
    assert len(published.VOC) == 21
    assert published.VOC.names[:3] == ("background", "aeroplane", "bicycle")
    assert published.VOC.names[11] == "diningtable"
    assert published.VOC.names[15] == "person"
    assert published.VOC.names[20] == "tvmonitor"
    assert published.VOC.colours[15] == (192, 128, 128)
    assert published.VOC.void_colour == (224, 224, 192)


def test_of_two_years_the_later_is_read(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    make_image(home.parent / "VOC2007", "z")
    mask(home.parent / "VOC2007", "z")
    dataset = open_dataset(tmp_path)
    assert stems(dataset)["val"] == ["c"]
    assert f"{home.parent / 'VOC2007'} is left out; {home} is read" in dataset.notes


def test_the_order_is_that_of_the_list_and_each_stem_counts_once(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    names(home / "ImageSets" / "Segmentation" / "train.txt", "b", "", " a ", "b")
    assert stems(open_dataset(tmp_path))["train"] == ["b", "a"]


def test_what_is_listed_and_not_there_is_left_out_with_a_note(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    train = names(home / "ImageSets" / "Segmentation" / "train.txt", "a", "x", "d", "y", "z", "w")
    dataset = open_dataset(tmp_path)
    assert stems(dataset)["train"] == ["a"]
    assert dataset.problems == ()
    images, masks = home / "JPEGImages", home / "SegmentationClass"
    assert f"4 of 6 images of {train} are not in {images} and are left out (x, y, z, …)" in dataset.notes
    assert f"1 of 6 images of {train} have no mask in {masks} and are left out (d)" in dataset.notes


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    train = home / "ImageSets" / "Segmentation" / "train.txt"
    train.unlink()
    dataset = open_dataset(tmp_path)
    assert f"{train} is missing, so there is no split 'train'; unpack the archive of VOC again" in dataset.notes
    assert "train" not in dataset.splits


def test_an_empty_list_is_named(tmp_path: Path) -> None:
    train = names(devkit(tmp_path) / "ImageSets" / "Segmentation" / "train.txt")
    dataset = open_dataset(tmp_path)
    assert f"{train} names no images" in dataset.notes
    assert "train" not in dataset.splits


def test_two_masks_for_one_image_are_a_problem_each(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    for stem in "ac":
        Image.fromarray(IDS).save(home / "SegmentationClass" / f"{stem}.bmp")
    dataset = open_dataset(tmp_path)
    assert dataset.problems == tuple(
        f"{home / 'SegmentationClass'} holds {stem}.bmp and {stem}.png: one stem, two files, and only one can be meant;"
        " remove one"
        for stem in "ac"
    )


def test_masks_in_vocs_colours_are_read_too(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    Image.fromarray(PALETTE[IDS]).save(home / "SegmentationClass" / "a.png")
    assert np.array_equal(open_dataset(tmp_path).split("train")[0].read_mask(), IDS)


def test_an_id_that_is_no_class_of_voc(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    mask(home, "a", ids=np.full((2, 4), 21, dtype=np.uint8))
    with pytest.raises(UserError, match="holds ids that are no class: 21; the class table knows 0-20, 255"):
        open_dataset(tmp_path).split("train")[0].read_mask()


def test_listing_opens_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = devkit(tmp_path)
    sbd(home / "benchmark_RELEASE" / "dataset", "de", "f")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr("scipy.io.loadmat", refuse)
    assert len(open_dataset(tmp_path).split("train_aug")) == 3


# train_aug


@pytest.mark.parametrize(
    "place",
    [
        "benchmark_RELEASE/dataset",
        "VOCdevkit/VOCaug/dataset",
        "VOCdevkit/VOC2012/benchmark_RELEASE/dataset",
        "SBD",
    ],
)
def test_train_aug_is_sbd_and_voc_train_without_voc_val(tmp_path: Path, place: str) -> None:
    home = devkit(tmp_path)
    make_image(home, *"ef")
    sbd(tmp_path / place, train="fcb", val="e", ids=np.full((2, 4), 7, dtype=np.uint8))
    for root in (tmp_path, home.parent, home):
        dataset = open_dataset(root)
        assert stems(dataset)["train_aug"] == ["a", "b", "e", "f"]
        masks = {sample.name: sample.read_mask() for sample in dataset.split("train_aug")}
        assert np.array_equal(masks["b"], IDS)  # VOC's own, with its void, though SBD has one too
        assert masks["f"].tolist() == [[7] * 4] * 2
        assert masks["f"].dtype == np.uint8
    sample = pickle.loads(pickle.dumps(dataset.split("train_aug")[3]))
    assert np.array_equal(sample.read_image(), dataset.split("train_aug")[3].read_image())
    assert np.array_equal(sample.read_mask(), masks["f"])


def test_masks_of_segmentationclassaug_come_first_and_voc_fills_the_gaps(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    make_image(home, "e")
    mask(home, *"ace", ids=np.full((2, 4), 3, dtype=np.uint8), folder="SegmentationClassAug")
    dataset = open_dataset(tmp_path)
    assert stems(dataset)["train_aug"] == ["a", "b", "e"]
    values = [sample.read_mask()[0].tolist() for sample in dataset.split("train_aug")]
    assert values == [[3] * 4, IDS[0].tolist(), [3] * 4]
    assert np.array_equal(dataset.split("train")[0].read_mask(), IDS)


def test_segmentationclassaug_may_be_the_only_folder_of_masks(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    make_image(home, "e")
    for file in (home / "SegmentationClass").iterdir():
        file.unlink()
    (home / "SegmentationClass").rmdir()
    mask(home, *"abce", folder="SegmentationClassAug")
    Image.fromarray(IDS).save(home / "SegmentationClassAug" / "e.bmp")
    dataset = open_dataset(tmp_path)
    assert stems(dataset)["val"] == ["c"]
    assert stems(dataset)["train_aug"] == ["a", "b", "e"]
    assert len(dataset.problems) == 1


@pytest.mark.parametrize("list_name", ["trainaug", "train_aug"])
@pytest.mark.parametrize("line", ["{0}", "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png"])
def test_a_list_of_train_aug_is_followed(tmp_path: Path, list_name: str, line: str) -> None:
    home = devkit(tmp_path)
    make_image(home, *"ef")
    mask(home, *"ef", folder="SegmentationClassAug")
    names(home / "ImageSets" / "Segmentation" / f"{list_name}.txt", line.format("f"), line.format("a"))
    dataset = open_dataset(tmp_path)
    assert stems(dataset)["train_aug"] == ["f", "a"]
    assert list_name == "train_aug" or list_name not in dataset.splits


def test_a_list_of_train_aug_without_its_masks(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    listed = names(home / "ImageSets" / "Segmentation" / "trainaug.txt", "a", "e")
    dataset = open_dataset(tmp_path)
    assert "train_aug" not in dataset.splits
    lacking = f"{listed} needs SegmentationClassAug or SBD's benchmark_RELEASE, which are not there; it is left out"
    assert lacking in dataset.notes


def test_without_vocs_val_list_no_train_aug_is_built(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    folder = sbd(tmp_path / "benchmark_RELEASE" / "dataset", "a", "c")
    val = home / "ImageSets" / "Segmentation" / "val.txt"
    val.unlink()
    (folder / "val.txt").unlink()
    dataset = open_dataset(tmp_path)
    assert "train_aug" not in dataset.splits
    assert any(
        note.startswith("train_aug is not built, for it needs ") and f"and {folder / 'val.txt'}; unpack" in note
        for note in dataset.notes
    )


def test_sbd_without_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image(devkit(tmp_path), "e")
    sbd(tmp_path / "SBD", "e", "")
    sample = open_dataset(tmp_path).split("train_aug")[-1]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"\.mat files needs scipy.*pip install 'pyramid-attention\[train\]'"):
        sample.read_mask()


@pytest.mark.parametrize("broken", ["cut", "other", "size", "ids", "gone"])
def test_a_broken_mask_of_sbd(tmp_path: Path, broken: str) -> None:
    make_image(devkit(tmp_path), "e")
    ids = {"size": np.zeros((3, 3)), "ids": np.full((2, 4), 21)}.get(broken, np.zeros((2, 4))).astype(np.uint8)
    file = sbd(tmp_path / "SBD", "e", "", ids) / "cls" / "e.mat"
    sample = open_dataset(tmp_path).split("train_aug")[-1]
    if broken == "cut":
        file.write_bytes(file.read_bytes()[:150])
    elif broken == "other":
        savemat(file, {"GTinst": {"Segmentation": ids}})
    elif broken == "gone":
        file.unlink()
    said = {
        "cut": "is no mask of SBD or damaged",
        "other": "is no mask of SBD or damaged",
        "size": "is 3×3 pixels but its image",
        "ids": "holds ids that are no class of VOC, 0-20",
        "gone": "cannot read",
    }
    with pytest.raises(UserError, match=said[broken]) as raised:
        sample.read_mask()
    assert str(file) in str(raised.value)


# What annotation tools export


def test_labelme_writes_ids_and_names(tmp_path: Path) -> None:
    make_image(tmp_path, *"abc")
    mask(tmp_path, *"abx", ids=np.array([[0, 1, 2, 255]] * 2, dtype=np.uint8))
    (tmp_path / "SegmentationClassVisualization").mkdir()
    names(tmp_path / "class_names.txt", "_background_", "cat", "black dog")
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.problems) == ("voc", ())
    assert dataset.classes.names == ("_background_", "cat", "black dog")
    assert dataset.classes.colours == voc_colours(3)
    assert stems(dataset) == {"train": ["a", "b"]}
    images, masks = tmp_path / "JPEGImages", tmp_path / "SegmentationClass"
    assert dataset.notes == (
        f"1 of 3 images of {images} have no mask in {masks} and are left out (c)",
        f"1 masks in {masks} have no image in {images} and are left out (x)",
    )
    sample = pickle.loads(pickle.dumps(dataset.split("train")[0]))
    assert sample.read_mask().tolist() == [[0, 1, 2, 255]] * 2
    assert sample.read_image().shape == IMAGE.shape


def test_older_labelme_has_arrays_and_images_in_two_folders_and_its_own_list_of_labels(tmp_path: Path) -> None:
    make_image(tmp_path, "a")
    mask(tmp_path, "a", ids=np.array([[0, 1, 1, 255]] * 2, dtype=np.uint8), folder="SegmentationClassPNG")
    (tmp_path / "SegmentationClass").mkdir()
    np.save(tmp_path / "SegmentationClass" / "a.npy", np.zeros((2, 4)))
    names(tmp_path / "class_names.txt", "__ignore__", "_background_", "cat")
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("_background_", "cat")
    assert dataset.split("train")[0].read_mask().tolist() == [[0, 1, 1, 255]] * 2


LABELMAP = ("# label:color_rgb:parts:actions", "background:0,0,0::", "a:b:250,50,83:hand,foot:run", "ignored:9,9,9::")


@pytest.mark.parametrize("form", ["RGB", "P", "L"])
def test_cvat_writes_colours_or_one_channel(tmp_path: Path, form: str) -> None:
    make_image(tmp_path, "a")
    names(tmp_path / "labelmap.txt", *LABELMAP)
    ids = np.array([[0, 1, 2, 255]] * 2, dtype=np.uint8)
    colours = np.array([[0, 0, 0], [250, 50, 83], [9, 9, 9], *[[224, 224, 192]] * 253], dtype=np.uint8)[ids]
    image = {
        "RGB": Image.fromarray(colours),
        "P": Image.fromarray(colours).quantize(8),  # its ids are no class ids: the palette counts
        "L": Image.fromarray(ids),
    }[form]
    (tmp_path / "SegmentationClass").mkdir()
    image.save(tmp_path / "SegmentationClass" / "a.png")
    dataset = open_dataset(tmp_path, "voc")
    assert dataset.classes.names == ("background", "a:b")
    assert dataset.classes.colours == ((0, 0, 0), (250, 50, 83))
    assert dataset.split("train")[0].read_mask().tolist() == [[0, 1, 255, 255]] * 2


def test_colours_of_voc_where_only_names_are_given(tmp_path: Path) -> None:
    make_image(tmp_path, "a")
    names(tmp_path / "class_names.txt", "background", "cat")
    (tmp_path / "SegmentationClass").mkdir()
    Image.fromarray(PALETTE[[[0, 1, 255, 1]] * 2]).save(tmp_path / "SegmentationClass" / "a.png")
    assert open_dataset(tmp_path).split("train")[0].read_mask().tolist() == [[0, 1, IGNORE, 1]] * 2


@pytest.mark.parametrize(
    ("lists", "splits"),
    [
        (("default",), ["train"]),
        (("Train", "Validation"), ["train", "val"]),
        (("default", "train"), ["default", "train"]),
    ],
)
def test_lists_of_an_export(tmp_path: Path, lists: tuple[str, ...], splits: list[str]) -> None:
    make_image(tmp_path, "a")
    mask(tmp_path, "a", ids=IDS % 2)
    names(tmp_path / "class_names.txt", "background", "cat")
    for name in lists:
        names(tmp_path / "ImageSets" / "Segmentation" / f"{name}.txt", '"a"')
    assert list(open_dataset(tmp_path).splits) == splits


@pytest.mark.parametrize(
    ("file", "lines", "said"),
    [
        ("labelmap.txt", ["cat"], "the line 'cat' is no class; write name:red,green,blue::"),
        ("labelmap.txt", ["cat:1,2,3::", "dog:1,2,3::"], "gives cat and dog one colour, (1, 2, 3)"),
        ("labelmap.txt", ["cat:1,2,3::", "cat:1,2,4::"], "class names are used twice: cat"),
        ("labelmap.txt", ["cat:1,2,300::"], "the colour of class 'cat' must be three whole numbers"),
        ("labelmap.txt", [], "a class table has 1 to 255 classes, this one has 0"),
        ("class_names.txt", ["cat", "cat"], "class names are used twice: cat"),
    ],
)
def test_a_table_that_cannot_be_understood(tmp_path: Path, file: str, lines: list[str], said: str) -> None:
    make_image(tmp_path, "a")
    mask(tmp_path, "a")
    names(tmp_path / file, *lines)
    text = complaint(tmp_path, "voc")
    assert text.startswith(str(tmp_path / file))
    assert said in text


# Bad input


def test_where_nothing_says_what_the_ids_mean_it_is_someones_folders(tmp_path: Path) -> None:
    make_image(tmp_path, "a")
    mask(tmp_path, "a")
    assert "holds neither ImageSets/Segmentation/train.txt" in complaint(tmp_path, "voc")
    dataset = open_dataset(tmp_path)
    assert dataset.format == "folder"
    assert dataset.classes.names == ("class 0", "class 1", "class 15", "class 20")


def test_no_image_has_a_mask(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    for file in (home / "SegmentationClass").iterdir():
        file.unlink()
    text = complaint(tmp_path)
    assert text.startswith(f"{tmp_path} holds no image with a mask: 1 of 1 images of ")
    assert text.endswith(f"; expected {voc.LAYOUT}")


def test_another_layout_by_force(tmp_path: Path) -> None:
    assert complaint(tmp_path, "voc") == f"{tmp_path} is not in the layout of VOC; expected {voc.LAYOUT}"


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    train = devkit(tmp_path) / "ImageSets" / "Segmentation" / "train.txt"
    train.write_bytes(b"\xff\xfe\x00")
    assert complaint(tmp_path).startswith(f"{train} is not text in UTF-8")


def test_a_list_that_is_a_folder(tmp_path: Path) -> None:
    (devkit(tmp_path) / "class_names.txt").mkdir()
    assert complaint(tmp_path).startswith(f"cannot read {tmp_path / 'VOCdevkit' / 'VOC2012' / 'class_names.txt'}")


def test_a_link_to_a_folder_above(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    (home / "JPEGImages" / "loop").symlink_to(home / "JPEGImages")
    text = complaint(tmp_path)
    assert text.startswith(f"{home / 'JPEGImages' / 'loop'} is a link to a folder that it lies in")


def test_a_link_to_itself(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    (home / "JPEGImages" / "loop").symlink_to(home / "JPEGImages" / "loop")
    assert len(open_dataset(tmp_path).split("train")) > 0


def test_an_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = devkit(tmp_path) / "SegmentationClass"
    scandir = os.scandir

    def refuse(path: Path) -> object:  # as the operating system does, but for the superuser too
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert complaint(tmp_path) == f"cannot list {locked}: Permission denied; check the path and its permissions"


# Which reader


def test_detection(tmp_path: Path) -> None:
    devkit(tmp_path)
    tree = Tree.scan(tmp_path)
    assert [name for name, reader in READERS.items() if name != "folder" and reader.detect(tree)] == ["voc"]


@pytest.mark.parametrize(
    "files",
    [
        ["train/a.png", "trainannot/a.png"],
        ["images/train/a.jpg", "masks/train/a.png"],
        ["JPEGImages/train/a.jpg", "annotations/train/a.png"],
        ["leftImg8bit/train/x/x_leftImg8bit.png", "gtFine/train/x/x_gtFine_labelIds.png"],
        ["SegmentationClass/a.png", "SegmentationObject/a.png"],
    ],
)
def test_other_layouts_are_not_vocs(tmp_path: Path, files: list[str]) -> None:
    for file in files:
        names(tmp_path / file)
    assert not voc.detect(Tree.scan(tmp_path))


def test_masks_of_another_size_are_fitted_on_request(tmp_path: Path) -> None:
    home = devkit(tmp_path)
    small = np.array([[1, 2], [3, 255]], np.uint8)
    mask(home, "a", ids=small)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(home / "JPEGImages" / "a.jpg")
    (sample, *_) = fit_masks(open_dataset(tmp_path)).split("train")
    assert sample.read_mask().tolist() == np.kron(small, np.ones((2, 2), np.uint8)).tolist()


def test_sbd_masks_of_another_size_are_fitted_on_request(tmp_path: Path) -> None:
    devkit(tmp_path)
    sbd(tmp_path / "benchmark_RELEASE" / "dataset", "d", "", ids=np.full((2, 2), 7, np.uint8))
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "VOCdevkit" / "VOC2012" / "JPEGImages" / "d.jpg")
    (sample,) = (s for s in fit_masks(open_dataset(tmp_path)).split("train_aug") if s.name == "d")
    assert sample.read_mask().tolist() == [[7] * 4] * 4


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("my photo.jpg", "my photo"),
        ('"my photo"', "my photo"),
        ("JPEGImages/my photo.JPG SegmentationClass/my photo.png", "my photo"),
        ("/JPEGImages/a.jpg /SegmentationClass/a.png", "a"),
        ("a.b", "a.b"),
        ("2007_000032", "2007_000032"),
    ],
)
def test_names_in_a_list(tmp_path: Path, line: str, name: str) -> None:
    assert read_names(names(tmp_path / "train.txt", line)) == [name]
