"""COCO: instances (polygons, run lengths, crowds) as published and as tools export them, and panoptic PNGs."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.classes import IGNORE
from pyramid_attention.data import READERS, fit_masks, open_dataset, readers
from pyramid_attention.data.readers.coco import instances as coco
from pyramid_attention.data.run_lengths import coco_counts
from pyramid_attention.data.tree import Tree
from pyramid_attention.errors import MissingExtra, UserError

rle = pytest.importorskip("pycocotools.mask")

CATEGORIES = [
    {"id": 3, "name": "dog", "supercategory": "animal"},
    {"id": 1, "name": "cat", "supercategory": "animal"},
]


@pytest.fixture(autouse=True)
def no_splits_made(monkeypatch):
    """Each format's own splits; what becomes of a data set without val is tested with the splitting."""
    monkeypatch.setattr(readers, "make_splits", lambda dataset: dataset)


def make_image(path: Path, size: tuple[int, int] = (10, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 9, 9)).save(path)


def square(left: int, top: int, right: int, bottom: int) -> list[int]:
    return [left, top, right, top, right, bottom, left, bottom]


def annotation(key: int, image: Any, category: Any, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": key, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0} | more


def write(path: Path, images: list[Any], annotations: list[Any], categories: Any = None, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [
        i if isinstance(i, dict) else {"id": i, "file_name": f"{i}.jpg", "width": 10, "height": 8} for i in images
    ]
    categories = CATEGORIES if categories is None else categories
    path.write_text(json.dumps({"images": listed, "annotations": annotations, "categories": categories} | more))
    return path


def published(root: Path, annotations: list[Any], images: list[Any] | None = None, **more: Any) -> Path:
    """One image of 10×8 pixels in the layout of the data set itself; returns the annotation file."""
    make_image(root / "train2017" / "1.jpg")
    return write(root / "annotations" / "instances_train2017.json", images or [1], annotations, **more)


def rows(labels: np.ndarray) -> list[str]:
    return ["".join("x" if label == IGNORE else str(label) for label in row) for row in labels.tolist()]


# What is read


def test_the_published_layout(tmp_path: Path) -> None:
    published(tmp_path, [annotation(5, 1, 3, [square(2, 1, 6, 5)])])
    make_image(tmp_path / "val2017" / "2.jpg")
    write(tmp_path / "annotations" / "instances_val2017.json", [2], [annotation(6, 2, 1, [square(0, 0, 10, 8)])])
    (tmp_path / "annotations" / "captions_train2017.json").write_text("no concern of ours")
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.notes, dataset.problems) == ("coco", (), ())
    assert dataset.classes.names == ("background", "cat", "dog")
    assert {split: [sample.name for sample in samples] for split, samples in dataset.splits.items()} == {
        "train": ["1"],
        "val": ["2"],
    }
    sample = pickle.loads(pickle.dumps(dataset.split("train")[0]))
    assert sample.read_image().shape == (8, 10, 3)
    assert sample.read_mask().dtype == np.uint8
    assert rows(sample.read_mask()) == ["0000000000"] + ["0022220000"] * 4 + ["0000000000"] * 3
    assert rows(dataset.split("val")[0].read_mask()) == ["1" * 10] * 8


@pytest.mark.parametrize(
    ("file", "images", "split"),
    [
        ("annotations/instances_train2014.json", "train2014", "train"),
        ("annotations/instances_val2017.json", "images/val2017", "val"),
        ("annotations/instances_default.json", "images", "train"),
        ("annotations/instances_default.json", "images/default", "train"),
        ("annotations/instances_Validation.json", "images/val", "val"),
        ("instances_default.json", "images", "train"),
        ("annotations.json", "images", "train"),
        ("annotations.json", ".", "train"),
        ("_annotations.coco.json", ".", "train"),
        ("train/_annotations.coco.json", "train", "train"),
        ("valid/_annotations.coco.json", "valid", "val"),
        ("test/_annotations.coco.json", "test", "test"),
    ],
)
@pytest.mark.parametrize("file_name", ["1.jpg", "some/folder/1.jpg", "C:\\photos\\1.jpg"])
def test_layouts_of_exports(tmp_path: Path, file: str, images: str, split: str, file_name: str) -> None:
    make_image(tmp_path / images / "1.jpg")
    write(tmp_path / file, [{"id": 1, "file_name": file_name}], [annotation(1, 1, 1, [square(0, 0, 5, 8)])])
    dataset = open_dataset(tmp_path)
    assert dataset.format == "coco"
    (sample,) = dataset.split(split)
    assert sample.name == "1"
    assert rows(sample.read_mask()) == ["1111100000"] * 8
    assert list(dataset.splits) == [split]


def test_images_in_subfolders_keep_their_path(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/1.jpg"):
        make_image(tmp_path / "images" / name)
    images = [{"id": name, "file_name": name} for name in ("b/1.jpg", "a/1.jpg")]
    write(tmp_path / "annotations.json", images, [annotation(1, "b/1.jpg", 1, [square(0, 0, 9, 9)])])
    assert [sample.name for sample in open_dataset(tmp_path).split("train")] == ["a/1", "b/1"]


def test_small_objects_are_drawn_over_large_ones_whatever_their_order(tmp_path: Path) -> None:
    small, large = square(2, 2, 4, 4), square(0, 0, 10, 8)
    published(tmp_path, [annotation(1, 1, 1, [small], area=999), annotation(2, 1, 3, [large], area=1)])
    mask = open_dataset(tmp_path).split("train")[0].read_mask()
    assert rows(mask) == ["2" * 10] * 2 + ["2211222222"] * 2 + ["2" * 10] * 4


def test_all_forms_of_an_outline_agree_with_pycocotools(tmp_path: Path) -> None:
    inside = np.zeros((8, 10), dtype=np.uint8)
    inside[1:7:2, 2:9] = 1
    inside[5, 3:5] = 0
    compressed = rle.encode(np.asfortranarray(inside))
    text = compressed["counts"].decode()
    flat = inside.ravel(order="F")
    runs = np.diff([0, *(np.flatnonzero(np.diff(flat)) + 1), flat.size]).tolist()
    assert coco_counts(text) == runs
    polygons = [[1.3, 0.2, 8.8, 2.4, 4.1, 7.7], square(7, 6, 9, 8)]
    drawn = rle.decode(rle.merge(rle.frPyObjects(polygons, 8, 10)))
    for segmentation, expected in [
        ({"size": [8, 10], "counts": text}, inside),
        ({"size": [8, 10], "counts": runs}, inside),
        (polygons, drawn),
    ]:
        published(tmp_path, [annotation(1, 1, 1, segmentation)])
        assert np.array_equal(open_dataset(tmp_path).split("train")[0].read_mask(), expected)


def test_run_lengths_in_text_form_are_read_as_the_official_code_does() -> None:
    generator = np.random.default_rng(0)
    for density in (0.02, 0.5, 0.98):
        inside = np.asfortranarray(generator.random((97, 131)) < density).astype(np.uint8, order="F")
        runs = coco_counts(rle.encode(inside)["counts"].decode())
        values = np.repeat(np.arange(len(runs)) % 2, runs).reshape(inside.shape, order="F")
        assert np.array_equal(values, inside)


def test_crowds_are_void_under_the_objects(tmp_path: Path) -> None:
    crowd = {"size": [8, 10], "counts": [40, 40]}
    published(tmp_path, [annotation(1, 1, 1, [square(6, 0, 10, 8)]), annotation(2, 1, 1, crowd, iscrowd=1)])
    assert rows(open_dataset(tmp_path).split("train")[0].read_mask()) == ["00000x1111"] * 8


def test_roboflows_heading_is_no_class(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
        {"id": 2, "name": "dog", "supercategory": "pets"},
    ]
    make_image(tmp_path / "train" / "1.jpg")
    file = tmp_path / "train" / "_annotations.coco.json"
    write(file, [1], [annotation(1, 1, 2, [square(0, 0, 9, 9)])], categories)
    assert open_dataset(tmp_path).classes.names == ("background", "cat", "dog")
    write(file, [1], [annotation(1, 1, 0, [square(0, 0, 9, 9)])], categories)
    assert open_dataset(tmp_path).classes.names == ("background", "pets", "cat", "dog")


def test_junk_for_a_supercategory_is_passed_over(tmp_path: Path) -> None:
    published(tmp_path, [], categories=[{"id": 1, "name": "cat", "supercategory": ["pets"]}])
    assert open_dataset(tmp_path).classes.names == ("background", "cat")


def test_a_category_called_background_is_class_0(tmp_path: Path) -> None:
    published(
        tmp_path, [annotation(1, 1, 1, [square(0, 0, 5, 8)])], categories=[*CATEGORIES, {"id": 9, "name": "background"}]
    )
    dataset = open_dataset(tmp_path)
    assert dataset.classes.names == ("background", "cat", "dog")
    assert rows(dataset.split("train")[0].read_mask()) == ["1111100000"] * 8


def test_listing_opens_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path, [annotation(1, 1, 1, [square(0, 0, 5, 8)])])

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", refuse)
    assert len(open_dataset(tmp_path).split("train")) == 1


# What is incomplete


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg", "extra.jpg"):
        make_image(tmp_path / "train2017" / name)
    outlines = [square(0, 0, 50, 8), square(90, 90, 99, 99)]
    file = published(tmp_path, [annotation(1, 1, 1, outlines), annotation(2, 7, 1, None)], [1, 2, 7])
    dataset = open_dataset(tmp_path)
    folder = tmp_path / "train2017"
    assert dataset.problems == ()
    assert dataset.notes == (
        f"1 of 3 images that {file} lists are not in {folder} and are left out (7.jpg)",
        f"1 images in {folder} are not listed in {file} and are left out",
        f"1 images of {file} show no object and are all background (2)",
        f"1 shapes in {tmp_path} lie partly outside their image and are clipped (1)",
        f"1 shapes in {tmp_path} lie wholly outside their image and are left out (1)",
    )
    assert rows(dataset.split("train")[0].read_mask()) == ["1" * 10] * 8
    assert not dataset.split("train")[1].read_mask().any()


def test_a_split_without_images_does_not_stand_in_the_way(tmp_path: Path) -> None:
    published(tmp_path, [annotation(1, 1, 1, [square(0, 0, 9, 9)])])
    write(tmp_path / "annotations" / "instances_val2017.json", [5, 6], [])
    dataset = open_dataset(tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 1}
    assert "2 of 2 images that" in dataset.notes[0]


# What would corrupt a training


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (
            [annotation(4, 1, 2, [square(0, 0, 5, 5)])],
            "1 annotations (4) have the category 2, which is not declared; declare",
        ),
        ([annotation(4, 1, [], [square(0, 0, 5, 5)])], "have the category [], which is not declared"),
        ([annotation(4, 8, 1, [square(0, 0, 5, 5)])], "1 annotations (4) belong to images that are not listed; add"),
        ([annotation(4, {}, 1, [square(0, 0, 5, 5)])], "belong to images that are not listed"),
        ([annotation(k, 1, 1, []) for k in range(5)], "5 annotations (0, 1, 2, …) have no outline, at most a box"),
        ([{"id": 4, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}], "1 annotations (4) have no outline"),
        ([annotation(4, 1, 1, [[1, 2, 3, 4]])], "annotation 4 of 1 has 2 points where 3 are needed; draw it again or"),
        ([annotation(4, 1, 1, [[1, 2, 3, 4, 5, 6, 7]])], "annotation 4 of 1 has 7 coordinates, an odd number"),
        ([annotation(4, 1, 1, [[1, 2, 3, 4, 5, "6"]])], "annotation 4 of 1 has coordinates that are no numbers"),
        (
            [annotation(4, 1, 1, [[1, 2, 3, 4, 5, float("nan")]])],
            "annotation 4 of 1 has coordinates that are not finite",
        ),
        ([annotation(4, 1, 1, "abc")], "annotation 4 of 1 has a segmentation that is neither polygons nor run lengths"),
        ([annotation(4, 1, 1, {"size": [8, 10], "counts": [1, 2]})], "has run lengths of 3 pixels in all, its mask 80"),
        ([annotation(4, 1, 1, {"size": [8, 10], "counts": "52203"})], "pixels in all, its mask 80"),
        ([annotation(4, 1, 1, {"size": [8, 10], "counts": [-1, 81]})], "has run lengths that are no counts"),
        ([annotation(4, 1, 1, {"size": [8, 10]})], "has run lengths that are no counts"),
        ([annotation(4, 1, 1, {"size": [10, 8], "counts": [80]})], "has run lengths for 8×10 pixels, its image 10×8"),
        ([annotation(4, 1, 1, {"size": 80, "counts": [80]})], "has run lengths of the size 80"),
    ],
)
def test_broken_annotations(tmp_path: Path, annotations: list[Any], said: str) -> None:
    file = published(tmp_path, annotations)
    (problem,) = open_dataset(tmp_path).problems
    assert problem.startswith(f"{file}: ")
    assert said in problem


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = published(
        tmp_path,
        [annotation(1, 1, 1, [[1]]), annotation(2, 1, 9, [[1]]), annotation(3, 1, 1, [])],
        [1, 1, {"id": 2, "file_name": "1.jpg"}, {"id": 3}],
        categories=[*CATEGORIES, {"id": 3, "name": "wolf"}, {"name": "cow"}],
    )
    problems = open_dataset(tmp_path).problems
    assert [problem.removeprefix(f"{file}: ").split(";")[0] for problem in problems] == [
        "category 3 is called both 'dog' and 'wolf'",
        "a category has the id None and the name 'cow'",
        "an image has the id 1 and the file_name '1.jpg'",
        "an image has the id 3 and the file_name None",
        f"the images 1 and 2 are both {tmp_path / 'train2017' / '1.jpg'}, two masks for one image",
        "annotation 1 of 1 has 1 coordinates, an odd number",
        "1 annotations (2) have the category 9, which is not declared",
        "1 annotations (3) have no outline, at most a box, and would be taken for background",
    ]


