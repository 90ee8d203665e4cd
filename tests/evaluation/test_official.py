"""The numbers of an evaluation against the benchmarks' own: cityscapesScripts, VOCevalseg, sceneparsing, Boundary IoU.

Where an evaluator is MATLAB, or no package, its formula is written out here, in doubles, with the place it stands.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.classes import IGNORE, ClassTable
from pyramid_attention.data import open_dataset, published
from pyramid_attention.evaluation import ConfusionMatrix, Evaluation, metrics
from pyramid_attention.evaluation.boundary import BoundaryCounts, boundary_width, find_boundary
from support import CAMVID

Labels = NDArray[np.uint8]
Pair = tuple[Labels, Labels]


@st.composite
def pairs(draw: st.DrawFn, classes: int, least: int = 1, most: int = 12) -> Pair:
    """A truth with void and a prediction of its size, each with some of the classes only."""
    size = draw(st.tuples(st.integers(least, most), st.integers(least, most)))
    known = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=6))
    truth = draw(hnp.arrays(np.uint8, size, elements=st.sampled_from([*known, IGNORE])))
    return truth, draw(hnp.arrays(np.uint8, size, elements=st.sampled_from(known)))


def camvid() -> Iterator[Pair]:
    """Masks of CamVid and, for a prediction, each shifted by a few pixels, its void taken for the first class."""
    for index, sample in enumerate(open_dataset(CAMVID).split("val")[::40]):
        truth = sample.read_mask()
        shifted = np.roll(truth, (3 * index + 1, -5), axis=(0, 1))
        yield truth, np.where(shifted == IGNORE, np.uint8(0), shifted)


needs_camvid = pytest.mark.skipif(not CAMVID.is_dir(), reason="needs CamVid in ../shared/camvid")


def evaluated(several: list[Pair], classes: ClassTable, boundary: bool = False) -> dict:
    result = Evaluation(classes, boundary)
    for index, (truth, prediction) in enumerate(several):
        result.add(str(index), truth, prediction)
    return result.metrics()


def confusion(several: list[Pair], classes: int) -> NDArray[np.int64]:
    counted = ConfusionMatrix(classes)
    for pair in several:
        counted.update(*pair)
    return counted.matrix


# Cityscapes


def cityscapes_says(several: list[Pair], folder: Path) -> dict:
    """What the evaluator writes to its JSON file of label maps that hold the ids of the benchmark."""
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    official.args.evalInstLevelScore = False  # the instance maps that nIoU is made of are not part of the task
    official.args.JSONOutput = False
    official.args.quiet = True
    ids = np.zeros(256, dtype=np.uint8)
    ids[: len(published.CITYSCAPES_IDS)] = published.CITYSCAPES_IDS
    files: dict[str, list[str]] = {"truth": [], "prediction": []}
    for index, pair in enumerate(several):
        for kind, labels in zip(files, pair, strict=True):
            files[kind].append(str(folder / f"{kind}{index}.png"))
            Image.fromarray(ids[labels]).save(files[kind][-1])
    result: dict = official.evaluateImgLists(files["prediction"], files["truth"], official.args)
    return result


def assert_as_cityscapes_says(several: list[Pair], folder: Path) -> None:
    said, ours = cityscapes_says(several, folder), evaluated(several, published.CITYSCAPES)
    for name in published.CITYSCAPES.names:
        np.testing.assert_equal(ours["per_class"][name]["iou"] or 0, np.nan_to_num(said["classScores"][name]))
        assert (ours["per_class"][name]["iou"] is None) == math.isnan(said["classScores"][name])
    assert ours["miou"] == said["averageScoreClasses"]
    categories = {name: None if math.isnan(score) else score for name, score in said["categoryScores"].items()}
    assert categories.pop("void") is None
    assert ours["per_category"] == categories
    assert ours["category_iou"] == said["averageScoreCategories"]
    matrix = np.array(said["confMatrix"])[np.ix_(published.CITYSCAPES_IDS, published.CITYSCAPES_IDS)]
    np.testing.assert_array_equal(ours["confusion"], matrix)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(several=st.lists(pairs(19), min_size=1, max_size=3))
def test_iou_of_classes_and_categories_are_those_of_cityscapes_to_the_last_bit(
    several: list[Pair], tmp_path: Path
) -> None:
    if any((truth != IGNORE).any() for truth, _ in several):
        assert_as_cityscapes_says(several, tmp_path)


@needs_camvid
def test_on_masks_of_camvid_cityscapes_agrees_to_the_last_bit(tmp_path: Path) -> None:
    assert_as_cityscapes_says(list(camvid()), tmp_path)


def test_the_categories_are_those_of_cityscapes() -> None:
    official = pytest.importorskip("cityscapesscripts.helpers.labels")
    groups = {
        name: tuple(label.name for label in labels if not label.ignoreInEval)
        for name, labels in official.category2labels.items()
    }
    assert groups.pop("void") == ()
    assert groups == published.CITYSCAPES_CATEGORIES


@settings(deadline=None)
@given(st.lists(pairs(6), min_size=1, max_size=3))
def test_the_iou_of_a_category_is_that_of_its_classes_merged(several: list[Pair]) -> None:
    merged = np.array([0, 0, 1, 2, 2, 2, *[IGNORE] * 250], dtype=np.uint8)
    categories = metrics.category_iou(confusion(several, 6), [(0, 1), (2,), (3, 4, 5)])
    together = confusion([(merged[truth], merged[prediction]) for truth, prediction in several], 3)
    np.testing.assert_array_equal(categories, metrics.iou(together))


# PASCAL VOC


def voc_says(several: list[Pair], classes: int) -> tuple[NDArray[np.float64], float]:
    """VOCcode/VOCevalseg.m of VOCdevkit: percentages, NaN where nothing can be divided."""
    counts = np.zeros((classes, classes))
    for truth, prediction in several:
        truth, prediction = truth.astype(float), prediction.astype(float)
        places = truth < 255
        joint = 1 + truth + prediction * classes
        histogram = np.array([(joint[places] == value).sum() for value in range(1, classes**2 + 1)], dtype=float)
        counts += histogram.reshape(classes, classes).T  # MATLAB fills columns first
    with np.errstate(invalid="ignore"):
        accuracies = np.array(
            [100 * counts[j, j] / (counts[j, :].sum() + counts[:, j].sum() - counts[j, j]) for j in range(classes)]
        )
    return accuracies, sum(accuracies) / classes


def assert_as_voc_says(several: list[Pair], classes: int) -> None:
    accuracies, average = voc_says(several, classes)
    matrix = confusion(several, classes)
    np.testing.assert_allclose(100 * metrics.iou(matrix), accuracies, rtol=4e-16)  # 100·(a/b) for (100·a)/b
    if not math.isnan(average):  # where a class occurs nowhere VOC has no mean: ours is over the others
        assert 100 * metrics.miou(matrix) == pytest.approx(average, rel=1e-15)


@settings(max_examples=50, deadline=None)
@given(st.lists(pairs(3), min_size=1, max_size=3))
def test_iou_is_that_of_voc(several: list[Pair]) -> None:
    assert_as_voc_says(several, 3)


@needs_camvid
def test_on_masks_of_camvid_voc_agrees() -> None:
    assert_as_voc_says(list(camvid()), 11)


# ADE20K


def ade20k_says(several: list[Pair], classes: int) -> tuple[NDArray[np.float64], float, float]:
    """demoEvaluation.m with intersectionAndUnion.m and pixelAccuracy.m of sceneparsing: labels 1 … C, 0 is no class."""
    intersections, unions, correct, labelled = [], [], 0, 0
    for truth, prediction in several:
        truth, prediction = truth.astype(int), prediction.astype(int)
        prediction = prediction * (truth > 0)
        same = prediction * (prediction == truth)
        bins = range(1, classes + 1)
        intersection, of_prediction, of_truth = (
            np.array([(labels == value).sum() for value in bins]) for labels in (same, prediction, truth)
        )
        intersections.append(intersection)
        unions.append(of_prediction + of_truth - intersection)
        correct += ((prediction == truth) & (truth > 0)).sum()
        labelled += (truth > 0).sum()
    overlaps = sum(intersections) / sum(np.spacing(1) + union for union in unions)
    return overlaps, overlaps.mean(), correct / labelled


def assert_as_ade20k_says(several: list[Pair], classes: int) -> None:
    """Our label k is their k + 1, our void their 0. What they add to each union is 2.2e-16 pixels."""
    shift = np.array([*range(1, 256), 0], dtype=np.uint8)
    overlaps, average, accuracy = ade20k_says([(shift[truth], shift[guess]) for truth, guess in several], classes)
    matrix = confusion(several, classes)
    ours = metrics.iou(matrix)
    np.testing.assert_allclose(np.nan_to_num(ours), overlaps, rtol=1e-15)
    assert metrics.pixel_accuracy(matrix) == accuracy
    present = np.count_nonzero(~np.isnan(ours))  # they count a class that occurs nowhere as 0: ours leaves it out
    assert metrics.miou(matrix) * present / classes == pytest.approx(average, rel=1e-14)


@settings(max_examples=50, deadline=None)
@given(st.lists(pairs(150), min_size=1, max_size=3))
def test_iou_and_pixel_accuracy_are_those_of_ade20k(several: list[Pair]) -> None:
    if any((truth != IGNORE).any() for truth, _ in several):
        assert_as_ade20k_says(several, len(published.ADE20K))


@needs_camvid
def test_on_masks_of_camvid_ade20k_agrees() -> None:
    assert_as_ade20k_says(list(camvid()), 11)


# Boundary IoU


def mask_to_boundary(mask: Labels) -> Labels:
    """boundary_iou/utils/boundary_utils.py of boundary-iou-api."""
    cv2 = pytest.importorskip("cv2")
    height, width = mask.shape
    dilation = max(1, round(0.02 * np.sqrt(height**2 + width**2)))
    framed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(framed, np.ones((3, 3), dtype=np.uint8), iterations=dilation)
    boundary: Labels = mask - eroded[1 : height + 1, 1 : width + 1]
    return boundary


def boundary_iou_says(several: list[Pair], classes: int) -> list[float | None]:
    """The intersection and union of its panoptic evaluation, all of a class in an image being one segment."""
    both, union = np.zeros(classes, dtype=int), np.zeros(classes, dtype=int)
    for truth, prediction in several:
        for label in range(classes):
            true = mask_to_boundary((truth == label).astype(np.uint8)) > 0
            predicted = mask_to_boundary((prediction == label).astype(np.uint8)) > 0
            both[label] += (true & predicted).sum()
            union[label] += predicted.sum() + true.sum() - (true & predicted).sum() - (predicted & (truth == 255)).sum()
    return [a / b if b else None for a, b in zip(both.tolist(), union.tolist(), strict=True)]


def assert_as_boundary_iou_says(several: list[Pair], classes: int) -> None:
    said, ours = boundary_iou_says(several, classes), evaluated(several, ClassTable.of(classes), boundary=True)
    assert [numbers["boundary_iou"] for numbers in ours["per_class"].values()] == said
    present = [overlap for overlap in said if overlap is not None]
    assert ours["boundary_iou"] == (pytest.approx(sum(present) / len(present), rel=1e-15) if present else None)


@settings(max_examples=80, deadline=None)
@given(st.lists(pairs(4), min_size=1, max_size=3))
def test_boundary_iou_is_that_of_its_authors(several: list[Pair]) -> None:
    assert_as_boundary_iou_says(several, 4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 160), st.integers(1, 160), st.sampled_from([3, 10, 40]))
def test_the_boundary_of_larger_images_is_that_of_its_authors(seed: int, height: int, width: int, side: int) -> None:
    blocks = np.random.default_rng(seed).integers(0, 3, (160 // side + 1, 160 // side + 1), dtype=np.uint8)
    labels = np.kron(blocks, np.ones((side, side), dtype=np.uint8))[:height, :width]
    boundary = find_boundary(labels, boundary_width(height, width))
    for label in range(3):
        expected = mask_to_boundary((labels == label).astype(np.uint8))
        np.testing.assert_array_equal(boundary & (labels == label), expected > 0)


@needs_camvid
def test_on_masks_of_camvid_boundary_iou_agrees() -> None:
    assert_as_boundary_iou_says(list(camvid()), 11)


def test_the_boundary_of_a_square_is_a_frame() -> None:
    labels = np.zeros((100, 100), dtype=np.uint8)  # the diagonal is 141 pixels, 2 % of it 3
    labels[20:60, 30:70] = 1
    frame = labels == 1
    frame[23:57, 33:67] = False
    assert boundary_width(100, 100) == 3
    np.testing.assert_array_equal(find_boundary(labels, 3) & (labels == 1), frame)


def test_a_shifted_square_has_the_boundary_iou_that_geometry_says() -> None:
    truth, prediction = np.zeros((2, 100, 100), dtype=np.uint8)
    truth[20:60, 20:60] = 1
    prediction[20:60, 22:62] = 1
    counts = BoundaryCounts(2)
    counts.update(truth, prediction)
    frame = 40 * 40 - 34 * 34
    both = 2 * 3 * 38 + 2 * 34 * 1  # two bars of 3 × 38 pixels, and of each side of 3 columns one, 34 high
    assert counts.truth[1] == counts.prediction[1] == frame
    assert counts.iou()[1] == both / (2 * frame - both)


def test_without_being_asked_there_is_no_boundary_iou() -> None:
    numbers = evaluated([(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))], ClassTable.of(2))
    assert not {"boundary_iou", "category_iou", "per_category"} & {*numbers, *numbers["per_class"]["class 0"]}
