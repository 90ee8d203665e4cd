"""The images that reports are made of, checked at places where the colour is known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.classes import ClassTable
from pyramid_attention.images import ArrayImage
from pyramid_attention.inference import Segmentation
from pyramid_attention.report.confusion import plot_confusion
from pyramid_attention.report.curves import plot_curves
from pyramid_attention.report.legend import legend
from pyramid_attention.report.overlays import overlay_with_legend
from pyramid_attention.report.progress import clock
from pyramid_attention.report.sheets import Row, sheet
from pyramid_attention.report.tables import per_class_table, what_was_counted

CLASSES = ClassTable.of(["sky", "road", "a class with a long name"], [[0, 200, 0], [200, 0, 0], [0, 0, 200]])


def colours(image: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, image.reshape(-1, 3).tolist()))


def test_a_legend_shows_the_colours_it_is_asked_for() -> None:
    strip = legend(CLASSES, [0, 2], 400, 16)
    assert {(0, 200, 0), (0, 0, 200)} <= colours(strip)
    assert (200, 0, 0) not in colours(strip)


def test_a_narrow_legend_takes_more_rows() -> None:
    assert legend(CLASSES, [0, 1, 2], 150, 16).shape[0] > legend(CLASSES, [0, 1, 2], 900, 16).shape[0]


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (360, 480), (3000, 400)])
def test_an_overlay_keeps_the_images_pixels(size: tuple[int, int]) -> None:
    labels = np.zeros(size, np.uint8)
    labels[: size[0] // 2] = 1
    image = np.full((*size, 3), 100, np.uint8)
    segmentation = Segmentation(labels, CLASSES, ArrayImage(image), lambda: np.ones(size, np.float32))
    drawn = overlay_with_legend(segmentation, alpha=0.5)
    height, width = size
    assert drawn.shape[0] > height
    assert drawn.shape[1] >= width
    assert np.array_equal(drawn[:height, :width], segmentation.overlay(0.5))
    assert drawn[height - 1, width - 1].tolist() == [50, 150, 50]
    assert colours(drawn[height:]) >= {(0, 200, 0)}
    assert (0, 0, 200) not in colours(drawn[height:])


def test_a_sheet_holds_each_image_in_its_column() -> None:
    image = np.full((60, 80, 3), 77, np.uint8)
    truth, prediction = np.zeros((60, 80), np.uint8), np.ones((60, 80), np.uint8)
    drawn = sheet([Row("first", image, truth, prediction)] * 2, CLASSES)
    middle = drawn[150]
    third = drawn.shape[1] // 3
    assert middle[third // 2].tolist() == [77, 77, 77]
    assert middle[third + third // 2].tolist() == [0, 200, 0]
    assert middle[2 * third + third // 2].tolist() == [200, 0, 0]


@pytest.mark.parametrize("classes", [1, 7, 40])
def test_a_confusion_matrix_is_darkest_where_it_is_right(tmp_path: Path, classes: int) -> None:
    matrix = np.eye(classes, dtype=np.int64) * 1000
    plot_confusion(matrix, tuple(f"class {i}" for i in range(classes)), tmp_path / "a.png")
    image = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    dark = (image.sum(axis=2) < 250).mean()
    assert 0.3 / classes < dark + 0.02 < 3 / classes + 0.05
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_curves_are_drawn_with_and_without_validation(tmp_path: Path) -> None:
    rows = [{"epoch": e, "train_loss": 1 / e, "val_miou": None, "learning_rate": 0.1} for e in (1, 2, 3)]
    plot_curves(rows, tmp_path / "none.png")
    plot_curves([{**row, "val_miou": 0.2 * row["epoch"]} for row in rows], tmp_path / "some.png")
    plot_curves(rows[:1], tmp_path / "one.png")
    without, with_ = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")) for name in ("none", "some"))
    assert without.shape == with_.shape
    assert (with_ < 200).sum() > (without < 200).sum()


def test_the_table_says_the_numbers() -> None:
    metrics = {
        "miou": 0.5,
        "mean_accuracy": 0.25,
        "pixel_accuracy": 0.75,
        "frequency_weighted_iou": None,
        "images": 2,
        "pixels": 1234,
        "per_class": {
            "a|b": {"iou": 0.5, "accuracy": 0.25, "pixels": 1234},
            "none": {"iou": None, "accuracy": None, "pixels": 0},
        },
    }
    table = per_class_table(metrics)
    assert "| a\\|b  | 50.00% |   25.00% |  1,234 |" in table
    assert "mIoU: 50.00%" in table
    assert "frequency-weighted IoU: –" in table


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (754, "12:34"), (3723, "1:02:03"), (59.6, "1:00")])
def test_durations_as_people_read_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_one_image_is_not_called_images() -> None:
    assert what_was_counted({"images": 1, "pixels": 1234}) == "1 image, 1,234 labelled pixels"
    assert what_was_counted({"images": 0, "pixels": 0}) == "0 images, 0 labelled pixels"
    assert what_was_counted({"images": 1200, "pixels": 1}) == "1,200 images, 1 labelled pixel"
