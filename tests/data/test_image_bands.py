"""Folders whose images are rasters of any bands and types, with masks as anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.cli import main
from pyramid_attention.data import open_dataset
from pyramid_attention.data.reading import Reading
from pyramid_attention.errors import UserError
from pyramid_attention.images import RGB
from support import geotiff

rasterio = pytest.importorskip("rasterio")


def tiles(root: Path, count: int = 6, bands: int = 5, dtype: str = "uint16") -> dict[str, np.ndarray]:
    """A folder of images H×W×B and masks in two classes; what the images hold, by name."""
    draw = np.random.default_rng(bands)
    values = {}
    (root / "masks").mkdir(parents=True)
    (root / "images").mkdir()
    for number in range(count):
        image = draw.integers(0, 3000, (24, 40, bands)).astype(dtype)
        geotiff(root / "images" / f"t{number}.tif", image.transpose(2, 0, 1))
        mask = np.zeros((24, 40), np.uint8)
        mask[number : 12 + number] = 1
        Image.fromarray(mask).save(root / "masks" / f"t{number}.png")
        values[f"t{number}"] = image
    return values


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_images_have_the_bands_and_type_of_their_files(tmp_path: Path, dtype: str) -> None:
    values = tiles(tmp_path, dtype=dtype)
    dataset = open_dataset(tmp_path)
    assert (len(dataset.bands), dataset.bands.dtype) == (5, dtype)
    samples = [sample for split in dataset.splits.values() for sample in split]
    assert len(samples) == 6
    for sample in samples:
        np.testing.assert_array_equal(sample.read_image(), values[sample.name])
        assert sample.read_mask().shape == (24, 40)


def test_bands_are_chosen_by_number_in_any_order(tmp_path: Path) -> None:
    values = tiles(tmp_path)
    dataset = open_dataset(tmp_path, reading=Reading(bands=("4", "1")))
    assert dataset.bands.names == ("4", "1")
    assert dataset.reading.bands == ("4", "1")
    for sample in dataset.splits["train"]:
        np.testing.assert_array_equal(sample.read_image(), values[sample.name][..., [3, 0]])
    with pytest.raises(UserError, match="has no band '9'"):
        open_dataset(tmp_path, reading=Reading(bands=("9",)))


def test_eight_bits_in_colour_or_grey_stay_images_in_rgb(tmp_path: Path) -> None:
    for bands in (1, 3):
        values = tiles(tmp_path / str(bands), bands=bands, dtype="uint8")
        dataset = open_dataset(tmp_path / str(bands))
        assert dataset.bands == RGB
        for sample in dataset.splits["train"]:
            np.testing.assert_array_equal(sample.read_image(), np.broadcast_to(values[sample.name], (24, 40, 3)))


def test_bands_of_images_in_rgb_cannot_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number in range(4):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / "images" / f"{number}.jpg")
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    with pytest.raises(UserError, match="holds images in RGB, and bands= asks for 1, 2"):
        open_dataset(tmp_path, reading=Reading(bands=("1", "2")))


def test_an_image_of_other_bands_than_the_rest_is_told_where_it_is_read(tmp_path: Path) -> None:
    tiles(tmp_path)
    geotiff(tmp_path / "images" / "t3.tif", np.zeros((4, 24, 40), np.uint16))
    samples = [sample for split in open_dataset(tmp_path).splits.values() for sample in split]
    (other,) = [sample for sample in samples if sample.name == "t3"]
    with pytest.raises(UserError, match=r"t3\.tif has 4 bands of uint16"):
        other.read_image()


def test_arrays_of_numpy_are_images_where_a_pattern_says_so(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    values = np.random.default_rng(0).normal(size=(3, 8, 9, 4)).astype(np.float32)
    for number, image in enumerate(values):
        np.save(tmp_path / "images" / f"{number}.npy", image)
        Image.fromarray(np.eye(8, 9, dtype=np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    reading = Reading(images="images/{id}.npy", masks="masks/{id}.png")
    dataset = open_dataset(tmp_path, reading=reading, make_val=False)
    assert (len(dataset.bands), dataset.bands.dtype) == (4, "float32")
    found = [sample.read_image() for sample in dataset.splits["train"]]
    np.testing.assert_array_equal(found, values)


def test_an_image_in_rgb_among_others_is_refused_by_name(tmp_path: Path) -> None:
    tiles(tmp_path)
    (tmp_path / "images" / "t3.tif").unlink()
    Image.new("RGB", (40, 24)).save(tmp_path / "images" / "t3.jpg")
    samples = [sample for split in open_dataset(tmp_path).splits.values() for sample in split]
    (other,) = [sample for sample in samples if sample.name == "t3"]
    with pytest.raises(UserError, match=r"t3\.jpg is an image in RGB, and others of the data set have 5 bands"):
        other.read_image()


def test_images_that_look_alike_stay_together_in_any_bands(tmp_path: Path) -> None:
    tiles(tmp_path)
    copy = (tmp_path / "images" / "t0.tif").read_bytes()
    for number in range(1, 4):
        (tmp_path / "images" / f"t{number}.tif").write_bytes(copy)
    splits = open_dataset(tmp_path, reading=Reading(group="auto", val=0.4)).splits
    names = [{sample.name for sample in splits[split]} for split in ("train", "val")]
    assert sum(bool(part & {"t0", "t1", "t2", "t3"}) for part in names) == 1


def test_they_are_not_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiles(tmp_path / "data")
    assert main(["data", "convert", str(tmp_path / "data"), str(tmp_path / "copy")]) == 2
    assert "holds images of 5 bands of uint16" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_they_are_trained_exported_evaluated_and_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiles(tmp_path / "data")
    data, run, file = (str(tmp_path / name) for name in ("data", "run", "five.onnx"))
    small = ["train.epochs=1", "model.backbone=test_resnet", "model.pretrained=false", "data.crop=[32,32]"]
    fields = [word for field in [*small, "train.batch_size=2", "data.workers=0"] for word in ("--set", field)]
    assert main(["train", data, "--out", run, "--device", "cpu", *fields]) == 0
    assert main(["export", run, "--out", file]) == 0
    capsys.readouterr()
    scores = []
    for model in (run, file):
        assert main(["eval", data, "--model", model, "--split", "train", "--device", "cpu"]) == 0
        scores.append([line for line in capsys.readouterr().out.splitlines() if line.startswith("mIoU")])
    assert scores[0] == scores[1]
    assert main(["predict", f"{data}/images", "--model", file, "--out", str(tmp_path / "out")]) == 0
    with rasterio.open(tmp_path / "out" / "t0.tif") as found:
        assert (found.height, found.width, found.dtypes) == (24, 40, ("uint8",))
    for name, other, says in (
        ("four", {"bands": 4}, "has no band '5'"),
        ("signed", {"dtype": "int16"}, "the model takes images of 5 bands of uint16 (1, 2, 3, 4, 5), and "),
    ):
        tiles(tmp_path / name, **other)
        assert main(["eval", str(tmp_path / name), "--model", file, "--split", "train"]) == 2
        assert says in capsys.readouterr().err
