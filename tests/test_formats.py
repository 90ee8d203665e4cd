"""The whole way for each format: a tree in its published layout is found, trained on for two steps, and predicted.

What each reader makes of such a tree, pixel by pixel, is in the tests of the readers.
"""

import csv
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pyramid_attention.cli import main
from pyramid_attention.data import READERS, published
from pyramid_attention.training import load_recipe, train

NAMES = {"train": ["a", "b", "c", "d"], "val": ["e", "f"]}
HEIGHT, WIDTH = 32, 40
BOXES = {1: (4, 4, 20, 28), 2: (22, 8, 36, 24)}  # left, top, right, bottom of two objects on class 0
LABELS = np.zeros((HEIGHT, WIDTH), np.uint8)
for _label, (_left, _top, _right, _bottom) in BOXES.items():
    LABELS[_top:_bottom, _left:_right] = _label
COLOURS = np.array([(0, 0, 0), (200, 0, 0), (0, 0, 200)], np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def make_image(path: Path) -> None:
    rng = np.random.default_rng(sum(path.stem.encode()))
    save(path, np.clip(COLOURS[LABELS] + rng.integers(0, 50, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8))


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def pairs() -> list[tuple[str, str]]:
    return [(split, name) for split, names in NAMES.items() for name in names]


def polygon(label: int) -> list[tuple[int, int]]:
    left, top, right, bottom = BOXES[label]
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def voc(root: Path) -> None:
    home = root / "VOCdevkit" / "VOC2012"
    for _, name in pairs():
        make_image(home / "JPEGImages" / f"{name}.jpg")
        save(home / "SegmentationClass" / f"{name}.png", LABELS)
        save(home / "SegmentationClassAug" / f"{name}.png", LABELS)
    for split, names in NAMES.items():
        text(home / "ImageSets" / "Segmentation" / f"{split}.txt", "\n".join(names) + "\n")
    text(home / "ImageSets" / "Segmentation" / "trainaug.txt", "\n".join(NAMES["train"]) + "\n")
    make_image(home / "JPEGImages" / "2008_000006.jpg")
    text(home / "ImageSets" / "Segmentation" / "test.txt", "2008_000006\n")


def cityscapes(root: Path) -> None:
    for split, name in pairs():
        stem = f"{split}/bonn/bonn_00000{ord(name) - 97}_000019"
        make_image(root / "leftImg8bit" / f"{stem}_leftImg8bit.png")
        save(root / "gtFine" / f"{stem}_gtFine_labelIds.png", np.array([7, 11, 26], np.uint8)[LABELS])
    make_image(root / "leftImg8bit/test/bonn/bonn_000009_000019_leftImg8bit.png")


def ade20k(root: Path) -> None:
    for number, (split, _) in enumerate(pairs(), 1):
        folder, stem = {"train": ("training", "ADE_train"), "val": ("validation", "ADE_val")}[split]
        make_image(root / "images" / folder / f"{stem}_{number:08}.jpg")
        save(root / "annotations" / folder / f"{stem}_{number:08}.png", LABELS + 1)
    make_image(root / "images" / "testing" / "ADE_test_00000001.jpg")


def camvid(root: Path) -> None:
    for split, name in pairs():
        make_image(root / split / f"{name}.png")
        save(root / f"{split}annot" / f"{name}.png", LABELS)


def camvid_in_32_colours(root: Path) -> None:
    for _, name in pairs():
        make_image(root / "701_StillsRaw_full" / f"{name}.png")
        colours = np.array(published.CAMVID32.colours[:3], np.uint8)
        save(root / "LabeledApproved_full" / f"{name}_L.png", colours[LABELS])
    for split, names in NAMES.items():
        text(root / f"{split}.txt", "\n".join(names))


def coco(root: Path) -> None:
    for split, names in NAMES.items():
        images, annotations = [], []
        for number, name in enumerate(names):
            make_image(root / f"{split}2017" / f"{name}.jpg")
            images.append({"id": number, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH})
            annotations += [
                {
                    "id": 10 * number + label,
                    "image_id": number,
                    "category_id": label,
                    "iscrowd": 0,
                    "segmentation": [[number for point in polygon(label) for number in point]],
                }
                for label in BOXES
            ]
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        tree = {"images": images, "annotations": annotations, "categories": categories}
        text(root / "annotations" / f"instances_{split}2017.json", json.dumps(tree))


def coco_panoptic(root: Path) -> None:
    for split, names in NAMES.items():
        images, annotations = [], []
        for number, name in enumerate(names):
            make_image(root / f"{split}2017" / f"{name}.jpg")
            segments = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            segments[..., 0] = LABELS + 1
            save(root / "annotations" / f"panoptic_{split}2017" / f"{name}.png", segments)
            images.append({"id": number, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH})
            info = [{"id": i + 1, "category_id": i + 1, "iscrowd": 0} for i in range(3)]
            annotations.append({"image_id": number, "file_name": f"{name}.png", "segments_info": info})
        categories = [{"id": i + 1, "name": f"c{i}", "isthing": 1, "color": COLOURS[i].tolist()} for i in range(3)]
        tree = {"images": images, "annotations": annotations, "categories": categories}
        text(root / "annotations" / f"panoptic_{split}2017.json", json.dumps(tree))


def labelme(root: Path) -> None:
    for split, name in pairs():
        make_image(root / split / f"{name}.jpg")
        shapes = [{"label": f"l{label}", "points": polygon(label), "shape_type": "polygon"} for label in BOXES]
        tree = {"imagePath": f"{name}.jpg", "imageHeight": HEIGHT, "imageWidth": WIDTH, "imageData": None}
        text(root / split / f"{name}.json", json.dumps(tree | {"shapes": shapes}))


def cvat(root: Path) -> None:
    for _, name in pairs():
        make_image(root / "JPEGImages" / f"{name}.jpg")
        save(root / "SegmentationClass" / f"{name}.png", COLOURS[LABELS])
    text(root / "labelmap.txt", "background:0,0,0::\ncat:200,0,0::\ndog:0,0,200::\n")
    text(root / "ImageSets" / "Segmentation" / "default.txt", "\n".join("abcdef"))


def yolo(root: Path) -> None:
    for split, name in pairs():
        make_image(root / "images" / split / f"{name}.jpg")
        lines = [f"{label - 1} " + " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in polygon(label)) for label in BOXES]
        text(root / "labels" / split / f"{name}.txt", "\n".join(lines))
    settings = {"path": ".", "train": "images/train", "val": "images/val", "names": {0: "cat", 1: "dog"}}
    text(root / "data.yaml", yaml.safe_dump(settings))


def yolo_masks(root: Path) -> None:
    for split, name in pairs():
        make_image(root / "images" / split / f"{name}.jpg")
        save(root / "masks" / split / f"{name}.png", LABELS)
    settings = {"train": "images/train", "val": "images/val", "names": ["ground", "cat", "dog"], "masks_dir": "masks"}
    text(root / "data.yaml", yaml.safe_dump(settings))


def roboflow(root: Path) -> None:
    for split, name in pairs():
        folder = root / {"train": "train", "val": "valid"}[split]
        make_image(folder / f"{name}_jpg.rf.0a.jpg")
        save(folder / f"{name}_jpg.rf.0a_mask.png", LABELS)
        text(folder / "_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n2, dog\n")


def kaggle(root: Path) -> None:
    rows = ["ImageId,ClassId,EncodedPixels"]
    for _, name in pairs():
        make_image(root / "images" / f"{name}.jpg")
        for label in BOXES:
            places = np.flatnonzero((label == LABELS).T.ravel()) + 1
            rows.append(f"{name}.jpg,{label},{' '.join(f'{place} 1' for place in places)}")
    text(root / "train.csv", "\n".join(rows))


def hugging_face(root: Path) -> None:
    for split, names in NAMES.items():
        for name in names:
            make_image(root / split / f"{name}.jpg")
            save(root / split / f"{name}_m.png", LABELS)
        rows = [json.dumps({"file_name": f"{name}.jpg", "mask": f"{name}_m.png"}) for name in names]
        text(root / split / "metadata.jsonl", "\n".join(rows))


def webdataset(root: Path) -> None:
    hugging_face(root / "files")
    for split, names in NAMES.items():
        with tarfile.open(root / f"{split}-000000.tar", "w") as archive:
            for name in names:
                archive.add(root / "files" / split / f"{name}.jpg", f"{name}.jpg")
                archive.add(root / "files" / split / f"{name}_m.png", f"{name}.seg.png")
    shutil.rmtree(root / "files")


def label_studio(root: Path) -> None:
    tasks = []
    for number, (_, name) in enumerate(pairs()):
        make_image(root / f"{name}.jpg")
        result = [
            {
                "type": "polygonlabels",
                "original_width": WIDTH,
                "original_height": HEIGHT,
                "value": {
                    "points": [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in polygon(label)],
                    "polygonlabels": [f"l{label}"],
                },
            }
            for label in BOXES
        ]
        tasks.append({"id": number, "data": {"image": f"{name}.jpg"}, "annotations": [{"result": result}]})
    text(root / "export.json", json.dumps(tasks))


def supervisely(root: Path) -> None:
    text(root / "meta.json", json.dumps({"classes": [{"title": "l1"}, {"title": "l2"}]}))
    for split, name in pairs():
        make_image(root / split / "img" / f"{name}.jpg")
        objects = [
            {"classTitle": f"l{label}", "geometryType": "polygon", "points": {"exterior": polygon(label)}}
            for label in BOXES
        ]
        size = {"height": HEIGHT, "width": WIDTH}
        text(root / split / "ann" / f"{name}.jpg.json", json.dumps({"size": size, "objects": objects}))


def folder_of_colours(root: Path) -> None:
    for split, name in pairs():
        make_image(root / "images" / split / f"{name}.jpg")
        save(root / "masks" / split / f"{name}.png", COLOURS[LABELS])
    settings = {"names": ["ground", "cat", "dog"], "colours": COLOURS.tolist()}
    text(root / "dataset.yaml", yaml.safe_dump(settings))


def folder_black_and_white(root: Path) -> None:
    for _, name in pairs():
        make_image(root / "a" / f"{name}.jpg")
        save(root / "b" / f"{name}.png", (LABELS > 0) * np.uint8(255))


def folder_side_by_side(root: Path) -> None:
    for _, name in pairs():
        make_image(root / f"{name}.jpg")
        save(root / f"{name}_mask.png", LABELS)
    text(root / "dataset.yaml", "names: [ground, cat, dog]\n")


TREES: dict[str, tuple[str, Callable[[Path], None], int]] = {
    "voc": ("voc", voc, 21),
    "cityscapes": ("cityscapes", cityscapes, 19),
    "ade20k": ("ade20k", ade20k, 150),
    "camvid": ("camvid", camvid, 11),
    "camvid32": ("camvid32", camvid_in_32_colours, 31),
    "coco": ("coco", coco, 3),
    "coco-panoptic": ("coco-panoptic", coco_panoptic, 3),
    "labelme": ("labelme", labelme, 3),
    "cvat": ("cvat", cvat, 3),
    "yolo": ("yolo", yolo, 3),
    "yolo, masks": ("yolo", yolo_masks, 3),
    "roboflow": ("roboflow", roboflow, 3),
    "rle-csv": ("rle-csv", kaggle, 3),
    "huggingface": ("huggingface", hugging_face, 3),
    "webdataset": ("webdataset", webdataset, 3),
    "labelstudio": ("labelstudio", label_studio, 3),
    "supervisely": ("supervisely", supervisely, 3),
    "folder, colours": ("folder", folder_of_colours, 3),
    "folder, black and white": ("folder", folder_black_and_white, 2),
    "folder, side by side": ("folder", folder_side_by_side, 3),
}
TWO_STEPS = {
    "model.backbone": "test_resnet",
    "model.pretrained": False,
    "model.options.channels": 8,
    "data.crop": (32, 32),
    "train.batch_size": 2,
    "train.epochs": 1,
    "train.ema": None,
    "data.workers": 0,
}


def steps(run: Path) -> list[int]:
    with open(run / "metrics.csv") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_every_reader_has_a_tree() -> None:
    assert {format for format, _, _ in TREES.values()} == set(READERS)


@pytest.mark.parametrize("name", TREES)
def test_found_trained_predicted(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    format, plant, classes = TREES[name]
    data, run = tmp_path / "data", tmp_path / "run"
    plant(data)
    result = train(data, fields=TWO_STEPS, out=run, device="cpu")
    assert 0 <= result.best_miou <= 1
    assert load_recipe(run / "recipe.yaml").data.format == format
    made = "no val split: " in capsys.readouterr().err  # of six images: by a hash, so not always four to two
    assert made or steps(run) == [2]
    assert steps(run)[0] >= 1
    make_image(tmp_path / "new.jpg")
    assert main(["predict", str(tmp_path / "new.jpg"), "--model", str(run), "--out", str(tmp_path / "out")]) == 0
    predicted = np.asarray(Image.open(tmp_path / "out" / "new.png"))
    assert predicted.shape == (HEIGHT, WIDTH)
    assert predicted.max() < classes


@pytest.mark.parametrize(
    ("name", "archive"), [("voc", "voc.tar.gz"), ("cityscapes", "cityscapes.zip"), ("ade20k", "ade20k.zip")]
)
def test_the_benchmarks_are_packed_as_submissions(name: str, archive: str, tmp_path: Path) -> None:
    _, plant, _ = TREES[name]
    plant(tmp_path / "data")
    train(tmp_path / "data", fields=TWO_STEPS, out=tmp_path / "run", device="cpu")
    arguments: list[Any] = ["predict", tmp_path / "data", "--model", tmp_path / "run", "--out", tmp_path / "out"]
    assert main([*map(str, arguments), "--submission", name]) == 0
    assert (tmp_path / "out" / archive).stat().st_size > 0


@pytest.mark.parametrize(("name", "split"), [("voc", "train_aug"), ("cityscapes", "train")])
def test_the_papers_recipes_run_with_the_papers_backbone(name: str, split: str, tmp_path: Path) -> None:
    """resnet101c at output stride 16; smaller crop and batch, and a rate for weights that are not pre-trained."""
    _, plant, _ = TREES[name]
    plant(tmp_path / "data")
    out, data = tmp_path / "run", tmp_path / "data"
    small = {"pretrained": False, "crop": (64, 64), "batch_size": 2, "epochs": 1, "workers": 0, "learning_rate": 1e-4}
    train(data, name, out=out, device="cpu", **small)
    recipe = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert (recipe.model.backbone, recipe.model.output_stride, recipe.data.train_split) == ("resnet101c", 16, split)
    assert steps(tmp_path / "run") == [2]
