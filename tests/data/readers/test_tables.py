"""Data sets in tables and JSON of further tools: Kaggle's run lengths, Hugging Face, Label Studio, Supervisely."""

import base64
import io
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.data import READERS, Dataset, open_dataset
from pyramid_attention.data.tree import Tree
from pyramid_attention.errors import UserError

HEIGHT, WIDTH = 8, 10
IMAGE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
CAT = np.zeros((HEIGHT, WIDTH), np.uint8)
CAT[1:4, 2:9] = 1
DOG = np.zeros((HEIGHT, WIDTH), np.uint8)
DOG[3:7, 0:4] = 1
BOTH = np.where(DOG, 2, CAT).astype(np.uint8)


def save(path: Path, pixels: NDArray[np.uint8] = IMAGE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def text(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def opened(root: Path, format: str) -> Dataset:
    """The data set, found by looking, by this reader and no other but that of folders."""
    tree = Tree.scan(root)
    assert [name for name in READERS if name != "folder" and READERS[name].detect(tree)] == [format]
    dataset = open_dataset(root, make_val=False)
    assert dataset.format == format
    return dataset


def mask(dataset: Dataset, split: str = "train", i: int = 0) -> list[list[int]]:
    """A mask; the sample travels to a worker process first."""
    return pickle.loads(pickle.dumps(dataset.split(split)[i])).read_mask().tolist()


def runs(pixels: NDArray[np.uint8]) -> str:
    """Kaggle's run lengths, each pixel a run."""
    return " ".join(f"{place + 1} 1" for place in np.flatnonzero(pixels.T.ravel()))


# Kaggle


def test_rows_of_image_class_and_runs(tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path / "train_images" / f"{name}.jpg")
    save(tmp_path / "test_images" / "z.jpg")
    rows = [
        "ImageId,ClassId,EncodedPixels",
        f"b.jpg,1,{runs(CAT)}",
        f"b.jpg,4,{runs(DOG)}",
        "a.jpg,1,",
        "gone.jpg,1,1 2",
    ]
    text(tmp_path / "train.csv", "\n".join(rows))
    text(tmp_path / "sample_submission.csv", "ImageId,ClassId,EncodedPixels\nz.jpg,1,1 1")
    dataset = opened(tmp_path, "rle-csv")
    assert dataset.classes.names == ("background", "class 1", "class 4")
    assert [sample.name for sample in dataset.split("train")] == ["train_images/a", "train_images/b"]
    assert mask(dataset) == np.zeros((HEIGHT, WIDTH)).tolist()
    assert mask(dataset, i=1) == BOTH.tolist()
    assert dataset.notes == (
        f"1 of 3 images that {tmp_path / 'train.csv'} names are not below {tmp_path} and are left out (gone.jpg)",
    )


@pytest.mark.parametrize("name", ["ImageId_ClassId", "Image_Label"])
def test_image_and_class_in_one_column(tmp_path: Path, name: str) -> None:
    save(tmp_path / "a.jpg")
    text(tmp_path / "train.csv", f"{name},EncodedPixels\na.jpg_Fish,{runs(CAT)}\na.jpg_Sugar,{runs(DOG)}\n")
    dataset = opened(tmp_path, "rle-csv")
    assert dataset.classes.names == ("background", "Fish", "Sugar")
    assert mask(dataset) == BOTH.tolist()


def test_ids_without_a_suffix_and_without_classes(tmp_path: Path) -> None:
    save(tmp_path / "train" / "a.png")
    text(tmp_path / "train.csv", f"id,rle_mask\na,{runs(CAT)}\n")
    dataset = opened(tmp_path, "rle-csv")
    assert dataset.classes.names == ("background", "object")
    assert mask(dataset) == CAT.tolist()


def test_runs_of_another_size(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    text(tmp_path / "train.csv", "id,rle\na,80 2\n")
    with pytest.raises(UserError, match=r"train\.csv: a row of a\.png has run lengths outside its 10×8 pixels"):
        mask(open_dataset(tmp_path, make_val=False))


# Hugging Face


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_an_image_folder_with_metadata(tmp_path: Path, kind: str) -> None:
    for split in ("train", "validation"):
        names = [f"{split}{k}" for k in range(2)]
        for name in names:
            save(tmp_path / split / f"{name}.jpg")
            save(tmp_path / split / "m" / f"{name}_x.png", BOTH)
        rows = [{"file_name": f"{name}.jpg", "mask": f"m/{name}_x.png"} for name in [*names, "gone"]]
        lines = ["file_name,mask", *(f"{row['file_name']},{row['mask']}" for row in rows)]
        content = "\n".join(lines if kind == "csv" else map(json.dumps, rows))
        text(tmp_path / split / f"metadata.{kind}", content)
    dataset = opened(tmp_path, "huggingface")
    assert {split: [s.name for s in of] for split, of in dataset.splits.items()} == {
        "train": ["train0", "train1"],
        "val": ["validation0", "validation1"],
    }
    assert dataset.classes.names == ("class 0", "class 1", "class 2")
    assert mask(dataset, "val") == BOTH.tolist()
    assert len(dataset.notes) == 2


def test_parquet_files(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for split, count in (("train", 3), ("validation", 1)):
        images = [{"bytes": png(IMAGE + k), "path": f"{k}.png"} for k in range(count)]
        masks = [{"bytes": png(np.roll(BOTH, k, axis=1)), "path": None} for k in range(count)]
        file = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(exist_ok=True)
        table = pyarrow.table({"image": images, "annotation": masks, "scene": ["x"] * count})
        parquet.write_table(table, file, row_group_size=2)
    dataset = opened(tmp_path, "huggingface")
    assert {split: len(of) for split, of in dataset.splits.items()} == {"train": 3, "val": 1}
    for k in range(3):
        assert mask(dataset, i=k) == np.roll(BOTH, k, axis=1).tolist()
        assert np.array_equal(dataset.split("train")[k].read_image(), IMAGE + k)


def test_parquet_without_masks_is_no_data_set(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(
        pyarrow.table({"image": [{"bytes": png(IMAGE), "path": "a"}], "n": [1]}), tmp_path / "a.parquet"
    )
    assert not READERS["huggingface"].detect(Tree.scan(tmp_path))
    with pytest.raises(UserError, match=r"holds no image with a mask; expected .* or Parquet files"):
        open_dataset(tmp_path, "huggingface")


# Label Studio


def packed(pixels: NDArray[np.uint8]) -> list[int]:
    """The four channels of a brush in rle-pack's bits, each value literal."""
    values = np.repeat(pixels.ravel() * np.uint8(255), 4)
    bits = f"{len(values):032b}{7:05b}" + "0000000100100011"
    bits += "".join(f"000{0}{value:08b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def result(kind: str, **value: Any) -> dict[str, Any]:
    return {"type": kind, "original_width": WIDTH, "original_height": HEIGHT, "value": value}


def studio(root: Path) -> None:
    brush = result("brushlabels", format="rle", rle=packed(CAT), brushlabels=["cat"])
    rectangle = result("rectanglelabels", x=0, y=37.5, width=30, height=37.5, rotation=0, rectanglelabels=["dog"])
    turned = result("ellipselabels", x=0, y=0, radiusX=9, radiusY=2, rotation=30, ellipselabels=["dog"])
    cancelled = {"was_cancelled": True, "result": [result("brushlabels", rle=packed(DOG), brushlabels=["x"])]}
    tasks = [
        {
            "id": 12,
            "data": {"image": "/data/upload/3/1a2b3c4d-a.jpg"},
            "annotations": [cancelled, {"result": [brush, rectangle, turned, {"type": "choices", "value": {}}]}],
        },
        {"id": 13, "data": {"image": "s3://x/b.jpg"}, "annotations": []},
        {"id": 14, "data": {"image": "gone.jpg"}, "annotations": [{"result": [brush]}]},
    ]
    text(root / "project-1.json", tasks)
    for name in "ab":
        save(root / "images" / f"{name}.jpg")


def test_brushes_and_shapes_of_label_studio(tmp_path: Path) -> None:
    studio(tmp_path)
    dataset = opened(tmp_path, "labelstudio")
    assert dataset.classes.names == ("background", "cat", "dog")
    assert [sample.name for sample in dataset.split("train")] == ["images/a"]
    expected = CAT.copy()
    expected[3:7, 0:4] = 2  # from (0, 3) to (3, 6), the edge included
    assert mask(dataset) == expected.tolist()
    assert len(dataset.notes) == 3
    assert dataset.problems == ()


def test_painted_pngs_of_label_studio(tmp_path: Path) -> None:
    studio(tmp_path)
    for annotation, tag, pixels in ((3, "cat", CAT), (3, "dog", DOG), (4, "dog", 1 - DOG)):
        save(tmp_path / f"task-12-annotation-{annotation}-by-1-tag-{tag}-0.png", pixels * np.uint8(255))
    dataset = opened(tmp_path, "labelstudio")
    assert mask(dataset) == BOTH.tolist()


# Supervisely


def supervisely(root: Path, **objects: list[Any]) -> None:
    text(root / "meta.json", {"classes": [{"title": "dog", "color": "#112233"}, {"title": "cat", "color": "#445566"}]})
    for name, of in objects.items():
        split, _, stem = name.partition("_")
        save(root / split / "img" / f"{stem}.png")
        content = {"size": {"height": HEIGHT, "width": WIDTH}, "objects": of}
        text(root / split / "ann" / f"{stem}.png.json", content)


def thing(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"classTitle": name, "geometryType": kind} | more


def test_polygons_rectangles_and_bitmaps_of_supervisely(tmp_path: Path) -> None:
    data = base64.b64encode(zlib.compress(png(np.full((3, 7), 255, np.uint8)))).decode()
    square = {"exterior": [[0, 0], [9, 0], [9, 7], [0, 7]], "interior": [[[2, 2], [7, 2], [7, 5], [2, 5]]]}
    supervisely(
        tmp_path,
        train_a=[thing("cat", "bitmap", bitmap={"data": data, "origin": [2, 1]})],
        train_b=[thing("dog", "polygon", points=square), thing("cat", "point", points={"exterior": [[1, 1]]})],
        val_c=[thing("dog", "rectangle", points={"exterior": [[3, 6], [0, 3]], "interior": []})],
    )
    dataset = opened(tmp_path, "supervisely")
    assert dataset.classes.names == ("background", "dog", "cat")
    assert {split: [s.name for s in of] for split, of in dataset.splits.items()} == {
        "train": ["train/a", "train/b"],
        "val": ["c"],
    }
    assert mask(dataset) == (2 * CAT).tolist()
    hole = np.ones((HEIGHT, WIDTH), np.uint8)
    hole[2:6, 2:8] = 0
    assert mask(dataset, i=1) == hole.tolist()
    assert mask(dataset, "val") == DOG.tolist()
    assert dataset.notes == ("1 objects of the type point are left out",)


def test_what_is_wrong_in_supervisely_is_a_problem_each(tmp_path: Path) -> None:
    supervisely(
        tmp_path,
        train_a=[
            thing("cow", "rectangle", points={"exterior": [[0, 0], [1, 1]]}),
            thing("cat", "polygon", points={"exterior": [[0, 0], [1, 1]]}),
            thing("cat", "bitmap", bitmap={"data": "AAAA", "origin": [0, 0]}),
            {"geometryType": "polygon"},
        ],
    )
    save(tmp_path / "train" / "img" / "z.png")
    dataset = open_dataset(tmp_path, make_val=False)
    said = " ".join(dataset.problems)
    assert len(dataset.problems) == 4
    for part in ("has 2 points where 3 are needed", "bitmap that is damaged", "cannot be understood", "labels cow"):
        assert part in said
    assert dataset.notes[0].startswith("1 of 2 images in")


# mmsegmentation: no classes in the data, so that it is read as folders are


def test_mmsegmentations_folders(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for k in range(3):
            save(tmp_path / "img_dir" / split / f"{k}.jpg")
            save(tmp_path / "ann_dir" / split / f"{k}.png", BOTH)
    dataset = open_dataset(tmp_path)
    assert dataset.format == "folder"
    assert {split: len(of) for split, of in dataset.splits.items()} == {"train": 3, "val": 3}
    assert mask(dataset, "val") == BOTH.tolist()
