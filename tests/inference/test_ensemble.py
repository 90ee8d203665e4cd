"""Several models as one, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from pyramid_attention.artifacts import ModelInfo
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.ensemble import EnsembleEngine
from pyramid_attention.report.tables import gain_rows

INFO = ModelInfo(classes=ClassTable.of(["road", "sky"]), weights_sha256="a" * 64)


class Constant:
    """An engine with the same logits at every place of a grid `stride` times coarser than the image."""

    device = "cpu"

    def __init__(self, logits: tuple[float, float], stride: int = 4, info: ModelInfo = INFO) -> None:
        self.logits, self.stride, self.info = np.array(logits, np.float32), stride, info

    def __call__(self, images: np.ndarray) -> np.ndarray:
        count, height, width, _ = images.shape
        grid = (count, 2, height // self.stride, width // self.stride)
        return np.broadcast_to(self.logits[None, :, None, None], grid).copy()


class Brightness(Constant):
    """The logit of sky at a place is the red of its middle pixel, in tenths."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        half = self.stride // 2
        sky = images[:, half :: self.stride, half :: self.stride, 0].astype(np.float32) / 10
        return np.stack([np.zeros_like(sky), sky], axis=1)


def test_probabilities_are_averaged_however_large_the_logits() -> None:
    sure, unsure = Constant((0.0, 50.0)), Constant((np.log(4.0), 0.0))  # sky 1, and 0.2
    logits = EnsembleEngine([sure, unsure])(np.zeros((3, 32, 64, 3), np.uint8))
    assert logits.shape == (3, 2, 8, 16)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(np.exp(logits), np.broadcast_to(np.array([0.4, 0.6])[:, None, None], logits.shape), 1e-5)


def test_the_grid_is_the_finest() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    fine, coarse = Brightness((0, 0), 4), Constant((0, 0), 16)
    logits = EnsembleEngine([coarse, fine])(image)
    alone = fine(image)
    sky = 1 / (1 + np.exp(-alone[:, 1]))
    assert logits.shape == alone.shape
    np.testing.assert_allclose(np.exp(logits[:, 1]), (sky + 0.5) / 2, 1e-4)


def test_models_that_agree_give_what_one_gives() -> None:
    image = np.random.default_rng(1).integers(0, 256, (45, 70, 3), np.uint8)
    one = Brightness((0, 0))
    several, alone = Segmenter(EnsembleEngine([one, one, one])), Segmenter(one)
    found, expected = several(image), alone(image)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-5)


def test_what_is_known_of_an_ensemble() -> None:
    infos = [
        replace(INFO, size_divisor=4, max_size=512),
        replace(INFO, size_divisor=6, max_size=256, weights_sha256="b"),
    ]
    info = EnsembleEngine([Constant((0, 0), 4, one) for one in infos]).info
    assert (info.size_divisor, info.max_size, info.classes) == (12, 512, INFO.classes)
    other = EnsembleEngine([Constant((0, 0), 4, one) for one in reversed(infos)]).info
    assert None is not info.weights_sha256 != other.weights_sha256, "results of one are not taken for the other's"
    unlimited = EnsembleEngine([Constant((0, 0)), Constant((0, 0), info=infos[0])]).info
    assert unlimited.max_size is None
    unsaved = EnsembleEngine([Constant((0, 0)), Constant((0, 0), info=replace(INFO, weights_sha256=None))]).info
    assert unsaved.weights_sha256 is None


def test_other_classes_are_refused() -> None:
    for names in (["sky", "road"], ["road", "sky", "tree"]):
        other = replace(INFO, classes=ClassTable.of(names))
        with pytest.raises(
            UserError, match=r"model 2 of the ensemble has other classes \(.*\) than the first \(road, sky\)"
        ):
            EnsembleEngine([Constant((0, 0)), Constant((0, 0), info=other)])
    with pytest.raises(UserError, match="differs from the first in align_corners"):
        EnsembleEngine([Constant((0, 0)), Constant((0, 0), info=replace(INFO, align_corners=True))])


def test_the_gain_is_over_the_best() -> None:
    assert gain_rows({"miou": 0.625}, [{"miou": 0.5}, {"miou": 0.6}, {"miou": None}]) == [
        ("best of 3 members", "60.00%"),
        ("gain, points of mIoU", "+2.50"),
    ]
    assert gain_rows({"miou": 0.5}, []) == []