def test_categories_that_differ_between_splits(tmp_path: Path) -> None:
    published(tmp_path, [])
    make_image(tmp_path / "val2017" / "2.jpg")
    file = write(tmp_path / "annotations" / "instances_val2017.json", [2], [], [{"id": 1, "name": "dog"}])
    assert open_dataset(tmp_path).problems == (
        f"{file}: category 1 is called both 'cat' and 'dog'; give each category one id in the files of all splits",
    )


def test_an_image_of_another_size(tmp_path: Path) -> None:
    file = published(tmp_path, [annotation(1, 1, 1, [square(0, 0, 5, 5)])])
    make_image(tmp_path / "train2017" / "1.jpg", (20, 16))
    with pytest.raises(UserError, match=rf"{file} was made for an image of 10×8 pixels, but .*1\.jpg is 20×16"):
        open_dataset(tmp_path).split("train")[0].read_mask()


# Where nothing can be read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"images": [{"id": 1, "file_n', "is not valid JSON (Unterminated string"),
        ("", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "holds no JSON object"),
        ('{"images": []}', "has no list 'annotations'"),
        ('{"images": [1], "annotations": [], "categories": []}', "has no list 'images'"),
    ],
)
def test_an_annotation_file_that_cannot_be_understood(tmp_path: Path, text: str, said: str) -> None:
    file = published(tmp_path, [])
    file.write_text(text)
    with pytest.raises(UserError) as raised:
        open_dataset(tmp_path)
    assert str(raised.value).startswith(str(file))
    assert said in str(raised.value)


