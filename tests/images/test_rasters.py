"""Images by windows: every library's reading equals its own, and what cannot be read says so in one line."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pyramid_attention.errors import UserError
from pyramid_attention.images import band_indices, is_raster, open_raster
from support import UTM, geotiff

rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
tifffile = pytest.importorskip("tifffile", reason="needs the extra micro")
zarr = pytest.importorskip("zarr", reason="needs the extra micro")
from rasterio.transform import Affine  # noqa: E402

ODD = Path(__file__).parents[3] / "shared" / "fields" / "raster" / "odd"
SENTINEL = ODD.parent / "sentinel2"


def values(dtype: str, count: int, seed: int = 0, size: tuple[int, int] = (37, 53)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return rng.normal(0, 1000, (count, *size)).astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return rng.integers(low, high, (count, *size), dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_geotiff_is_read_as_stored(tmp_path: Path, dtype: str, count: int) -> None:
    stored = values(dtype, count)
    raster = open_raster(geotiff(tmp_path / "a.tif", stored))
    assert (raster.height, raster.width, raster.dtype) == (37, 53, np.dtype(dtype))
    assert len(raster.bands) == count
    np.testing.assert_array_equal(raster.read((0, 37), (0, 53)), stored.transpose(1, 2, 0))
    assert raster.place is not None
    assert raster.place.transform == UTM
    assert raster.place.resolution() == (10, 10)
    assert rasterio.crs.CRS.from_wkt(raster.place.crs) == rasterio.crs.CRS.from_epsg(32632)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_window_is_the_part_of_the_whole(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    stored = values("uint16", 4)
    path = tmp_path_factory.getbasetemp() / "window.tif"
    if not path.exists():
        geotiff(path, stored, tiled=True, blockxsize=16, blockysize=16)
    raster = open_raster(path)
    top, left = data.draw(st.integers(0, 36)), data.draw(st.integers(0, 52))
    bottom, right = data.draw(st.integers(top + 1, 37)), data.draw(st.integers(left + 1, 53))
    bands = data.draw(st.none() | st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True))
    expected = stored[slice(None) if bands is None else bands, top:bottom, left:right].transpose(1, 2, 0)
    np.testing.assert_array_equal(raster.read((top, bottom), (left, right), bands), expected)


def test_bands_are_called_as_the_file_calls_them(tmp_path: Path) -> None:
    named = open_raster(geotiff(tmp_path / "named.tif", values("uint16", 3), names=["B04", "B08", "B11"]))
    assert named.bands == ("B04", "B08", "B11")
    assert open_raster(geotiff(tmp_path / "rgb.tif", values("uint8", 3), photometric="RGB")).bands == (
        "red",
        "green",
        "blue",
    )
    assert open_raster(geotiff(tmp_path / "plain.tif", values("int16", 2))).bands == ("1", "2")


def test_alpha_says_where_there_is_data_and_is_no_band(tmp_path: Path) -> None:
    stored = values("uint8", 4)
    stored[3] = np.where(np.arange(53) < 20, 0, 255)
    raster = open_raster(geotiff(tmp_path / "a.tif", stored, photometric="RGB", alpha="YES"))
    assert len(raster.bands) == 3
    valid = raster.valid((0, 37), (0, 53))
    np.testing.assert_array_equal(valid, np.broadcast_to(np.arange(53) >= 20, (37, 53)))


def test_nodata_and_nan_are_no_data(tmp_path: Path) -> None:
    stored = values("int16", 1)
    stored[0, 3:5] = -9999
    raster = open_raster(geotiff(tmp_path / "a.tif", stored, nodata=-9999))
    assert raster.nodata == -9999
    np.testing.assert_array_equal(raster.valid((0, 37), (0, 53)), stored[0] != -9999)
    floats = values("float32", 2)
    floats[1, 7, 9] = np.nan
    valid = open_raster(geotiff(tmp_path / "b.tif", floats)).valid((0, 37), (0, 53))
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[7, 9]]
    assert open_raster(geotiff(tmp_path / "c.tif", values("uint8", 1))).valid((0, 37), (0, 53)) is None


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    indices = values("uint8", 1) % 5
    table = {0: (1, 2, 3, 255), 1: (40, 50, 60, 255), 2: (255, 0, 0, 255), 3: (9, 9, 9, 255), 4: (0, 0, 200, 255)}
    path = geotiff(tmp_path / "a.tif", indices, photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, table)
    raster = open_raster(path)
    expected = np.array([table[value][:3] for value in range(5)], np.uint8)[indices[0]]
    np.testing.assert_array_equal(raster.read((0, 37), (0, 53)), expected)
    np.testing.assert_array_equal(raster.read((2, 9), (1, 4), [2]), expected[2:9, 1:4, 2:])


@pytest.mark.parametrize("dtype", ["complex64", "int32", "uint32", "int64"])
def test_other_types_are_refused_in_one_line(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(UserError, match=rf"a\.tif holds values of type {dtype}.*gdal_translate"):
        open_raster(geotiff(tmp_path / "a.tif", np.zeros((1, 8, 8), dtype)))


def test_float64_is_rounded_to_float32(tmp_path: Path) -> None:
    stored = values("float64", 1)
    np.testing.assert_array_equal(
        open_raster(geotiff(tmp_path / "a.tif", stored)).read((0, 37), (0, 53))[..., 0], stored[0].astype(np.float32)
    )


def test_without_a_place_and_rotated(tmp_path: Path) -> None:
    assert open_raster(geotiff(tmp_path / "a.tif", values("uint8", 4), crs=None, transform=None)).place is None
    turned = Affine.translation(5e5, 4.6e6) * Affine.rotation(30) * Affine.scale(10, -10)
    place = open_raster(geotiff(tmp_path / "b.tif", values("uint8", 1), transform=turned)).place
    assert place is not None
    np.testing.assert_allclose(place.transform, tuple(turned)[:6])
    np.testing.assert_allclose(place.resolution(), (10, 10))


def test_a_corrupt_tile_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    stored = values("uint16", 1, size=(64, 64))
    path = geotiff(tmp_path / "a.tif", stored, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[0].dataoffsets[5], file.pages[0].databytecounts[5]
    data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    raster = open_raster(path)
    with pytest.raises(UserError, match=r"a\.tif is damaged in rows 16 to 32, columns 16 to 32"):
        raster.read((16, 32), (16, 32))
    np.testing.assert_array_equal(raster.read((32, 64), (0, 64))[..., 0], stored[0, 32:])


def test_files_of_a_band_each_are_one_scene(tmp_path: Path) -> None:
    stored = values("uint8", 3)
    for name, band in zip(("B2", "B10", "B8A"), stored, strict=True):
        geotiff(tmp_path / f"x_{name}.tif", band[None])
    scene = open_raster(tmp_path / "x_{band}.tif")
    assert scene.bands == ("B2", "B8A", "B10")
    np.testing.assert_array_equal(scene.read((0, 37), (0, 53), [0, 2]), stored[:2].transpose(1, 2, 0))
    geotiff(tmp_path / "x_B1.tif", values("uint8", 1, size=(10, 53)))
    with pytest.raises(UserError, match=r"differ in their size .*gdalbuildvrt"):
        open_raster(tmp_path / "x_{band}.tif")
    with pytest.raises(UserError, match="no file matches"):
        open_raster(tmp_path / "y_{band}.tif")


@pytest.mark.parametrize(("axes", "shape"), [("YX", (20, 30)), ("CYX", (4, 20, 30)), ("YXS", (20, 30, 3))])
def test_ome_tiff(tmp_path: Path, axes: str, shape: tuple[int, ...]) -> None:
    stored = np.random.default_rng(1).integers(0, 65536, shape, dtype=np.uint16)
    names = {"Channel": {"Name": ["DAPI", "GFP", "RFP", "Cy5"]}} if axes == "CYX" else {}
    tifffile.imwrite(tmp_path / "a.ome.tif", stored, metadata={"axes": axes} | names, tile=(16, 16))
    raster = open_raster(tmp_path / "a.ome.tif")
    expected = {"YX": lambda a: a[..., None], "CYX": lambda a: a.transpose(1, 2, 0), "YXS": lambda a: a}[axes](stored)
    np.testing.assert_array_equal(raster.read((0, 20), (0, 30)), expected)
    np.testing.assert_array_equal(raster.read((3, 11), (17, 29)), expected[3:11, 17:29])
    if axes == "CYX":
        assert raster.bands == ("DAPI", "GFP", "RFP", "Cy5")


def test_a_stack_in_time_or_depth_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((3, 8, 9), np.uint8), metadata={"axes": "ZYX"})
    with pytest.raises(UserError, match="ZYX"):
        open_raster(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path: Path, version: str) -> None:
    stored = np.random.default_rng(2).integers(0, 65536, (2, 1, 20, 30), dtype=np.uint16)
    root = zarr.create_group(tmp_path / "a.zarr", zarr_format=2 if version == "0.4" else 3)
    root.create_array("0", data=stored, chunks=(1, 1, 16, 16))
    content = {
        "multiscales": [
            {
                "axes": [{"name": name} for name in "czyx"],
                "datasets": [{"path": "0"}],
            }
        ],
        "omero": {"channels": [{"label": "nuclei"}, {"label": "membrane"}]},
    }
    root.attrs.update(content if version == "0.4" else {"ome": content})
    raster = open_raster(tmp_path / "a.zarr")
    assert raster.bands == ("nuclei", "membrane")
    np.testing.assert_array_equal(raster.read((2, 19), (5, 30)), stored[:, 0, 2:19, 5:30].transpose(1, 2, 0))
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(UserError, match="no OME-Zarr"):
        open_raster(tmp_path / "empty.zarr")


def test_npy(tmp_path: Path) -> None:
    stored = values("float32", 5).transpose(1, 2, 0)
    np.save(tmp_path / "a.npy", stored)
    np.testing.assert_array_equal(open_raster(tmp_path / "a.npy").read((1, 8), (2, 9), [4]), stored[1:8, 2:9, 4:])
    np.save(tmp_path / "b.npy", np.zeros((2, 3, 4, 5)))
    with pytest.raises(UserError, match="axes"):
        open_raster(tmp_path / "b.npy")
    stored = (tmp_path / "a.npy").read_bytes()
    for damaged in (b"\x93NUMPY garbage", stored.replace(b")", b"("), stored.replace(b"descr", b"de\0cr"), stored[:60]):
        (tmp_path / "c.npy").write_bytes(damaged)
        with pytest.raises(UserError, match=r"c\.npy is damaged"):
            open_raster(tmp_path / "c.npy")


def test_what_is_a_raster(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.tif")
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    geotiff(tmp_path / "geo.tif", values("uint8", 3))
    tifffile.imwrite(tmp_path / "deep.tif", np.zeros((8, 8), np.uint16))
    assert [is_raster(tmp_path / name) for name in ("plain.tif", "image.png", "geo.tif", "deep.tif", "{band}.tif")] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_bands_by_name_and_number() -> None:
    names = ("B02", "B03", "B08")
    assert band_indices(None, names, "x") == (0, 1, 2)
    assert band_indices(["B08", 1], names, "x") == (2, 0)
    with pytest.raises(UserError, match=r"x\.tif has no band 'B8': it has 3, B02, B03, B08\. Did you mean 'B08'\?"):
        band_indices(["B8"], names, "x.tif")
    with pytest.raises(UserError, match="no band '4'"):
        band_indices([4], names, "x")
    with pytest.raises(UserError, match="twice"):
        band_indices(["B02", 1], names, "x")


@pytest.mark.skipif(not ODD.is_dir(), reason="the odd rasters are not here")
@pytest.mark.parametrize("path", sorted(ODD.glob("*.tif")), ids=lambda path: path.stem)
def test_odd_files_are_read_as_rasterio_reads_them(path: Path) -> None:
    raster = open_raster(path)
    with rasterio.open(path) as file:
        expected = file.read()
        if file.colorinterp[0].name == "palette":
            table = file.colormap(1)
            expected = np.array([table[value][:3] for value in range(256)], np.uint8)[expected[0]].transpose(2, 0, 1)
        elif file.colorinterp[-1].name == "alpha":
            expected = expected[:-1]
        valid = file.dataset_mask() > 0
    if expected.dtype == np.float64:
        expected = expected.astype(np.float32)
        valid &= ~np.isnan(expected).any(axis=0)
    shape = (0, raster.height), (0, raster.width)
    np.testing.assert_array_equal(raster.read(*shape), expected.transpose(1, 2, 0))
    found = raster.valid(*shape)
    np.testing.assert_array_equal(np.ones_like(valid) if found is None else found, valid)


@pytest.mark.skipif(not SENTINEL.is_dir(), reason="the scene is not here")
def test_a_real_scene_has_its_eight_bands() -> None:
    scene = open_raster(SENTINEL / "{band}.tiff")
    assert scene.bands == tuple(f"B0{number}" for number in range(1, 9))
    assert (scene.height, scene.width) == (2201, 2629)
    assert scene.place is not None
    assert math.isclose(scene.place.resolution()[0], scene.place.resolution()[1], rel_tol=0.5)


def test_pages_that_follow_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    for page in values("uint8", 3):
        tifffile.imwrite(tmp_path / "a.btf", page, append=True, bigtiff=False)
    assert open_raster(tmp_path / "a.btf").height == 37
    content = bytearray((tmp_path / "a.btf").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.btf") as file:
        first, end = file.pages[0].offset, file.pages.next_page_offset
    content[end : end + 4] = first.to_bytes(4, "little")
    (tmp_path / "a.btf").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.btf is damaged or no TIFF \(a page follows itself\)"):
        open_raster(tmp_path / "a.btf")


def test_a_header_that_gdal_complains_of_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = geotiff(tmp_path / "a.tif", values("uint8", 3))
    for error in (rasterio._err.CPLE_AppDefinedError(1, 1, "custom tag 0"), rasterio.errors.CRSError("no CRS")):
        with monkeypatch.context() as patch:
            patch.setattr(rasterio, "open", lambda path, error=error: (_ for _ in ()).throw(error))
            with pytest.raises(UserError, match=r"a\.tif cannot be opened as a raster"):
                open_raster(path)


def test_what_libraries_say_of_a_damaged_raster_does_not_reach_stderr(tmp_path: Path) -> None:
    """In a process of its own: here, pytest takes the logs."""
    tifffile.imwrite(tmp_path / "a.ome.tif", values("uint8", 3), ome=True, metadata={"axes": "CYX"})
    content = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(content[:70] + bytes(range(200, 232)) + content[102:])
    content = geotiff(tmp_path / "b.tif", values("uint8", 3)).read_bytes()
    (tmp_path / "b.tif").write_bytes(content.replace(b"WGS 84 / UTM", b"\xff\xfe\xdf / U\xe9M"))
    code = f"""
import sys
from pathlib import Path
from pyramid_attention.errors import UserError
from pyramid_attention.images import open_raster
for name in ("a.ome.tif", "b.tif"):
    try:
        open_raster(Path({str(tmp_path)!r}) / name).read((0, 8), (0, 8))
    except UserError:
        pass
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
