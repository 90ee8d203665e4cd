"""Polygons on earth: they cover the raster without gaps, at the right place, with the right areas."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pyramid_attention.classes import IGNORE, ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.images import Place
from pyramid_attention.inference.polygons import find_regions, merge_small
from pyramid_attention.inference.vectors import write_polygons
from support import UTM

rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
pyogrio = pytest.importorskip("pyogrio", reason="needs the extra geo")
shapely = pytest.importorskip("shapely", reason="needs the extra geo")
from rasterio.features import rasterize  # noqa: E402
from rasterio.transform import Affine  # noqa: E402
from rasterio.warp import transform_geom  # noqa: E402

CLASSES = ClassTable.of(["water", "wood", "town"])
PLACE = Place(rasterio.CRS.from_epsg(32632).to_wkt(), UTM)
LABELS = np.array(
    [
        [0, 0, 0, 1, 1, 1],
        [0, 2, 0, 1, 1, 1],
        [0, 0, 0, 1, 255, 1],
        [2, 2, 2, 2, 2, 1],
    ],
    np.uint8,
)


def burnt(shapes: list[tuple[dict, int]], size: tuple[int, int]) -> np.ndarray:
    return rasterize(shapes, size, fill=IGNORE, transform=Affine(*UTM), dtype="uint8")


def test_geojson_is_in_longitude_and_latitude_and_covers_the_raster(tmp_path: Path) -> None:
    write_polygons(tmp_path / "a.geojson", LABELS, CLASSES, PLACE, tolerance=0)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    back = [
        (transform_geom("EPSG:4326", "EPSG:32632", one["geometry"]), one["properties"]["class"]) for one in features
    ]
    np.testing.assert_array_equal(burnt(back, LABELS.shape), LABELS)
    for one in features:
        shape = shapely.geometry.shape(one["geometry"])
        assert shape.is_valid
        assert shape.exterior.is_ccw  # RFC 7946
        assert one["properties"]["area"] == 100 * one["properties"]["pixels"]  # pixels of 10 m
        assert one["properties"]["name"] == CLASSES.names[one["properties"]["class"]]


def test_geopackage_is_in_the_rasters_own_crs(tmp_path: Path) -> None:
    write_polygons(tmp_path / "a.gpkg", LABELS, CLASSES, PLACE, tolerance=0)
    meta, _, geometries, (labels, names, areas, _) = pyogrio.raw.read(tmp_path / "a.gpkg")
    assert rasterio.CRS.from_string(meta["crs"]) == rasterio.CRS.from_epsg(32632)
    shapes = shapely.from_wkb(geometries)
    pairs = [(shapely.geometry.mapping(shape), int(label)) for shape, label in zip(shapes, labels, strict=True)]
    np.testing.assert_array_equal(burnt(pairs, LABELS.shape), LABELS)
    assert [CLASSES.names[label] for label in labels] == names.tolist()
    np.testing.assert_allclose(areas, shapely.area(shapes))


def test_a_geopackage_of_an_image_is_in_pixels_and_nobody_is_warned(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_polygons(tmp_path / "a.gpkg", LABELS, CLASSES, tolerance=0)
    _, _, geometries, (labels, _, areas, pixels) = pyogrio.raw.read(tmp_path / "a.gpkg")
    shapes = shapely.from_wkb(geometries)
    np.testing.assert_array_equal(areas, pixels)
    np.testing.assert_array_equal(areas, shapely.area(shapes))
    pairs = [(shapely.geometry.mapping(shape), int(label)) for shape, label in zip(shapes, labels, strict=True)]
    drawn = rasterize(pairs, LABELS.shape, fill=IGNORE, transform=Affine.identity(), dtype="uint8")
    np.testing.assert_array_equal(drawn, LABELS)


def test_small_regions_go_to_the_neighbour_they_touch_most() -> None:
    merged = merge_small(LABELS, 2)
    expected = LABELS.copy()
    expected[1, 1] = 0
    np.testing.assert_array_equal(merged, expected)


@given(
    labels=arrays(
        np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2, 255])
    ),
    least=st.integers(1, 20),
)
@settings(max_examples=80, deadline=None)
def test_after_merging_no_small_region_has_a_neighbour_to_go_to(labels: np.ndarray, least: int) -> None:
    merged = merge_small(labels, least)
    np.testing.assert_array_equal(merged == IGNORE, labels == IGNORE)
    regions = find_regions(merged)
    sizes = np.bincount(regions.ravel())
    framed = np.pad(merged, 1, constant_values=IGNORE)
    for region in np.flatnonzero(sizes < least):
        for row, column in np.argwhere(regions == region):
            label = merged[row, column]
            if label != IGNORE:
                around = framed[row : row + 3, column : column + 3]
                beside = {around[0, 1], around[2, 1], around[1, 0], around[1, 2]}
                assert beside <= {label, IGNORE}


def test_an_area_is_in_the_crs_units(tmp_path: Path) -> None:
    write_polygons(tmp_path / "a.gpkg", LABELS, CLASSES, PLACE, min_area=150, tolerance=0)
    _, _, _, (labels, _, areas, _) = pyogrio.raw.read(tmp_path / "a.gpkg")
    assert sorted(zip(labels.tolist(), areas.tolist(), strict=True)) == [(0, 900.0), (1, 900.0), (2, 500.0)]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.geojson, \.json, \.gpkg, not as a\.kml"):
        write_polygons(tmp_path / "a.kml", LABELS, CLASSES)
    with pytest.raises(UserError, match="min_area=-1"):
        write_polygons(tmp_path / "a.gpkg", LABELS, CLASSES, min_area=-1)
    with pytest.raises(UserError, match="min_area=inf"):
        write_polygons(tmp_path / "a.gpkg", LABELS, CLASSES, min_area=float("inf"))


@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of a process")
def test_a_geopackage_on_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*a\.gpkg"):
            write_polygons(tmp_path / "a.gpkg", LABELS, CLASSES, PLACE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
