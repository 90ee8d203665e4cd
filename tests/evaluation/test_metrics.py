"""The confusion matrix and its numbers, against scikit-learn, torchmetrics and counting by hand."""

from __future__ import annotations

import json
import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index

from pyramid_attention.classes import IGNORE
from pyramid_attention.evaluation import ConfusionMatrix, metrics

CLASSES = 4
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@st.composite
def pairs(draw):
    """A truth with void pixels and a prediction of the same size."""
    size = draw(sizes)
    truth = draw(hnp.arrays(np.uint8, size, elements=st.sampled_from([*range(CLASSES), IGNORE])))
    return truth, draw(hnp.arrays(np.uint8, size, elements=st.integers(0, CLASSES - 1)))


def confusion(truth, prediction, classes=CLASSES):
    result = ConfusionMatrix(classes)
    result.update(np.asarray(truth, dtype=np.uint8), np.asarray(prediction, dtype=np.uint8))
    return result


@given(pairs())
def test_the_matrix_is_the_count_of_each_pair_of_labels(pair):
    truth, prediction = pair
    matrix = confusion(*pair).matrix
    assert matrix.dtype == np.int64
    for row in range(CLASSES):
        for column in range(CLASSES):
            assert matrix[row, column] == np.sum((truth == row) & (prediction == column))
    assert matrix.sum() == np.sum(truth != IGNORE)


@given(pairs())
def test_the_matrix_equals_scikit_learns(pair):
    truth, prediction = pair
    counted = truth != IGNORE
    if counted.any():
        expected = sk.confusion_matrix(truth[counted], prediction[counted], labels=range(CLASSES))
        np.testing.assert_array_equal(confusion(*pair).matrix, expected)


@given(st.lists(pairs(), min_size=1, max_size=4))
def test_images_may_be_counted_one_by_one_or_apart_and_added(several):
    together = ConfusionMatrix(CLASSES)
    total = ConfusionMatrix(CLASSES)
    for pair in several:
        together.update(*pair)
        total = total + confusion(*pair)
    np.testing.assert_array_equal(together.matrix, total.matrix)


@given(pairs())
def test_iou_and_accuracy_equal_scikit_learn_and_torchmetrics(pair):
    truth, prediction = pair
    counted = truth != IGNORE
    if not counted.any():
        return
    matrix = confusion(*pair).matrix
    true, predicted = truth[counted], prediction[counted]
    seen = np.union1d(true, predicted)
    jaccard = sk.jaccard_score(true, predicted, labels=seen, average=None)
    np.testing.assert_allclose(metrics.iou(matrix)[seen], jaccard, rtol=1e-12)
    assert metrics.miou(matrix) == pytest.approx(jaccard.mean(), rel=1e-12)
    assert metrics.pixel_accuracy(matrix) == pytest.approx(sk.accuracy_score(true, predicted), rel=1e-12)
    recall = sk.recall_score(true, predicted, labels=np.unique(true), average=None)
    assert metrics.mean_accuracy(matrix) == pytest.approx(recall.mean(), rel=1e-12)
    weights = np.bincount(true, minlength=CLASSES)[seen]
    weighted = float((jaccard * weights).sum() / weights.sum())
    assert metrics.frequency_weighted_iou(matrix) == pytest.approx(weighted, rel=1e-12)

    options = {"num_classes": CLASSES, "average": "none", "ignore_index": IGNORE}
    tensors = torch.tensor(prediction.astype(np.int64)), torch.tensor(truth.astype(np.int64))
    overlap = multiclass_jaccard_index(*tensors, **options).numpy()
    found = multiclass_accuracy(*tensors, **options).numpy()
    there = np.unique(true)
    np.testing.assert_allclose(metrics.iou(matrix)[seen], overlap[seen], rtol=1e-6)
    np.testing.assert_allclose(metrics.accuracy(matrix)[there], found[there], rtol=1e-6)


def test_a_class_in_neither_truth_nor_prediction_has_no_iou_and_is_left_out_of_the_mean():
    matrix = confusion([[0, 0, 1, 1]], [[0, 0, 0, 1]]).matrix  # classes 2 and 3 occur nowhere
    np.testing.assert_allclose(metrics.iou(matrix), [2 / 3, 1 / 2, math.nan, math.nan])
    assert metrics.miou(matrix) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_a_class_predicted_but_never_true_counts_as_zero():
    matrix = confusion([[0, 0, 0, 0]], [[0, 0, 0, 1]]).matrix
    np.testing.assert_allclose(metrics.iou(matrix), [3 / 4, 0, math.nan, math.nan])
    np.testing.assert_allclose(metrics.accuracy(matrix), [3 / 4, math.nan, math.nan, math.nan])
    assert metrics.miou(matrix) == pytest.approx(3 / 8)
    assert metrics.mean_accuracy(matrix) == pytest.approx(3 / 4)


def test_more_pixels_than_a_float_can_count_are_counted_exactly():
    result = confusion([[0, 1]], [[0, 0]], classes=2)
    result.matrix[0, 0] += 2**60
    assert metrics.summarise(result.matrix, ("a", "b"))["pixels"] == 2**60 + 2


@given(pairs())
def test_the_summary_is_strict_json_in_which_null_stands_for_no_number(pair):
    names = ("a", "b", "c", "d")
    matrix = confusion(*pair).matrix
    summary = json.loads(json.dumps(metrics.summarise(matrix, names), allow_nan=False))
    assert summary["confusion"] == matrix.tolist()
    assert sum(entry["pixels"] for entry in summary["per_class"].values()) == summary["pixels"] == matrix.sum()
    for name, overlap in zip(names, metrics.iou(matrix), strict=True):
        assert summary["per_class"][name]["iou"] == (None if math.isnan(overlap) else overlap)
    for key in ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"):
        value = getattr(metrics, key)(matrix)
        assert summary[key] == (None if math.isnan(value) else value)


def test_an_image_that_is_all_void_has_no_numbers():
    summary = metrics.summarise(confusion(np.full((3, 3), IGNORE), np.zeros((3, 3))).matrix, ("a", "b", "c", "d"))
    assert (summary["miou"], summary["pixel_accuracy"], summary["frequency_weighted_iou"]) == (None, None, None)
    assert summary["pixels"] == 0


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ([[0, 1]], [[0], [1]], "truth is"),
        ([[0, 4]], [[0, 1]], "ids up to 4 among 4 classes"),
        ([[0, 1]], [[0, 255]], "ids up to 255 among 4 classes"),
    ],
)
def test_label_maps_that_cannot_be_compared_are_refused(truth, prediction, message):
    with pytest.raises(ValueError, match=message):
        confusion(truth, prediction)
