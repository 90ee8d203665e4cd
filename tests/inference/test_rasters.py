"""Rasters in, rasters out: the labels of the array, at the same place on earth, whatever happens on the way."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.classes import IGNORE
from pyramid_attention.images import open_raster
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.rasters import RasterReader, segment_raster
from pyramid_attention.inference.row_store import RowStore
from support import UTM, geotiff

rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
zarr = pytest.importorskip("zarr", reason="needs the extra micro")
cogeo = pytest.importorskip("rio_cogeo")

SIZE = 420, 330


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load(tile=128, overlap=64, max_size=0)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """A drawn scene, smooth enough for a network to see something: 3×H×W."""
    small = np.random.default_rng(4).integers(0, 256, (14, 11, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(SIZE[::-1], Image.Resampling.BICUBIC)).transpose(2, 0, 1)


@pytest.fixture(scope="module")
def expected(segmenter: Segmenter, pixels: np.ndarray) -> np.ndarray:
    labels = segmenter(np.ascontiguousarray(pixels.transpose(1, 2, 0))).labels
    assert len(np.unique(labels)) > 2
    return labels


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.mark.parametrize("begin", [0, 1, 63, 100, 127, 128, 200, 256, 333, 419])
def test_rows_can_begin_anywhere_and_stay_the_same(
    segmenter: Segmenter, pixels: np.ndarray, expected: np.ndarray, begin: int
) -> None:
    class Reader(RasterReader):
        """An array as a raster's bands."""

    reader = Reader(_Array(pixels))
    found = list(segmenter.rows(reader, begin=begin))
    assert found[0].top <= begin < found[0].top + len(found[0].labels)
    np.testing.assert_array_equal(np.concatenate([rows.labels for rows in found]), expected[found[0].top :])


class _Array:
    """B×H×W in memory as a raster without a place."""

    path, place, nodata = Path("array"), None, None

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.bands = tuple("123")
        self.height, self.width = values.shape[1:]
        self.dtype = values.dtype

    def read(self, rows, columns, bands=None):
        chosen = self.values if bands is None else self.values[list(bands)]
        return np.ascontiguousarray(chosen[:, slice(*rows), slice(*columns)].transpose(1, 2, 0))

    def valid(self, rows, columns):
        return None

    def close(self) -> None:
        pass


def test_the_labels_of_the_array_on_the_rasters_grid(
    tmp_path: Path, segmenter: Segmenter, pixels: np.ndarray, expected: np.ndarray
) -> None:
    raster = open_raster(geotiff(tmp_path / "scene.tif", pixels, photometric="RGB"))
    out = tmp_path / "out"
    result = segment_raster(segmenter, raster, out / "scene.tif", confidence=out / "scene_confidence.tif")
    assert result.damaged == ()
    np.testing.assert_array_equal(read(result.labels), expected)
    assert cogeo.cog_validate(str(result.labels), strict=True)[0]
    with rasterio.open(result.labels) as file:
        assert tuple(file.transform)[:6] == UTM
        assert file.crs == rasterio.CRS.from_epsg(32632)
        assert file.nodata == IGNORE
        colours = [file.colormap(1)[value][:3] for value in range(len(segmenter.classes))]
    assert colours == list(segmenter.classes.colours)
    sure = segmenter(np.ascontiguousarray(pixels.transpose(1, 2, 0)), with_confidence=True).confidence
    np.testing.assert_array_equal(read(result.confidence), np.rint(sure * 255).astype(np.uint8))
    assert sorted(path.name for path in out.iterdir()) == ["scene.tif", "scene_confidence.tif"]


def test_where_the_raster_holds_no_data_the_labels_hold_none(
    tmp_path: Path, segmenter: Segmenter, pixels: np.ndarray
) -> None:
    holed = pixels.clip(1)
    holed[:, 100:180, 50:90] = 0
    raster = open_raster(geotiff(tmp_path / "a.tif", holed, nodata=0))
    labels = read(segment_raster(segmenter, raster, tmp_path / "out" / "a.tif").labels)
    np.testing.assert_array_equal(labels == IGNORE, (holed == 0).all(axis=0))


