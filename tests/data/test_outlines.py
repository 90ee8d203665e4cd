"""Shapes drawn into label maps: which pixels are inside, what is over what, and what is wrong with coordinates."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.data.outlines import (
    Overhang,
    Shape,
    as_points,
    background_first,
    box,
    check_declared_size,
    draw,
)
from pyramid_attention.errors import UserError


def rows(labels: np.ndarray) -> list[str]:
    return ["".join(map(str, row)) for row in labels.tolist()]


def test_the_edge_of_a_polygon_is_part_of_it() -> None:
    assert rows(draw((5, 6), [Shape(1, as_points([1, 1, 4, 1, 4, 3, 1, 3]))])) == [
        "000000",
        "011110",
        "011110",
        "011110",
        "000000",
    ]


def test_later_shapes_are_drawn_over_earlier_ones() -> None:
    shapes = [
        Shape(1, as_points([[4, 3], [0, 0]], 2), "rectangle"),
        Shape(2, as_points([[2, 2], [3, 2]], 2), "circle"),
        Shape(3, as_points([[2, 2], [9, 2], [2, 2]])),
    ]
    assert rows(draw((5, 6), shapes)) == ["111110", "112110", "123333", "112110", "000000"]


def test_what_is_outside_is_clipped_and_what_is_far_outside_does_not_take_for_ever() -> None:
    far = 1e300
    shapes = [
        Shape(1, as_points([[-far, -far], [far, far]], 2), "rectangle"),
        Shape(2, as_points([-9, 1, 99, 1, 99, 2, -9, 2])),
        Shape(3, as_points([50, 50, 60, 50, 60, 60])),
        Shape(4, as_points([[2, -10], [2, 0]], 2), "circle"),
        Shape(5, as_points([-far, 4, far, 4, far, far, -far, far])),
    ]
    assert rows(draw((5, 4), shapes)) == ["1141", "2222", "2222", "1111", "5555"]
    assert rows(draw((2, 2), [Shape(1, as_points([[0, 0], [far, far]], 2), "circle")])) == ["11", "11"]


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5, 6], [[1, 2], [3, 4], [5, 6]], [1, 2.0, 3, 4, 5, 6]])
def test_points_in_a_row_or_in_pairs(values: object) -> None:
    assert as_points(values).tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, 2, 3, 4, 5], "5 coordinates, an odd number"),
        ([1, 2, 3, 4], "2 points where 3 are needed"),
        ([], "0 points where 3 are needed"),
        ([1, 2, float("nan"), 4, 5, 6], "not finite"),
        ([1, 2, float("inf"), 4, 5, 6], "not finite"),
        (["a", 2, 3, 4, 5, 6], "no numbers"),
        ([None] * 6, "no numbers"),
        (None, "no numbers"),
        ({"x": 1}, "no numbers"),
        (5, "no pairs"),
        ([[1, 2], [3]], "no pairs"),
        ([[1, 2, 3]] * 3, "no pairs"),
    ],
)
def test_broken_coordinates(values: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        as_points(values)


def test_shapes_outside_are_told_and_a_pixel_is_forgiven(tmp_path: Path) -> None:
    overhang = Overhang()
    for name, values in {
        "in": [0, 0, 10, 0, 10, 8],
        "nearly": [-0.5, -1, 11, 0, 10, 9],
        "partly": [-2, 0, 5, 0, 5, 5],
        "below": [1, 1, 5, 1, 5, 9.5],
        "right": [10, 0, 12, 0, 12, 5],
        "above": [1, -5, 3, -5, 3, -1],
    }.items():
        overhang.see(name, box(as_points(values)), 10, 8)
    assert overhang.notes(tmp_path) == [
        f"2 shapes in {tmp_path} lie partly outside their image and are clipped (partly, below)",
        f"2 shapes in {tmp_path} lie wholly outside their image and are left out (right, above)",
    ]
    assert Overhang().notes(tmp_path) == []


def test_the_background_is_class_0() -> None:
    assert background_first({3: "cat", 7: "dog"}) == (["background", "cat", "dog"], {3: 1, 7: 2})
    assert background_first({3: "cat", 7: "Background"}) == (["Background", "cat"], {7: 0, 3: 1})


def test_an_image_of_another_size_than_was_annotated(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    check_declared_size(tmp_path / "a.json", (4, 6), tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.json was made for an image of 4×6 pixels, but .*a\.png is 6×4; put"):
        check_declared_size(tmp_path / "a.json", (6, 4), tmp_path / "a.png")