def test_no_images_at_all(tmp_path: Path) -> None:
    write(tmp_path / "annotations" / "instances_train2017.json", [1], [])
    with pytest.raises(UserError, match=r"holds no image with a mask: 1 of 1 images that .* lists are not in "):
        open_dataset(tmp_path)


def test_two_files_of_one_split(tmp_path: Path) -> None:
    published(tmp_path, [])
    write(tmp_path / "annotations" / "instances_train2014.json", [1], [])
    with pytest.raises(
        UserError, match=r"train2014\.json and .*train2017\.json are both of the split 'train'; move one"
    ):
        open_dataset(tmp_path)


def test_no_annotation_file(tmp_path: Path) -> None:
    for format in ("coco", "coco-panoptic"):
        with pytest.raises(UserError, match=r"holds no annotation file as COCO names it; expected annotations/"):
            open_dataset(tmp_path, format)


def test_too_many_or_equal_categories(tmp_path: Path) -> None:
    file = published(tmp_path, [], categories=[{"id": i, "name": f"{i}"} for i in range(300)])
    with pytest.raises(UserError, match=rf"the categories of {file}: a class table has 1 to 255 classes"):
        open_dataset(tmp_path)
    published(tmp_path, [], categories=[{"id": i, "name": "cat"} for i in range(2)])
    with pytest.raises(UserError, match="class names are used twice: cat"):
        open_dataset(tmp_path)


