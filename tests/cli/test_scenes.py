"""Scenes on the command line: what `pan data inspect` says of one, and one clear line for each that cannot be used."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.cli import main
from support import geotiff

rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")

SIZE = 128, 160


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scene of two bands, a third of it without data, and ids of two classes."""
    values = np.full((2, *SIZE), -99, np.int16)
    values[0, :, 40:] = np.arange(120)
    values[1, :, 40:] = -3
    geotiff(tmp_path / "scene.tif", values, names=["depth", "slope"], nodata=-99)
    ids = np.zeros((1, *SIZE), np.uint8)
    ids[0, :, 100:] = 4
    geotiff(tmp_path / "ids.tif", ids)
    return tmp_path


def test_inspect_says_what_the_bands_hold_and_draws_the_scene(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(folder / "scene.tif"), "--masks", str(folder / "ids.tif"), "--bands", "slope,depth"]
    out = folder / "out"
    assert main(["data", "inspect", *words, "--out", str(out), "--json", str(out / "all.json")]) == 0
    shown = capsys.readouterr().out
    assert "160×128, WGS 84 / UTM zone 32N (EPSG:32632), pixels of 10×10" in shown
    assert "int16, no data (-99) in 25.00% of the pixels" in shown
    assert "band depth: 0 to 119, mean 59.5" in shown
    assert f"pan train {words[0]} --masks {words[2]} --bands slope,depth" in shown
    (scene,) = json.loads((out / "all.json").read_text())["scenes"]
    assert scene["bands"] == {
        "slope": {"low": -3, "high": -3, "mean": -3},
        "depth": {"low": 0, "high": 119, "mean": 59.5},
    }
    picture = np.asarray(Image.open(out / "scene_1.png"))
    assert picture.shape[1] == 160
    assert (out / "samples.png").exists()


def write(folder: Path, name: str, **changes: object) -> str:
    values = np.zeros((1, *SIZE), changes.pop("dtype", np.int16))
    geotiff(folder / name, values, **changes)
    return name


@pytest.mark.parametrize(
    ("scene", "masks", "said"),
    [
        (lambda folder: write(folder, "a.tif", dtype=np.complex64), "ids.tif", "a.tif holds values of type complex64"),
        (lambda folder: write(folder, "a.tif", dtype=np.int32), "ids.tif", "a.tif holds values of type int32"),
        (lambda folder: "scene.tif", None, "scene.tif is one scene; name its labels"),
        (lambda folder: "scene.tif", "none.tif", "none.tif does not exist"),
        (lambda folder: "missing_{band}.tif", "ids.tif", "no file matches"),
        (lambda folder: "scene.tif", "far.geojson", "none of the 3 shapes in"),
        (lambda folder: write(folder, "a.tif", crs=None), "far.geojson", "does not say where on earth it lies"),
        (
            lambda folder: write(folder, "a.tif", transform=rasterio.Affine(5, 0, 5e5, 0, -5, 46e5)),
            "ids.tif",
            "is not on the grid of",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], scene: object, masks: str | None, said: str
) -> None:
    square = [[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]]
    features = [
        {"type": "Feature", "properties": {"kind": kind}, "geometry": {"type": "Polygon", "coordinates": square}}
        for kind in ("wood", "water", "wood")
    ]
    (folder / "far.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    words = ["data", "inspect", str(folder / scene(folder))]
    assert main([*words, *(["--masks", str(folder / masks)] if masks else [])]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scenes: [{image: scene.tif}]", "write its image and its labels"),
        ("scenes: [{image: scene.tif, labels: ids.tif, kind: a}]", "unknown field 'kind'"),
        ("scenes: [{image: scene.tif, labels: 7}]", "labels of a scene is 7"),
        ("scenes: [{image: scene.tif, labels: ids.tif}]\nnames: {0: land}", "holds ids that are no class: 4"),
        ("scenes: [{image: scene.tif, labels: ids.tif}]\nblock: 4", "must be 16 or more"),
        ("scenes: [{image: scene.tif, labels: ids.tif}]\nimages: a", "a data set is of one kind"),
    ],
)
def test_a_dataset_yaml_that_makes_no_sense_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (folder / "dataset.yaml").write_text(text)
    assert main(["data", "inspect", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_bands_of_images_in_rgb_cannot_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, mode in (("images", "RGB"), ("masks", "L")):
        (tmp_path / kind).mkdir()
        Image.new(mode, (32, 32)).save(tmp_path / kind / "a.png")
    (tmp_path / "dataset.yaml").write_text("names: [land, sea]")
    assert main(["data", "inspect", str(tmp_path), "--bands", "red"]) == 2
    assert "holds images in RGB, and --bands asks for red; leave it out" in capsys.readouterr().err


def test_of_several_failures_each_names_the_options_as_the_verb_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        geotiff(tmp_path / f"{name}.tif", np.zeros((4, 32, 32), np.uint16))
    assert main(["predict", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert len(said) == 2
    assert all("to take in this order with --bands" in line for line in said)
