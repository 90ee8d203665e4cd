"""Five bands of 16 bits from a scene to polygons: trained, exported, run without PyTorch, refused where they differ."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from pyramid_attention.artifacts import load_model, read_info
from pyramid_attention.classes import IGNORE
from pyramid_attention.cli import main
from pyramid_attention.errors import UserError
from pyramid_attention.evaluation import evaluate
from pyramid_attention.export import export
from pyramid_attention.images import Bands, open_raster
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.rasters import segment_raster
from pyramid_attention.models.first_layer import first_layer
from pyramid_attention.training import TrainResult, train
from support import UTM, geotiff

rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")

SIZE = 256, 320
NAMES = ["blue", "green", "red", "nir", "swir"]
MEANS = np.array([[900, 1000, 800, 3000, 1500], [1200, 1100, 1000, 400, 200], [2500, 2600, 2700, 2900, 5000]])
NODATA = 0
LEVELS = ["nir", "red", "swir", "green"]
"""The bands that are trained on."""
FIELDS = {
    "data.crop": [64, 64],
    "data.workers": 0,
    "data.jitter": 0.1,
    "data.noise": 0.02,
    "model.backbone": "test_resnet",
    "model.options.channels": 16,
    "train.batch_size": 8,
    "train.learning_rate": 0.003,
}


def truth() -> np.ndarray:
    """Three classes in patches of 64 pixels."""
    return np.random.default_rng(1).integers(0, 3, (4, 5)).repeat(64, axis=0).repeat(64, axis=1).astype(np.uint8)


def values() -> np.ndarray:
    """5×H×W uint16: each class has its own spectrum; a corner holds no data."""
    noise = np.random.default_rng(2).normal(0, 150, (*SIZE, 5))
    scene = (MEANS[truth()] + noise).clip(1, 65535).astype(np.uint16).transpose(2, 0, 1)
    scene[:, :40, :50] = NODATA
    return scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene, the ids of its classes and what says that they belong together."""
    folder = tmp_path_factory.mktemp("data")
    geotiff(folder / "scene.tif", values(), names=NAMES, nodata=NODATA)
    geotiff(folder / "ids.tif", np.array([3, 5, 8], np.uint8)[truth()][None])
    (folder / "dataset.yaml").write_text(
        "scenes: {image: scene.tif, labels: ids.tif}\nnames: {3: wood, 5: water, 8: town}\nblock: 32\n"
    )
    return folder


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    out = tmp_path_factory.mktemp("runs") / "run"
    fields = {**FIELDS, "data.bands": LEVELS, "data.val": 0.1, "model.pretrained": False}
    return train(folder, "finetune", out=out, epochs=3, device="cpu", fields=fields)


@pytest.fixture(scope="module")
def exported(run: TrainResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(run.folder, tmp_path_factory.mktemp("exported") / "model.onnx").path


def test_a_model_knows_its_bands_and_their_statistics(run: TrainResult, exported: Path) -> None:
    for model in (run.model, exported):
        info = read_info(model)
        assert info.bands == Bands(tuple(LEVELS), "uint16", NODATA)
        chosen = values()[[NAMES.index(name) for name in LEVELS]].reshape(4, -1)
        chosen = chosen[:, (chosen != NODATA).any(axis=0)].astype(np.float64)  # one window is the whole scene
        np.testing.assert_allclose(info.mean, chosen.mean(axis=1), rtol=1e-9)
        np.testing.assert_allclose(info.std, chosen.std(axis=1), rtol=1e-9)
    image = onnx.load(exported).graph.input[0].type.tensor_type
    assert image.elem_type == onnx.TensorProto.UINT16
    assert [dim.dim_value or dim.dim_param for dim in image.shape.dim] == ["batch", "height", "width", 4]


def test_it_learns_and_engines_and_evaluation_agree(run: TrainResult, exported: Path, folder: Path) -> None:
    assert run.best_miou > 0.9
    assert evaluate(folder, str(exported)).metrics()["miou"] == pytest.approx(run.best_miou, abs=2e-3)
    image = values()[[NAMES.index(name) for name in LEVELS]].transpose(1, 2, 0)
    by_torch = Segmenter.load(run.folder)(image).labels
    np.testing.assert_array_equal(Segmenter.load(run.folder)(folder / "scene.tif").labels, by_torch)
    for engine in ("onnxruntime", "openvino"):
        if engine == "openvino":
            pytest.importorskip("openvino")
        assert (Segmenter.load(exported, engine=engine)(image).labels == by_torch).mean() > 0.999


def test_a_raster_in_a_raster_and_polygons_out(exported: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["predict", str(folder / "scene.tif"), "--model", str(exported), "--out", str(out), "--tile", "128"]
    assert main([*words, "--polygons", str(out / "a.geojson")]) == 0
    with rasterio.open(out / "scene.tif") as file:
        labels = file.read(1)
        assert tuple(file.transform)[:6] == UTM
    held = (values() != NODATA).any(axis=0)
    assert (labels[~held] == IGNORE).all()
    assert (labels[held] == truth()[held]).mean() > 0.9
    features = json.loads((out / "a.geojson").read_text())["features"]
    assert {feature["properties"]["name"] for feature in features} == {"wood", "water", "town"}
    for label, name in enumerate(("wood", "water", "town")):
        area = sum(feature["properties"]["area"] for feature in features if feature["properties"]["name"] == name)
        assert area == pytest.approx((labels == label).sum() * 100, rel=0.02)  # pixels of 10 m


def test_other_images_are_refused_by_name(
    exported: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    five = geotiff(tmp_path / "five.tif", values()[:, :64, :64])
    colour = geotiff(tmp_path / "colour.tif", values()[:3, :64, :64].astype(np.uint8), photometric="RGB")
    for path, has in ((five, "5 bands of uint16"), (colour, "3 bands of uint8 (red, green, blue)")):
        assert main(["predict", str(path), "--model", str(exported), "--out", str(tmp_path / "out")]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert has in line
        assert "takes 4 bands of uint16 (nir, red, swir, green)" in line
    order = ["4", "3", "5", "2"]
    words = ["predict", str(five), "--model", str(exported), "--out", str(tmp_path / "named"), "--bands"]
    assert main([*words, ",".join(order)]) == 0
    with pytest.raises(UserError, match=r"H×W×4 uint16 \(nir, red, swir, green\), not uint8"):
        Segmenter.load(exported)(np.zeros((64, 64, 3), np.uint8))
    scene = open_raster(folder / "scene.tif")
    with pytest.raises(UserError, match=r"scene\.tif has 5 bands .* takes 3 bands of uint8 \(red, green, blue\)"):
        segment_raster(Segmenter.load(), scene, tmp_path / "rgb.tif")


def test_a_trained_networks_filters_go_to_the_bands_of_the_same_name(
    run: TrainResult, folder: Path, tmp_path: Path
) -> None:
    fields = {name: value for name, value in FIELDS.items() if not name.startswith("model.")}
    fields |= {"data.bands": [5, 4], "train.learning_rate": 1e-9}
    again = train(folder, "finetune", out=tmp_path / "run", epochs=1, init=str(run.model), device="cpu", fields=fields)
    first, second = (first_layer(load_model(one.model).backbone).weight for one in (run, again))
    torch.testing.assert_close(second, first[:, [LEVELS.index("swir"), LEVELS.index("nir")]] * 2, atol=1e-5, rtol=1e-4)
