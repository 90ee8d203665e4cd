"""Images and rasters into one folder: what is refused before the first is read, and polygons of the one there is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.test_predict import Brightness
from pyramid_attention.errors import UserError
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.predict_files import predict_files
from pyramid_attention.inference.sources import find_images
from support import geotiff


def half_bright(path: Path) -> Path:
    pixels = np.zeros((40, 50, 3), np.uint8)
    pixels[:, 20:] = 255
    Image.fromarray(pixels).save(path)
    return path


def run(inputs: list[Path], out: Path, **options):
    return predict_files(Segmenter(Brightness()), find_images(inputs, out), out, **options)


def test_polygons_of_an_image_are_its_regions_in_pixels(tmp_path):
    image = half_bright(tmp_path / "a.png")
    for _ in range(2):  # the second time they are ours, and made anew
        assert run([image], tmp_path / "out", polygons=tmp_path / "x" / "regions.geojson").done == 1
    content = json.loads((tmp_path / "x" / "regions.geojson").read_text())
    assert {one["properties"]["name"]: one["properties"]["area"] for one in content["features"]} == {
        "dark": 800,
        "bright": 1200,
    }


def test_polygons_that_are_not_ours_are_refused_before_anything_is_done(tmp_path):
    image, mine = half_bright(tmp_path / "a.png"), tmp_path / "regions.geojson"
    mine.write_text("mine")
    with pytest.raises(UserError, match=r"holds 1 file that would be overwritten .*: \.\./regions\.geojson; choose"):
        run([image], tmp_path / "out", polygons=mine)
    assert (mine.read_text(), (tmp_path / "out").exists()) == ("mine", False)
    run([image], tmp_path / "out", polygons=mine, overwrite=True)
    assert json.loads(mine.read_text())["type"] == "FeatureCollection"


def test_polygons_are_of_one_image_in_a_known_format(tmp_path):
    images = [half_bright(tmp_path / name) for name in ("a.png", "b.png")]
    with pytest.raises(UserError, match=r"takes the regions of one image, .*; there are 2 images"):
        run(images, tmp_path / "out", polygons=tmp_path / "x.geojson")
    with pytest.raises(UserError, match=r"x\.shp takes the regions of one image, in a file \.geojson or"):
        run(images[:1], tmp_path / "out", polygons=tmp_path / "x.shp")


def test_a_raster_whose_result_is_in_the_way_is_refused_before_the_images_are_done(tmp_path):
    pytest.importorskip("rasterio")
    (tmp_path / "in").mkdir()
    half_bright(tmp_path / "in" / "a.png")
    geotiff(tmp_path / "in" / "b.tif", np.zeros((3, 40, 50), np.uint8))
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.tif").write_text("mine")
    with pytest.raises(UserError, match=r"holds 1 file that would be overwritten .*: b\.tif;"):
        run([tmp_path / "in"], out)
    assert [path.name for path in out.iterdir()] == ["b.tif"]
    (out / "b.tif").unlink()
    assert run([tmp_path / "in"], out).done == 2
    assert {path.name for path in out.glob("[!.]*")} == {"a.png", "b.tif"}