def test_without_pycocotools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path, [])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"needs pycocotools.*pyramid-attention\[train\]"):
        open_dataset(tmp_path)


def test_other_trees_are_not_taken_for_coco(tmp_path: Path) -> None:
    for name in ("images/train/a.jpg", "masks/train/a.jpg", "train/b.jpg", "trainannot/b.jpg"):
        make_image(tmp_path / name)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "boxes.json").write_text("{}")
    (tmp_path / "train" / "a.json").write_text("{}")
    assert not coco.detect(Tree.scan(tmp_path))
    assert not READERS["coco-panoptic"].detect(Tree.scan(tmp_path))


# Panoptic

THINGS = [
    {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
    {"id": 200, "name": "wall-other", "isthing": 0, "color": [1, 2, 3]},
]


def panoptic(root: Path, ids: list[list[int]], segments: list[Any], beside: bool = False, **more: Any) -> Path:
    """One image of 3×2 pixels with a PNG of segment ids; returns the annotation file."""
    make_image(root / "val2017" / "1.jpg", (3, 2))
    file = root / "annotations" / "panoptic_val2017.json"
    numbers = np.array(ids)
    image = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], axis=2).astype(np.uint8)
    folder = root / "panoptic_val2017" if beside else file.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / "1.png")
    entry = {"image_id": 1, "file_name": "1.png", "segments_info": segments}
    return write(file, [1], [entry], **({"categories": THINGS} | more))