def test_a_run_that_is_killed_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, segmenter: Segmenter, pixels: np.ndarray
) -> None:
    raster = open_raster(geotiff(tmp_path / "a.tif", pixels))
    whole = segment_raster(segmenter, raster, tmp_path / "whole" / "a.tif").labels.read_bytes()

    class Killed(BaseException):
        pass

    def kill(rows: int) -> None:
        raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            segment_raster(segmenter, raster, tmp_path / "out" / "a.tif", on_rows=kill)
    done: list[int] = []
    result = segment_raster(segmenter, raster, tmp_path / "out" / "a.tif", on_rows=done.append)
    assert 0 < done[0] < SIZE[0]
    assert sum(done) == SIZE[0]
    assert result.labels.read_bytes() == whole
    assert os.listdir(tmp_path / "out") == ["a.tif"]


def test_rows_of_another_model_or_raster_are_not_used(tmp_path: Path) -> None:
    rows = np.arange(40, dtype=np.uint8).reshape(1, 4, 10)
    store = RowStore(tmp_path / "rows", {"model": 1}, 10)
    store.append(rows)
    assert RowStore(tmp_path / "rows", {"model": 1}, 10).height == 4
    np.testing.assert_array_equal(next(RowStore(tmp_path / "rows", {"model": 1}, 10).read(0)), rows[0])
    assert RowStore(tmp_path / "rows", {"model": 2}, 10).height == 0


def test_a_corrupt_part_becomes_nodata_and_is_told_and_the_rest_is_done(
    tmp_path: Path, segmenter: Segmenter, pixels: np.ndarray
) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = geotiff(tmp_path / "a.tif", pixels, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[0].dataoffsets[8], file.pages[0].databytecounts[8]  # row 1 of 6 a row, place 2
    data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    result = segment_raster(segmenter, open_raster(path), tmp_path / "out" / "a.tif")
    assert len(result.damaged) >= 1
    assert "a.tif is damaged in rows" in result.damaged[0]
    hole = read(result.labels) == IGNORE
    assert hole[64:128, 128:192].all()
    assert hole.sum() <= 4 * 64 * 64


def test_ome_zarr_in_ome_zarr_out(
    tmp_path: Path, segmenter: Segmenter, pixels: np.ndarray, expected: np.ndarray
) -> None:
    root = zarr.create_group(tmp_path / "a.zarr")
    root.create_array("0", data=np.ascontiguousarray(pixels), chunks=(3, 64, 64))
    axes = [{"name": name} for name in "cyx"]
    root.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    result = segment_raster(segmenter, open_raster(tmp_path / "a.zarr"), tmp_path / "out" / "a.zarr")
    group = zarr.open_group(str(result.labels), mode="r")
    np.testing.assert_array_equal(group["0"][:], expected)
    again = open_raster(result.labels)
    np.testing.assert_array_equal(again.read((0, SIZE[0]), (0, SIZE[1]))[..., 0], expected)


def test_levels_of_ome_zarr_have_every_second_pixel(tmp_path: Path) -> None:
    from pyramid_attention.images.ome_zarr import write_ome_zarr

    labels = np.random.default_rng(0).integers(0, 9, (1200, 700), dtype=np.uint8)
    (tmp_path / "a.zarr").mkdir()
    write_ome_zarr(tmp_path / "a.zarr", (labels[top : top + 111] for top in range(0, 1200, 111)), labels.shape, "a")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    for level in range(3):
        np.testing.assert_array_equal(group[str(level)][:], labels[:: 1 << level, :: 1 << level])


def test_a_resized_raster_is_the_mean_of_its_pixels() -> None:
    values = np.random.default_rng(1).integers(0, 65536, (2, 512, 640), dtype=np.uint16)
    small = RasterReader(_Array(values)).resized(32, 40)
    exact = values.reshape(2, 32, 16, 40, 16).mean(axis=(2, 4)).transpose(1, 2, 0)
    assert small.dtype == np.uint16
    assert abs(small.astype(float) - exact).mean() < 0.05 * exact.std() + 900


@pytest.mark.parametrize("size", [(4000, 383), (191, 4095)])
def test_a_resized_raster_is_not_shifted_where_its_size_is_no_multiple(size: tuple[int, int]) -> None:
    rows, columns = np.indices(size, dtype=np.float32) + 0.5
    small = RasterReader(_Array(np.stack([rows, columns]))).resized(32, 32)
    for band, side, places in ((0, size[0], small[:, 16, 0]), (1, size[1], small[16, :, 1])):
        middles = (np.arange(32) + 0.5) * side / 32
        np.testing.assert_allclose(places[1:-1], middles[1:-1], atol=0.03 * side / 32, err_msg=f"band {band}")
