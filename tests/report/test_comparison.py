"""Comparisons over seeds: the numbers of the tables against hand calculation, and the image."""

import csv

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.models.cost import Cost
from pyramid_attention.report.comparison import (
    Comparison,
    Spread,
    Variant,
    class_table,
    overall_table,
    spread,
    write_comparison,
)


def run(miou, road, car):
    shared = {"pixel_accuracy": 0.5, "mean_accuracy": 0.5, "frequency_weighted_iou": 0.5}
    return {"miou": miou, "per_class": {"road": {"iou": road}, "car": {"iou": car}}, **shared}


@pytest.fixture
def comparison():
    variants = {
        "plain": Variant(Cost(1_500_000, 2 * 10**9), {0: run(0.40, 0.6, 0.2), 1: run(0.44, 0.6, None)}),
        "fancy": Variant(Cost(2_500_000, 3 * 10**9), {0: run(0.43, 0.5, 0.3), 1: run(0.45, 0.7, 0.4)}),
        "late": Variant(Cost(10, 10), {1: run(0.50, 0.8, 0.5)}),
        "never": Variant(),
    }
    return Comparison("What is best", "2 epochs", "val", (180, 240), "plain", (0, 1), ("road", "car"), variants)


def test_a_spread_is_mean_and_sample_deviation():
    values = [0.4, 0.5, 0.9]
    assert spread(values) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert spread([0.4]) == Spread(0.4, None)
    assert spread([]) == Spread(None, None)
    assert Spread(-0.0001, 0.01).text("+") == "+0.0 ± 1.0"


def test_differences_are_taken_seed_by_seed(comparison):
    # 0.03 and 0.01, though the means over all seeds scatter more
    assert comparison.miou_difference("fancy") == pytest.approx((0.02, np.std([0.03, 0.01], ddof=1)))
    assert comparison.miou_difference("late") == pytest.approx((0.06, None))
    assert comparison.miou_difference("never") == (None, None)


def test_a_class_that_does_not_occur_is_left_out(comparison):
    assert comparison.iou("plain", "car") == (0.2, None)
    assert comparison.iou_difference("fancy", "car") == pytest.approx((0.1, None))


def test_the_tables_as_text(comparison):
    assert overall_table(comparison).splitlines()[2:6] == [
        "| plain   | 42.0 ± 2.8 |                       |     2 |         1.50 |   2.00 |",
        "| fancy   | 44.0 ± 1.4 |            +2.0 ± 1.4 |     2 |         2.50 |   3.00 |",
        "| late    |       50.0 |                  +6.0 |     1 |         0.00 |   0.00 |",
        "| never   |          – |                     – |     0 |            – |      – |",
    ]
    assert class_table(comparison).splitlines()[2:] == [
        "| road  | 60.0 ± 0.0 | +0.0 ± 14.1 | +20.0 |     – |",
        "| car   |       20.0 |       +10.0 |     – |     – |",
    ]


def test_the_files(comparison, tmp_path):
    write_comparison(comparison, {"never": "no such option"}, tmp_path)
    page = (tmp_path / "table.md").read_text()
    assert overall_table(comparison) in page
    assert class_table(comparison) in page
    assert "- never: no such option" in page
    with open(tmp_path / "table.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == ["plain", "fancy", "late", "never"]
    assert float(rows[1]["difference_mean"]) == pytest.approx(0.02)
    assert rows[3]["miou_mean"] == ""
    with open(tmp_path / "runs.csv") as file:
        assert [(row["variant"], row["seed"], row["miou"]) for row in csv.DictReader(file)][:2] == [
            ("plain", "0", "0.4"),
            ("plain", "1", "0.44"),
        ]
    with open(tmp_path / "per_class.csv") as file:
        assert len(list(csv.DictReader(file))) == 8
    image = np.asarray(Image.open(tmp_path / "cost.png").convert("RGB"))
    colours = {tuple(colour) for colour in image.reshape(-1, 3)}
    assert (0x1F, 0x77, 0xB4) in colours  # the first and the second variant's point
    assert (0xFF, 0x7F, 0x0E) in colours


def test_nothing_to_show_yet(comparison, tmp_path):
    for variant in comparison.variants.values():
        variant.runs.clear()
    write_comparison(comparison, {}, tmp_path)
    assert (tmp_path / "cost.png").exists()
    assert (tmp_path / "runs.csv").exists()
