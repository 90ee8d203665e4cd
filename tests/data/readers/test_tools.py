"""Exports of annotation tools: labelme, CVAT, YOLO (Ultralytics) and Roboflow."""

import base64
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.classes import IGNORE
from pyramid_attention.data import READERS, Dataset, open_dataset, readers
from pyramid_attention.data.tree import Tree
from pyramid_attention.errors import UserError


@pytest.fixture(autouse=True)
def no_splits_made(monkeypatch):
    """Each format's own splits; what becomes of a data set without val is tested with the splitting."""
    monkeypatch.setattr(readers, "make_splits", lambda dataset: dataset)


def make_image(path: Path, pixels: Any = None) -> Path:
    """An image of 10×8 pixels, or the given pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 10, 3), 9, np.uint8) if pixels is None else np.array(pixels, dtype=np.uint8)).save(path)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [sample.name for sample in samples] for split, samples in dataset.splits.items()}


def mask(dataset: Dataset, split: str = "train", i: int = 0) -> list[str]:
    """A mask as rows of digits, "x" for void; the sample travels to a worker process first."""
    labels = pickle.loads(pickle.dumps(dataset.split(split)[i])).read_mask()
    assert labels.dtype == np.uint8
    return ["".join("x" if label == IGNORE else str(label) for label in row) for row in labels.tolist()]


def complaint(root: Path, format: str | None = None) -> str:
    with pytest.raises(UserError) as raised:
        open_dataset(root, format)
    assert str(root) in str(raised.value)
    return str(raised.value)


# labelme


def labelme(path: Path, *shapes: Any, image: str | None = None, **more: Any) -> Path:
    """A JSON file as labelme writes it; a shape is (label, points) or (label, points, type)."""
    listed = [
        {"label": s[0], "points": s[1], "group_id": None, "shape_type": s[2] if len(s) > 2 else "polygon", "flags": {}}
        for s in shapes
    ]
    data = {
        "version": "5.5.0",
        "flags": {},
        "shapes": listed,
        "imagePath": image or f"{path.stem}.jpg",
        "imageData": None,
        "imageHeight": 8,
        "imageWidth": 10,
    }
    return text(path, json.dumps(data | more))


LEFT = [[0, 0], [3, 0], [3, 7], [0, 7]]


def test_labelme_one_folder(tmp_path: Path) -> None:
    make_image(tmp_path / "a.jpg")
    labelme(
        tmp_path / "a.json",
        ("dog", LEFT),
        ("cat", [[4, 3], [1, 1]], "rectangle"),
        ("dog", [[8, 5], [9, 5]], "circle"),
        ("__ignore__", [[9, 0], [9, 1], [8, 0]]),
        ("_background_", [[0, 7], [0, 7]], "rectangle"),
        ("cat", [[0, 6]], "point"),
    )
    dataset = open_dataset(tmp_path)
    assert dataset.format == "labelme"
    assert dataset.classes.names == ("_background_", "cat", "dog")
    assert names(dataset) == {"train": ["a"]}
    assert mask(dataset) == [
        "22220000xx",
        "211110000x",
        "2111100000",
        "2111100000",
        "2222000020",
        "2222000222",
        "2222000020",
        "0222000000",
    ]
    assert dataset.notes == ("1 shapes of the type point are left out; polygons, rectangles and circles are read",)
    assert dataset.problems == ()
    assert dataset.split("train")[0].read_image().shape == (8, 10, 3)


def test_labelme_splits_and_labels_txt(tmp_path: Path) -> None:
    for name in ("train/b", "train/x/a", "valid/c"):
        make_image(tmp_path / f"{name}.png")
        labelme(tmp_path / f"{name}.json", ("dog", LEFT), image="elsewhere/gone.png")
    text(tmp_path / "labels.txt", "__ignore__\n_background_\ndog\ncat\n\n")
    dataset = open_dataset(tmp_path)
    assert names(dataset) == {"train": ["b", "x/a"], "val": ["c"]}
    assert dataset.classes.names == ("_background_", "dog", "cat")
    assert mask(dataset, "val") == ["1111000000"] * 8
    text(tmp_path / "labels.txt", "cat\ndog")
    assert open_dataset(tmp_path).classes.names == ("background", "cat", "dog")


def test_labelme_two_images_of_one_name_in_a_split(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "train"):
        make_image(folder / "a.png")
        labelme(folder / "a.json", ("dog", LEFT), image="a.png")
    first, second = tmp_path / "a.json", tmp_path / "train" / "a.json"
    assert open_dataset(tmp_path).problems == (f"{first} and {second} are both a of train; rename one of them",)


@pytest.mark.parametrize("said", ["../images/a.jpg", "..\\images\\a.jpg"])
def test_labelme_images_in_another_folder(tmp_path: Path, said: str) -> None:
    make_image(tmp_path / "images" / "a.jpg")
    labelme(tmp_path / "train" / "a.json", ("dog", LEFT), image=said)
    assert open_dataset(tmp_path).split("train")[0].read_image().shape == (8, 10, 3)


def test_labelme_images_within_the_json_file(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.png")
    embedded = base64.b64encode(image.read_bytes()).decode()
    image.unlink()
    labelme(tmp_path / "a.json", ("dog", LEFT), imageData=embedded, imageHeight=None)
    labelme(tmp_path / "b.json", ("dog", LEFT), imageData=embedded[:40])
    dataset = open_dataset(tmp_path)
    assert dataset.split("train")[0].read_image().shape == (8, 10, 3)
    assert mask(dataset) == ["1111000000"] * 8
    with pytest.raises(UserError, match=r"the imageData of .*b\.json is damaged .*; put the image beside it"):
        dataset.split("train")[1].read_image()


def test_labelme_what_is_incomplete(tmp_path: Path) -> None:
    for name in ("a", "extra"):
        make_image(tmp_path / f"{name}.jpg")
    labelme(tmp_path / "a.json", ("dog", [[-9, 0], [5, 0], [5, 5]]), ("dog", [[50, 50], [60, 50], [60, 60]]))
    labelme(tmp_path / "b.json")
    text(tmp_path / "settings.json", "{}")
    dataset = open_dataset(tmp_path)
    assert dataset.problems == ()
    assert dataset.notes == (
        f"1 images in {tmp_path} have no JSON file and are left out (extra.jpg)",
        "1 JSON files are not labelme's and are left out (settings.json)",
        "1 JSON files have no image, neither on disk nor in themselves, and are left out (b.json)",
        f"1 shapes in {tmp_path} lie partly outside their image and are clipped (a)",
        f"1 shapes in {tmp_path} lie wholly outside their image and are left out (a)",
    )


def test_labelme_all_problems_at_once(tmp_path: Path) -> None:
    make_image(tmp_path / "a.jpg")
    nan = float("nan")
    a = labelme(
        tmp_path / "a.json",
        ("dog", [[1, 2], [3, 4]]),
        ("dog", [[1, 2], [3, 4], [5, nan]]),
        ("cow", LEFT),
        ("dog", [[1, 1]], "circle"),
        ("dog", LEFT, "circle"),
        (None, LEFT),
    )
    b = labelme(tmp_path / "b.json", image="a.jpg")
    c = text(tmp_path / "c.json", a.read_text()[:100])
    text(tmp_path / "labels.txt", "dog")
    dataset = open_dataset(tmp_path)
    assert dataset.problems[:6] == (
        f"{a}: shape 0 has 2 points where 3 are needed; draw it again or remove it",
        f"{a}: shape 1 has coordinates that are not finite; draw it again or remove it",
        f"{a}: shape 3 has 1 points where 2 are needed; draw it again or remove it",
        f"{a}: shape 4 is a circle of 4 points where 2 are needed; draw it again or remove it",
        f"{a}: shape 5 has no label; draw it again or remove it",
        f"{tmp_path / 'a.jpg'} has two masks, {a} and {b}; remove one",
    )
    assert dataset.problems[6].startswith(f"{c} is not valid JSON")
    assert dataset.problems[7] == (
        f"{a}: shapes have the labels cow, which {tmp_path / 'labels.txt'} does not have; add them there or rename the"
        " shapes"
    )


def test_labelme_an_image_of_another_size(tmp_path: Path) -> None:
    make_image(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", ("dog", LEFT), imageWidth=20)
    with pytest.raises(UserError, match=r"a\.json was made for an image of 20×8 pixels, but .*a\.jpg is 10×8"):
        mask(open_dataset(tmp_path))


def test_labelme_nothing_to_read(tmp_path: Path) -> None:
    assert "holds no image with a mask; expected a.jpg" in complaint(tmp_path, "labelme")
    make_image(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", ("dog", LEFT))
    text(tmp_path / "labels.txt", "dog\ndog\ncat").write_bytes(b"\xff")
    assert "labels.txt is not text in UTF-8" in complaint(tmp_path)


# CVAT

LABEL_MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:10,20,30::\ndog:40,50,60:leg:\n"
COLOURS = [[[0, 0, 0], [10, 20, 30], [40, 50, 60], [224, 224, 192]]]


def cvat(root: Path, *stems: str, images: str = "JPEGImages", lists: str = "default") -> Path:
    text(root / "labelmap.txt", LABEL_MAP)
    text(root / "ImageSets" / "Segmentation" / f"{lists}.txt", "".join(f"{stem}\n" for stem in stems))
    for stem in stems:
        make_image(root / "SegmentationClass" / f"{stem}.png", COLOURS)
        make_image(root / "SegmentationObject" / f"{stem}.png", COLOURS)
        make_image(root / images / f"{stem}.jpg", [[[9, 9, 9]] * 4])
    return root


@pytest.mark.parametrize("images", ["JPEGImages", "images", "."])
def test_cvat(tmp_path: Path, images: str) -> None:
    dataset = open_dataset(cvat(tmp_path, "b", "with space", "x/a", images=images))
    assert (dataset.format, dataset.notes, dataset.problems) == ("cvat", (), ())
    assert dataset.classes.names == ("background", "cat", "dog")
    assert dataset.classes.colours == ((0, 0, 0), (10, 20, 30), (40, 50, 60))
    assert names(dataset) == {"train": ["b", "with space", "x/a"]}
    assert mask(dataset) == ["012x"]


def test_cvat_splits(tmp_path: Path) -> None:
    cvat(tmp_path, "a", lists="Train")
    cvat(tmp_path, "b", lists="Validation")
    assert names(open_dataset(tmp_path)) == {"train": ["a"], "val": ["b"]}


def test_cvat_ignored_is_void_and_colours_may_be_vocs(tmp_path: Path) -> None:
    cvat(tmp_path, "a")
    text(tmp_path / "labelmap.txt", "ignored:40,50,60::\ncat:10,20,30::\nbackground:0,0,0::")
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("cat", "background")
    assert mask(dataset) == ["10xx"]
    text(tmp_path / "labelmap.txt", "background:::\ncat:::\n")
    assert open_dataset(tmp_path).classes.colours == ((0, 0, 0), (128, 0, 0))


def test_cvat_masks_of_one_channel_and_without_lists(tmp_path: Path) -> None:
    cvat(tmp_path, "a", "b")
    (tmp_path / "ImageSets" / "Segmentation" / "default.txt").unlink()
    make_image(tmp_path / "SegmentationClass" / "a.png", [[2, 1, 0, 255]])
    (tmp_path / "SegmentationClass" / "b.png").unlink()
    dataset = open_dataset(tmp_path)
    assert (dataset.format, names(dataset)) == ("cvat", {"train": ["a"]})
    assert mask(dataset) == ["210x"]
    assert [note.split(" have ")[0] for note in dataset.notes] == [f"1 of 2 images of {tmp_path / 'JPEGImages'}"]


def test_cvat_what_is_incomplete(tmp_path: Path) -> None:
    cvat(tmp_path, "a", "b", "c")
    (tmp_path / "JPEGImages" / "b.jpg").unlink()
    (tmp_path / "SegmentationClass" / "c.png").unlink()
    make_image(tmp_path / "SegmentationClass" / "d.png", COLOURS)
    dataset = open_dataset(tmp_path)
    listed = tmp_path / "ImageSets" / "Segmentation" / "default.txt"
    assert names(dataset) == {"train": ["a"]}
    assert dataset.notes == (
        f"1 of 3 images of {listed} are not in {tmp_path / 'JPEGImages'} and are left out (b)",
        f"1 of 3 images of {listed} have no mask in {tmp_path / 'SegmentationClass'} and are left out (c)",
        f"1 masks in {tmp_path / 'SegmentationClass'} are in no list and are left out (d)",
    )


def test_cvat_two_masks_for_one_image(tmp_path: Path) -> None:
    cvat(tmp_path, "a")
    make_image(tmp_path / "SegmentationClass" / "a.bmp", COLOURS)
    (problem,) = open_dataset(tmp_path).problems
    assert problem.startswith(f"{tmp_path / 'SegmentationClass'} holds a.bmp and a.png: one stem, two files")


@pytest.mark.parametrize(
    ("label_map", "said"),
    [
        ("cat:1,2::", "the line 'cat:1,2::' is no class; write name:red,green,blue::"),
        ("cat:a,b,c::", "the line 'cat:a,b,c::' is no class; write"),
        ("cat:1,2,300::", "the colour of class 'cat' must be three whole numbers of 0 to 255"),
        ("cat:1,2,3::\ndog:::", "'dog' has no colour and others have; give each class one"),
        ("cat:1,2,3::\ndog:1,2,3::", "gives cat and dog one colour, (1, 2, 3); give each its own"),
        ("# nothing", "a class table has 1 to 255 classes, this one has 0"),
    ],
)
def test_cvat_broken_label_maps(tmp_path: Path, label_map: str, said: str) -> None:
    cvat(tmp_path, "a")
    text(tmp_path / "labelmap.txt", label_map)
    assert said in complaint(tmp_path)


def test_cvat_nothing_to_read(tmp_path: Path) -> None:
    cvat(tmp_path, "a")
    (tmp_path / "JPEGImages" / "a.jpg").unlink()
    assert "holds no image with a mask: 1 of 1 images of" in complaint(tmp_path)
    (tmp_path / "JPEGImages").rmdir()
    assert "holds no images, only masks; put them into" in complaint(tmp_path)


# YOLO


def yolo(root: Path, settings: str = "", **labels: str) -> Path:
    """images/train with the given label files; data.yaml has two classes."""
    text(root / "data.yaml", settings or "train: images/train\nval: images/val\nnames: [cat, dog]")
    for name, lines in labels.items():
        make_image(root / "images" / "train" / f"{name}.jpg")
        text(root / "labels" / "train" / f"{name}.txt", lines)
    make_image(root / "images" / "val" / "v.jpg")
    text(root / "labels" / "val" / "v.txt", "1 0 0 1 0 1 1 0 1\n")
    return root


def test_yolo_polygons(tmp_path: Path) -> None:
    dataset = open_dataset(yolo(tmp_path, b="0 0.1 0.125 0.2 0.125 0.2 0.25\n\n1 0 0 0.4 0 0.4 0.5 0 0.5", a=""))
    assert (dataset.format, dataset.notes, dataset.problems) == ("yolo", (), ())
    assert dataset.classes.names == ("background", "cat", "dog")
    assert names(dataset) == {"train": ["a", "b"], "val": ["v"]}
    assert mask(dataset) == ["0" * 10] * 8
    assert mask(dataset, i=1) == ["2222200000", "2112200000", "2212200000", *["2222200000"] * 2, *["0" * 10] * 3]
    assert mask(dataset, "val") == ["2" * 10] * 8
    assert dataset.split("val")[0].read_image().shape == (8, 10, 3)


@pytest.mark.parametrize(
    "train",
    [
        "train: images/train",
        "train: train.txt",
        "train: [images/train]",
        "train: ../images/train",
        "train: sub/train.txt",
    ],
)
@pytest.mark.parametrize("path", ["", "path: .", "path: /nowhere/else", "path: ../data"])
def test_yolo_ways_to_say_where(tmp_path: Path, train: str, path: str) -> None:
    root = yolo(tmp_path / "data", f"{path}\n{train}\nnames: {{3: cat, 7: dog}}", a="7 0 0 1 0 1 1 0 1")
    text(root / "train.txt", "./images/train/a.jpg\n")
    text(root / "sub" / "train.txt", "images/train/a.jpg\n")
    dataset = open_dataset(root)
    assert (dataset.notes, dataset.problems) == ((), ())
    assert [Path(name).name for name in names(dataset)["train"]] == ["a"]
    assert mask(dataset) == ["2" * 10] * 8


def test_yolo_as_roboflow_exports_it(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        make_image(tmp_path / split / "images" / "a.jpg")
        text(tmp_path / split / "labels" / "a.txt", "0 0 0 1 0 1 1 0 1")
    text(
        tmp_path / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['cat']",
    )
    dataset = open_dataset(tmp_path)
    assert names(dataset) == {"train": ["a"], "val": ["a"]}
    assert dataset.problems == ()
    assert dataset.notes == (
        f"{tmp_path / 'data.yaml'}: the test folder ../test/images is not in {tmp_path} and is left out",
    )


def test_yolo_what_is_incomplete(tmp_path: Path) -> None:
    yolo(tmp_path, "train: train.txt\nnames: [cat]", a="0 -0.5 0 0.5 0 0.5 0.5\n0 1.5 0 1.6 0 1.6 0.5", b="", c="")
    text(tmp_path / "train.txt", "images/train/a.jpg\nimages/train/b.jpg\nimages/train/z.jpg")
    (tmp_path / "labels" / "train" / "b.txt").unlink()
    text(tmp_path / "labels" / "train" / "y.txt", "")
    dataset = open_dataset(tmp_path)
    assert dataset.problems == ()
    assert dataset.notes == (
        f"1 of 3 images that {tmp_path / 'train.txt'} lists are not on disk and are left out (images/train/z.jpg)",
        "1 images of train have no label file: all background (images/train/b)",
        f"2 label files in {tmp_path / 'labels' / 'train'} belong to no image of a split (c.txt, y.txt)",
        f"1 shapes in {tmp_path} lie partly outside their image and are clipped (images/train/a)",
        f"1 shapes in {tmp_path} lie wholly outside their image and are left out (images/train/a)",
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2 0 0 1 0 1 1", "line 1 has the class 2, which names does not have; correct or remove it"),
        ("0.5 0 0 1 0 1 1", "line 1 has the class 0.5, which names does not have"),
        ("0 0.5 0.5 1 1", "line 1 is a box, not a polygon"),
        ("0 0 0 1", "line 1 has 3 coordinates, an odd number"),
        ("0", "line 1 has 0 points where 3 are needed"),
        ("0 0 0 1 0 1 nan", "line 1 has coordinates that are not finite"),
        ("0 0 0 100 0 100 80", "line 1 has coordinates that are not from 0 to 1"),
        ("cat 0 0 1 0 1 1", "line 1 holds 'cat 0 0 1 0 1 1' where numbers are expected"),
        ("0 0 0 1 0 1 1\n9 0\n0 1", "line 2 has the class 9, which names does not have (and 1 more lines are wrong)"),
    ],
)
def test_yolo_broken_lines(tmp_path: Path, line: str, said: str) -> None:
    dataset = open_dataset(yolo(tmp_path, a=line))
    file = tmp_path / "labels" / "train" / "a.txt"
    (problem,) = dataset.problems
    assert problem.startswith(f"{file}: ")
    assert said in problem
    with pytest.raises(UserError, match=r"a\.txt: line"):
        mask(dataset)


def test_yolo_other_problems(tmp_path: Path) -> None:
    yolo(tmp_path, "train: images/train\nval: gone\nnames: [cat]", a="", b="")
    for file in (tmp_path / "labels" / "train").iterdir():
        file.unlink()
    make_image(tmp_path / "images" / "train" / "a.png")
    assert open_dataset(tmp_path).problems == (
        f"{tmp_path / 'images' / 'train' / 'a.jpg'} and a.png have one label file; remove one of them",
        f"{tmp_path / 'data.yaml'}: the val folder gone is not in {tmp_path}; put it there or correct val",
        f"no image of train has a label file in {tmp_path / 'labels' / 'train'}; put the label files there",
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("train: images/train\nnames: [cat", "is not valid YAML"),
        ("train: images/train\nnames: cat", "names is 'cat'; write a list"),
        ("train: images/train\nnames: {a: cat}", "names is {'a': 'cat'}; write a list"),
        ("train: images/train\nnames: [cat, cat]", "class names are used twice: cat"),
        ("train: gone\nnames: [cat]", "none of its splits has images; correct path, train and val."),
        ("train: images/train\nnames: [cat]\nmasks_dir: masks\nlabel_mapping: [1]", "label_mapping is [1]; write ids"),
        (
            "train: images/train\nnames: [cat]\nmasks_dir: masks\nlabel_mapping: {3: 1}",
            "label_mapping has 3: 1; map an",
        ),
        (
            "train: images/train\nnames: [cat]\nmasks_dir: masks\nlabel_mapping: {3: [0]}",
            "label_mapping has 3: [0]; map",
        ),
    ],
)
def test_yolo_broken_settings(tmp_path: Path, settings: str, said: str) -> None:
    message = complaint(yolo(tmp_path, settings, a=""))
    assert message.startswith(str(tmp_path / "data.yaml"))
    assert said in message


SEMANTIC = "path: .\ntrain: images/train\nval: images/val\nmasks_dir: masks\nnames: {0: road, 1: sky}\n"


def test_yolo_semantic_masks(tmp_path: Path) -> None:
    yolo(tmp_path, SEMANTIC, a="", b="", c="")
    ids = np.zeros((8, 10))
    ids[0, :4] = [1, 255, 0, 1]
    make_image(tmp_path / "masks" / "train" / "a.png", ids)
    make_image(tmp_path / "masks" / "train" / "b.png", ids)
    make_image(tmp_path / "masks" / "train" / "b.bmp", ids)
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("road", "sky")
    assert names(dataset) == {"train": ["a"]}
    assert mask(dataset)[0] == "1x01000000"
    assert dataset.problems == (
        f"{tmp_path / 'images' / 'train' / 'b.jpg'} has two masks in {tmp_path / 'masks' / 'train'}, b.bmp, b.png;"
        " remove one",
    )
    assert dataset.notes == (
        "1 of 3 images have no mask in masks and are left out (c)",
        "1 of 1 images have no mask in masks and are left out (v)",
    )


def test_yolo_label_mapping(tmp_path: Path) -> None:
    yolo(tmp_path, SEMANTIC + "label_mapping: {-1: ignore_label, 7: 0, 8: 1, 9: ignore_label, 10: 255, 11: 1}\n", a="")
    ids = np.zeros((8, 10))
    ids[0] = [7, 8, 9, 10, 11, 255, 0, 1, 7, 7]
    make_image(tmp_path / "masks" / "train" / "a.png", ids)
    assert mask(open_dataset(tmp_path))[0] == "01xx1x0100"
    ids[1, 1] = 12
    make_image(tmp_path / "masks" / "train" / "a.png", ids)
    with pytest.raises(UserError, match=r"a\.png holds ids that are no class: 12"):
        mask(open_dataset(tmp_path))


# Roboflow


def roboflow(root: Path, table: str = "Pixel Value, Class\n0, background\n1, cat\n3, dog\n") -> Path:
    for split in ("train", "valid"):
        text(root / split / "_classes.csv", table)
        for stem in ("b_jpg.rf.1a", "a"):
            make_image(root / split / f"{stem}.jpg", [[[9, 9, 9]] * 4])
            make_image(root / split / f"{stem}_mask.png", [[0, 1, 3, 255]])
    return root


def test_roboflow(tmp_path: Path) -> None:
    dataset = open_dataset(roboflow(tmp_path))
    assert (dataset.format, dataset.notes, dataset.problems) == ("roboflow", (), ())
    assert dataset.classes.names == ("background", "cat", "dog")
    assert names(dataset) == {"train": ["a", "b_jpg.rf.1a"], "val": ["a", "b_jpg.rf.1a"]}
    assert mask(dataset, "val", 1) == ["012x"]


def test_roboflow_one_folder(tmp_path: Path) -> None:
    assert names(open_dataset(roboflow(tmp_path) / "train")) == {"train": ["a", "b_jpg.rf.1a"]}


def test_roboflow_what_is_incomplete_and_what_is_wrong(tmp_path: Path) -> None:
    roboflow(tmp_path)
    train, valid = tmp_path / "train", tmp_path / "valid"
    make_image(train / "c.jpg")
    make_image(train / "d_mask.png", [[0]])
    make_image(train / "a.png")
    text(valid / "_classes.csv", "Pixel Value, Class\n0, background\n1, dog\n3, cat\n")
    dataset = open_dataset(tmp_path)
    assert dataset.notes == (
        f"1 of 3 images of {train} have no mask in {train} and are left out (c)",
        f"1 masks in {train} have no image and are left out (d_mask.png)",
    )
    assert dataset.problems == (
        f"{train} holds a.jpg and a.png: one stem, two files, and only one can be meant; remove one",
        f"{valid / '_classes.csv'} differs from {train / '_classes.csv'}; export all splits at once",
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "does not begin with 'Pixel Value, Class'"),
        (
            "filename, cat, dog\na.jpg, 0, 1",
            "does not begin with 'Pixel Value, Class'; export the data as semantic PNG",
        ),
        ("Pixel Value, Class\nx, cat", "has the row 'x,cat'; write a value of 0 to 255 and a name"),
        ("Pixel Value, Class\n1", "has the row '1'; write"),
        ("Pixel Value, Class\n256, cat", "has the row '256,cat'; write"),
        ("Pixel Value, Class\n1, cat\n1, dog", "names the value 1 twice; remove one"),
        ("Pixel Value, Class\n1, cat\n2, cat", "class names are used twice: cat"),
    ],
)
def test_roboflow_broken_tables(tmp_path: Path, table: str, said: str) -> None:
    message = complaint(roboflow(tmp_path, table))
    assert message.startswith(str(tmp_path / "train" / "_classes.csv"))
    assert said in message


# Which reader


def folder(root: Path) -> None:
    for kind in ("images", "masks"):
        make_image(root / kind / "train" / "a.png")


def camvid(root: Path) -> None:
    for name in ("train", "trainannot"):
        make_image(root / name / "a.png")


def voc(root: Path) -> None:
    cvat(root, "a", lists="train")
    (root / "labelmap.txt").unlink()


def coco(root: Path) -> None:
    make_image(root / "train" / "a.jpg")
    text(root / "train" / "_annotations.coco.json", '{"images": [], "annotations": [], "categories": []}')


def labelme_tree(root: Path) -> None:
    make_image(root / "a.jpg")
    labelme(root / "a.json", ("dog", LEFT))


TREES: dict[str, Callable[[Path], object]] = {
    "folder": folder,
    "camvid": camvid,
    "voc": voc,
    "coco": coco,
    "labelme": labelme_tree,
    "cvat": lambda root: cvat(root, "a"),
    "yolo": lambda root: yolo(root, a=""),
    "roboflow": roboflow,
}


@pytest.mark.parametrize("tree", TREES)
def test_each_reader_knows_its_own_tree_only(tmp_path: Path, tree: str) -> None:
    TREES[tree](tmp_path)
    ours = ("coco", "coco-panoptic", "labelme", "cvat", "yolo", "roboflow")
    assert [name for name in ours if READERS[name].detect(Tree.scan(tmp_path))] == [
        name for name in ours if name == tree
    ]


@pytest.mark.parametrize("tree", ["labelme", "cvat", "yolo", "roboflow"])
def test_listing_opens_no_image(tmp_path: Path, tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
    TREES[tree](tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", refuse)
    assert open_dataset(tmp_path).split("train")


@pytest.mark.parametrize("tree", ["coco", "labelme", "cvat", "yolo", "roboflow"])
def test_a_loop_of_links(tmp_path: Path, tree: str) -> None:
    TREES[tree](tmp_path)
    place = {"cvat": "JPEGImages", "yolo": "images/train", "roboflow": "train", "coco": "train"}.get(tree, ".")
    (tmp_path / place / "loop").symlink_to(tmp_path / place)
    if tree == "coco":
        data = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []}
        text(tmp_path / "train" / "_annotations.coco.json", json.dumps(data))
    assert "is a link to a folder that it lies in" in complaint(tmp_path)


@pytest.mark.parametrize("tree", ["coco", "labelme", "cvat", "yolo", "roboflow"])
def test_an_unreadable_folder(tmp_path: Path, tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
    TREES[tree](tmp_path)
    place = {"cvat": "JPEGImages", "yolo": "images/train", "roboflow": "train", "coco": "train"}.get(tree, ".")
    listing = os.scandir

    def refuse(folder: Any = ".") -> Any:  # as for any user but the superuser, who runs tests in containers
        if Path(folder) == tmp_path / place:
            raise PermissionError(13, "Permission denied", str(folder))
        return listing(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert complaint(tmp_path, tree).startswith(f"cannot list {tmp_path / place}: Permission denied; check")


def test_labelme_is_known_by_any_of_its_files(tmp_path: Path) -> None:
    make_image(tmp_path / "t.jpg")
    labelme(tmp_path / "t.JSON", ("dog", LEFT))
    text(tmp_path / "a.json", "")
    text(tmp_path / "b.json", "[1, 2]")
    dataset = open_dataset(tmp_path)
    assert names(dataset) == {"train": ["t"]}
    assert dataset.notes == ()
    assert len(dataset.problems) == 2


def test_labelme_a_label_of_blanks(tmp_path: Path) -> None:
    make_image(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", (" ", LEFT))
    assert "shape 0 has no label" in open_dataset(tmp_path).problems[0]


def test_yolo_names_that_yaml_takes_for_something_else(tmp_path: Path) -> None:
    yolo(tmp_path, "train: images/train\nnames: [cat, no]", a="")
    assert "the name of class 1 is False, which YAML does not take as text; quote it" in complaint(tmp_path)


def test_yolo_settings_nested_beyond_all_bounds(tmp_path: Path) -> None:
    yolo(tmp_path, "train: x\nnames: " + "[" * 5000)
    assert "is not valid YAML" in complaint(tmp_path)


def test_yolo_no_mask_at_all(tmp_path: Path) -> None:
    yolo(tmp_path, "train: images/train\nval: images/val\nnames: [cat, dog]\nmasks_dir: masks", a="")
    assert "holds no image with a mask: 1 of 1 images have no mask in masks" in complaint(tmp_path)


def test_yolo_settings_called_dataset_yaml(tmp_path: Path) -> None:
    yolo(tmp_path, a="0 0 0 1 0 1 1")
    (tmp_path / "data.yaml").rename(tmp_path / "dataset.yaml")
    assert open_dataset(tmp_path).format == "yolo"


def test_roboflow_a_split_without_its_table_is_noted(tmp_path: Path) -> None:
    roboflow(tmp_path)
    (tmp_path / "valid" / "_classes.csv").unlink()
    (note,) = open_dataset(tmp_path).notes
    assert note == f"{tmp_path / 'valid'} is left out, for it has no _classes.csv; copy that of another split there"