@pytest.mark.parametrize("beside", [False, True])
def test_panoptic_segments_have_their_category(tmp_path: Path, beside: bool) -> None:
    segments = [
        {"id": 70000, "category_id": 200},
        {"id": 258, "category_id": 1, "iscrowd": 1},
        {"id": 3, "category_id": 1},
    ]
    panoptic(tmp_path, [[0, 70000, 258], [3, 3, 70000]], segments, beside)
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.notes, dataset.problems) == ("coco-panoptic", (), ())
    assert dataset.classes.names == ("person", "wall-other")
    assert dataset.classes.colours == ((220, 20, 60), (1, 2, 3))
    sample = pickle.loads(pickle.dumps(dataset.split("val")[0]))
    assert sample.name == "1"
    assert sample.read_image().shape == (2, 3, 3)
    assert sample.read_mask().tolist() == [[255, 1, 0], [0, 0, 1]]


def test_where_both_are_instances_are_read_and_panoptic_on_request(tmp_path: Path) -> None:
    panoptic(tmp_path, [[3] * 3] * 2, [{"id": 3, "category_id": 1}])
    write(tmp_path / "annotations" / "instances_val2017.json", [{"id": 1, "file_name": "1.jpg"}], [])
    dataset = open_dataset(tmp_path)
    assert dataset.format == "coco"
    assert dataset.notes[-1] == f"{tmp_path} has panoptic masks too, which --format coco-panoptic reads"
    assert open_dataset(tmp_path, "coco-panoptic").classes.names == ("person", "wall-other")


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([{"id": 3, "category_id": 2}], "segments of 1.png have the category 2, which is not declared; declare it"),
        ([{"id": 3, "category_id": 1}] * 2, "the segments of 1.png have the ids 3, 3; give each its own number"),
        ([{"id": "3", "category_id": 1}], "the segments of 1.png have the ids 3; give"),
        (["x"], "the segments of 1.png have the ids None; give"),
        (None, "the annotation of 1 has no file_name or segments_info; add it"),
    ],
)
def test_broken_panoptic_annotations(tmp_path: Path, segments: Any, said: str) -> None:
    file = panoptic(tmp_path, [[3] * 3] * 2, [{"id": 3, "category_id": 1}])
    entries = [{"image_id": 2, "file_name": "2.png", "segments_info": []}]
    make_image(tmp_path / "val2017" / "2.jpg", (3, 2))
    Image.new("RGB", (3, 2)).save(file.with_suffix("") / "2.png")
    write(file, [1, 2], [*entries, {"image_id": 1, "file_name": "1.png", "segments_info": segments}], THINGS)
    dataset = open_dataset(tmp_path)
    assert [sample.name for sample in dataset.split("val")] == ["2"]
    assert len(dataset.problems) == 1
    assert said in dataset.problems[0]


