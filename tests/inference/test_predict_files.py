"""Images and rasters into one folder: what is refused before the first is read, and polygons of the one there is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.test_predict import Brightness
from pyramid_attention.errors import UserError
from pyramid_attention.images import open_raster
from pyramid_attention.inference import Segmenter, rasters
from pyramid_attention.inference.predict_files import predict_files
from pyramid_attention.inference.sinks import FileSink
from pyramid_attention.inference.sources import find_images, version_of
from support import geotiff


class Saved(Brightness):
    """As loaded from a file: what it makes can be told from what others make."""

    info = replace(Brightness.info, weights_sha256="0")


def half_bright(path: Path) -> Path:
    pixels = np.zeros((40, 50, 3), np.uint8)
    pixels[:, 20:] = 255
    Image.fromarray(pixels).save(path)
    return path


def run(inputs: list[Path], out: Path, **options):
    return predict_files(Segmenter(Saved()), find_images(inputs, out), out, **options)


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
    with pytest.raises(UserError, match=r"takes the regions of one image, and there are 2; name one"):
        run(images, tmp_path / "out", polygons=tmp_path / "x.geojson")
    with pytest.raises(UserError, match=r"x\.shp is to be a file \.geojson or"):
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


def test_polygons_lie_where_they_are_named_where_the_folder_is_a_link(tmp_path):
    (tmp_path / "deep" / "real").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "real")
    run([half_bright(tmp_path / "a.png")], tmp_path / "link", polygons=tmp_path / "regions.geojson")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "deep", "link", "regions.geojson"]


def test_rows_that_a_killed_run_left_are_not_those_of_another_way_to_run_the_model(tmp_path, monkeypatch):
    pytest.importorskip("rasterio")
    raster = geotiff(tmp_path / "a.tif", np.random.default_rng(0).integers(120, 137, (3, 40, 50), dtype=np.uint8))
    engine = Saved()

    def confidence(out: Path, **options) -> bytes:
        predict_files(Segmenter(engine, **options), find_images([raster]), out, confidence=True)
        return (out / "a_confidence.tif").read_bytes()

    once, averaged = (confidence(tmp_path / name, tta=name == "averaged") for name in ("once", "averaged"))
    assert once != averaged
    with monkeypatch.context() as patch:
        patch.setattr(rasters, "_write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            confidence(tmp_path / "out", tta=True)
    assert confidence(tmp_path / "out") == once


def test_a_raster_that_a_partner_failed_at_does_not_stop_the_others(tmp_path):
    pytest.importorskip("rasterio")
    files = [geotiff(tmp_path / name, np.zeros((3, 40, 50), np.uint8)) for name in ("a.tif", "b.tif")]
    segmenter, source = Segmenter(Saved()), find_images(files)
    with FileSink(tmp_path / "out", rasters.raster_outputs(".tif", False), made_by=segmenter.identity) as partner:
        partner.claim(source.items[0])
        partner.give_up(source.items[0], "a.tif is damaged")
        summary = predict_files(segmenter, source, tmp_path / "out")
    assert (summary.done, summary.failed) == (1, [(str(files[0]), "a.tif is damaged")])


def test_an_ome_zarr_is_done_or_made_anew_or_refused_as_a_file_is(tmp_path):
    zarr = pytest.importorskip("zarr")
    values = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    zarr.save_array(str(tmp_path / "a.zarr"), values)
    out = tmp_path / "out"
    first = run([tmp_path / "a.zarr"], out)
    written = (out / "a.zarr" / "zarr.json").stat().st_mtime_ns
    assert first.done == run([tmp_path / "a.zarr"], out, resume=True).done == 1
    assert (out / "a.zarr" / "zarr.json").stat().st_mtime_ns == written
    assert run([tmp_path / "a.zarr"], out).done == 1
    assert (out / "a.zarr" / "zarr.json").stat().st_mtime_ns != written
    labels = zarr.open(str(out / "a.zarr"), mode="r")["0"][:]
    np.testing.assert_array_equal(labels, Segmenter(Saved())(values).labels)
    zarr.save_array(str(tmp_path / "mine" / "a.zarr"), values)
    with pytest.raises(UserError, match=r"holds 1 file that would be overwritten .*: a\.zarr;"):
        run([tmp_path / "a.zarr"], tmp_path / "mine")
    with pytest.raises(UserError, match=r"would overwrite the image"):
        run([tmp_path / "a.zarr"], tmp_path, overwrite=True)
    np.testing.assert_array_equal(zarr.open(str(tmp_path / "a.zarr"), mode="r")[:], values)


def zarr_of(path: Path, level: int) -> Path:
    zarr = pytest.importorskip("zarr")
    group = zarr.create_group(path, overwrite=True)
    group.create_array("0", data=np.full((3, 40, 50), level, np.uint8))
    axes = [{"name": name} for name in "cyx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    return path


def labels_of(path: Path) -> set[int]:
    return set(np.unique(open_raster(path).read((0, 40), (0, 50))).tolist())


def test_a_zarr_result_is_ours_as_any_other(tmp_path):
    pytest.importorskip("rasterio")
    image, out = zarr_of(tmp_path / "a.zarr", 0), tmp_path / "out"
    (out / "a.zarr").mkdir(parents=True)
    (out / "a.zarr" / "mine").write_text("mine")
    for options in ({}, {"overwrite": True}):  # which is for files alone
        with pytest.raises(UserError, match=r"holds 1 file that would be overwritten .*: a\.zarr;"):
            run([image], out, **options)
    (out / "a.zarr" / "mine").unlink()
    (out / "a.zarr").rmdir()

    assert run([image], out, confidence=True).done == 1
    assert {path.name for path in out.glob("[!.]*")} == {"a.zarr", "a_confidence.tif"}
    assert labels_of(out / "a.zarr") == {0}
    before = (out / "a.zarr" / "zarr.json").stat().st_mtime_ns
    run([image], out, confidence=True, resume=True)
    assert (out / "a.zarr" / "zarr.json").stat().st_mtime_ns == before
    zarr_of(image, 255)
    run([image], out, confidence=True, resume=True)
    assert labels_of(out / "a.zarr") == {1}

    (out / "a.zarr" / "0" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"changed since: a\.zarr;"):
        run([image], out, confidence=True)
    assert (out / "a.zarr" / "0" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["雪" * 80, "x" * 240])
def test_a_raster_with_a_long_name(tmp_path, name):
    pytest.importorskip("rasterio")
    geotiff(tmp_path / f"{name}.tif", np.zeros((3, 40, 50), np.uint8))
    assert run([tmp_path / f"{name}.tif"], tmp_path / "out").failed == []
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == [f"{name}.tif"]


def test_an_image_of_several_files_is_another_when_one_of_them_changes(tmp_path):
    for name in ("red", "green"):
        (tmp_path / f"{name}.tif").write_bytes(b"1")
    folder = tmp_path / "a.zarr" / "0"
    folder.mkdir(parents=True)
    (folder / "c").write_bytes(b"1")
    for image, part in ((tmp_path / "{band}.tif", tmp_path / "green.tif"), (tmp_path / "a.zarr", folder / "c")):
        before = version_of(image)
        assert version_of(image) == before
        part.write_bytes(b"12")
        assert version_of(image) != before


def test_labels_of_other_bands_are_not_what_resume_asks_for(tmp_path):
    pytest.importorskip("rasterio")
    values = np.zeros((3, 40, 50), np.uint8)
    values[0] = 255
    raster = geotiff(tmp_path / "a.tif", values)
    for bands, label in (([1, 2, 3], 1), ([3, 2, 1], 0), (["1", "2", "3"], 1)):
        assert run([raster], tmp_path / "out", bands=bands, resume=True).done == 1
        assert set(np.unique(Image.open(tmp_path / "out/a.tif"))) == {label}
    made = (tmp_path / "out/a.tif").stat().st_mtime_ns
    run([raster], tmp_path / "out", bands=[1, 2, 3], resume=True)
    assert (tmp_path / "out/a.tif").stat().st_mtime_ns == made


def test_bands_of_an_image_cannot_be_chosen(tmp_path):
    with pytest.raises(UserError, match="bands= chooses among those of rasters, and there is none"):
        run([half_bright(tmp_path / "a.png")], tmp_path / "out", bands=[1, 2, 3])
    assert not (tmp_path / "out").exists()
