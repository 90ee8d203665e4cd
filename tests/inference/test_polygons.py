"""Polygons: what they cover, by shapely's predicates (JTS), whatever the label map and however much is simplified."""

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pyramid_attention.classes import ClassTable
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.polygons import polygons, to_geojson
from support import CAMVID

TOLERANCES = (0.0, 0.6, 1.0, 2.5, 6.0)


def as_shapely(shapes: list) -> list[shapely.Polygon]:
    return [shapely.Polygon(shape.exterior, shape.holes) for shape in shapes]


@st.composite
def label_maps(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Small ones, of single pixels or of blocks, with as many corners where four regions meet as there can be."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    seed, classes = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 5))
    labels = np.random.default_rng(seed).integers(0, classes, (height, width)).astype(np.uint8)
    return np.kron(labels, np.ones(draw(st.sampled_from([(1, 1), (2, 3), (5, 2)])), np.uint8))


@settings(max_examples=60, deadline=None)
@given(label_maps())
def test_they_cover_the_image_once_without_gaps(labels: NDArray[np.uint8]) -> None:
    for tolerance in TOLERANCES:
        shapes = polygons(labels, tolerance)
        drawn = as_shapely(shapes)
        assert all(one.is_valid for one in drawn)
        assert [one.area for one in drawn] == [shape.area for shape in shapes]
        assert all(shape.area > 0 for shape in shapes)
        # The whole is the image, and nothing of it is there twice.
        assert shapely.union_all(drawn).equals(shapely.box(0, 0, labels.shape[1], labels.shape[0]))
        assert sum(one.area for one in drawn) == labels.size


@settings(max_examples=60, deadline=None)
@given(label_maps())
def test_unsimplified_they_are_the_pixels(labels: NDArray[np.uint8]) -> None:
    shapes = polygons(labels)
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]] + 0.5
    found = np.full(labels.shape, 99, np.uint8)
    for shape, drawn in zip(shapes, as_shapely(shapes), strict=True):
        inside = shapely.contains_xy(drawn, x, y)
        assert inside.sum() == shape.pixels == shape.area
        found[inside] = shape.label
    assert (found == labels).all()


def test_a_region_with_a_hole() -> None:
    labels = np.zeros((4, 5), np.uint8)
    labels[1:3, 1:4] = 1
    outer, inner = polygons(labels)
    assert outer.exterior.tolist() == [[0, 0], [5, 0], [5, 4], [0, 4], [0, 0]]
    assert [hole.tolist() for hole in outer.holes] == [[[1, 1], [1, 3], [4, 3], [4, 1], [1, 1]]]
    assert inner.exterior.tolist() == [[1, 1], [4, 1], [4, 3], [1, 3], [1, 1]]
    assert (outer.label, outer.pixels, inner.label, inner.pixels) == (0, 14, 1, 6)


def test_a_slanted_border_becomes_one_line() -> None:
    y, x = np.mgrid[:40, :40]
    upper, lower = polygons((x > y).astype(np.uint8)[:, ::-1], tolerance=1)
    assert len(upper.exterior) + len(lower.exterior) == 10
    assert {tuple(corner) for corner in upper.exterior} & {tuple(corner) for corner in lower.exterior} == {
        (39, 0),
        (0, 39),
    }


def test_no_corner_strays_farther_than_the_tolerance() -> None:
    y, x = np.mgrid[:80, :80]
    labels = ((x - 40) ** 2 + (y - 40) ** 2 < 30**2).astype(np.uint8)
    (exact,) = (one.exterior for one in as_shapely(polygons(labels)) if not one.interiors)
    for tolerance in TOLERANCES[1:]:
        (simple,) = (one.exterior for one in as_shapely(polygons(labels, tolerance)) if not one.interiors)
        assert len(simple.coords) < len(exact.coords)
        assert shapely.hausdorff_distance(exact, simple) <= tolerance


def test_an_island_stays_in_the_region_around_it() -> None:
    """One pixel in the bend of a border, which a simplified border would cut off."""
    labels = np.zeros((30, 30), np.uint8)
    labels[:, 15:] = 1
    labels[12:18, 12:15] = 1
    labels[14, 13] = 2
    for tolerance in (2, 4, 8):
        shapes = polygons(labels, tolerance)
        island = next(shape for shape in shapes if shape.label == 2)
        around = next(one for one in as_shapely(shapes) if one.interiors)
        assert island.area == 1
        assert shapely.Polygon(around.interiors[0]).area == 1


@pytest.mark.skipif(not CAMVID.is_dir(), reason="needs the CamVid images")
def test_of_a_street_a_third_of_the_corners_is_enough() -> None:
    labels = Segmenter.load()(sorted((CAMVID / "val").glob("*.jpg"))[0]).labels
    exact, simple = polygons(labels), polygons(labels, tolerance=1)
    before, after = (sum(len(one.exterior) + sum(map(len, one.holes)) for one in found) for found in (exact, simple))
    assert after < before / 3
    assert all(one.is_valid for one in as_shapely(simple))
    assert sum(shape.area for shape in simple) == labels.size
    assert np.mean([abs(shape.area - shape.pixels) / shape.pixels for shape in simple if shape.pixels > 500]) < 0.02


def test_geojson_names_the_classes() -> None:
    labels = np.array([[0, 255], [0, 1]], np.uint8)
    text = json.dumps(to_geojson(polygons(labels), ClassTable.of(["road", "tree"])))
    found = json.loads(text)
    assert found["type"] == "FeatureCollection"
    assert [feature["properties"] for feature in found["features"]] == [
        {"class": 0, "name": "road", "area": 2.0, "pixels": 2},
        {"class": 255, "name": "void", "area": 1.0, "pixels": 1},
        {"class": 1, "name": "tree", "area": 1.0, "pixels": 1},
    ]
    assert shapely.from_geojson(text).area == 4


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(ValueError, match="tolerance is a distance"):
        polygons(np.zeros((2, 2), np.uint8), -1)