def test_panoptic_two_masks_and_none(tmp_path: Path) -> None:
    file = panoptic(tmp_path, [[3] * 3] * 2, [])
    for i in (2, 3):
        make_image(tmp_path / "val2017" / f"{i}.jpg", (3, 2))
    entries = [
        {"image_id": i, "file_name": name, "segments_info": []}
        for i, name in [(1, "1.png"), (1, "x.png"), (2, "2.png")]
    ]
    write(file, [1, 2, 3], entries, THINGS)
    dataset = open_dataset(tmp_path)
    assert dataset.problems == (f"{file}: {tmp_path / 'val2017' / '1.jpg'} has two masks, 1.png and x.png; remove one",)
    assert dataset.notes == (
        f"1 of 3 images have no mask in {file.with_suffix('')} and are left out (2.png)",
        f"1 of 3 images have no annotation in {file} and are left out (3)",
    )


def test_panoptic_masks_that_do_not_fit(tmp_path: Path) -> None:
    file = panoptic(tmp_path, [[3, 4, 4]] * 2, [{"id": 3, "category_id": 1}])
    with pytest.raises(UserError, match=r"1\.png holds segments that its JSON does not list: 4; export both again"):
        open_dataset(tmp_path).split("val")[0].read_mask()
    panoptic(tmp_path, [[3, 3, 3]] * 2, [{"id": 3, "category_id": 1}])
    make_image(tmp_path / "val2017" / "1.jpg", (6, 4))
    with pytest.raises(UserError, match=r"1\.png is 3×2 pixels but its image .*1\.jpg is 6×4"):
        open_dataset(tmp_path).split("val")[0].read_mask()
    for image in file.with_suffix("").iterdir():
        image.unlink()
    file.with_suffix("").rmdir()
    with pytest.raises(
        UserError, match=r"has no folder .*panoptic_val2017 of PNGs beside it; unpack panoptic_val2017\.zip"
    ):
        open_dataset(tmp_path)


def test_panoptic_masks_of_another_size_are_fitted_on_request(tmp_path: Path) -> None:
    panoptic(tmp_path, [[3, 3, 0]] * 2, [{"id": 3, "category_id": 200}])
    make_image(tmp_path / "val2017" / "1.jpg", (6, 4))
    assert rows(fit_masks(open_dataset(tmp_path)).split("val")[0].read_mask()) == ["1111xx"] * 4


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([[10**400] * 6], "has coordinates that are no numbers"),
        ({"size": [100_000, 100_000], "counts": [10**10]}, "has run lengths of 10000000000 pixels, more than"),
    ],
)
def test_numbers_beyond_all_bounds(tmp_path: Path, segmentation: Any, said: str) -> None:
    published(tmp_path, [annotation(1, 1, 1, segmentation)], images=[{"id": 1, "file_name": "1.jpg"}])
    (problem,) = (problem for problem in open_dataset(tmp_path).problems if "outline" not in problem)
    assert said in problem


def test_each_annotation_file_that_is_cut_short_is_told(tmp_path: Path) -> None:
    file = published(tmp_path, [annotation(1, 1, 1, [square(0, 0, 2, 2)])])
    for split in ("val", "test"):
        file.with_name(f"instances_{split}2017.json").write_text('{"images": [')
    dataset = open_dataset(tmp_path)
    assert set(dataset.splits) == {"train"}
    assert ["is not valid JSON" in problem for problem in dataset.problems] == [True, True]
    file.unlink()
    with pytest.raises(UserError, match=r"instances_test2017.* … .*instances_val2017\.json is not valid JSON"):
        open_dataset(tmp_path)
