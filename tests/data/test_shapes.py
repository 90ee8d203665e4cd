"""The synthetic images: the same for the same seed, hard where they should be."""

import numpy as np
import pytest
from scipy import ndimage

from pyramid_attention.data import open_dataset
from pyramid_attention.errors import UserError
from pyramid_attention.evaluation import ConfusionMatrix
from pyramid_attention.evaluation.metrics import miou


def test_an_image_depends_on_seed_split_and_index_alone() -> None:
    first, again, other = (open_dataset("shapes", seed=s, train=3, val=3) for s in (4, 4, 5))
    sample = first.split("train")[2]
    assert np.array_equal(sample.read_image(), again.split("train")[2].read_image())
    assert np.array_equal(sample.read_mask(), again.split("train")[2].read_mask())
    for different in (other.split("train")[2], first.split("train")[1], first.split("val")[2]):
        assert not np.array_equal(sample.read_image(), different.read_image())


def test_sizes_types_and_names() -> None:
    dataset = open_dataset("shapes", train=5, val=4, test=3, size=96)
    assert {name: len(samples) for name, samples in dataset.splits.items()} == {"train": 5, "val": 4, "test": 3}
    sample = dataset.split("test")[1]
    assert sample.read_image().shape == (96, 96, 3)
    assert sample.read_mask().shape == (96, 96)
    assert sample.read_image().dtype == sample.read_mask().dtype == np.uint8
    assert len({s.name for split in dataset.splits.values() for s in split}) == 12
    assert dataset.format == "shapes"
    assert dataset.root is None


def test_a_sample_may_be_written_to() -> None:
    sample = open_dataset("shapes", train=1).split("train")[0]
    sample.read_image()[:] = 0
    assert sample.read_image().any()


def test_every_class_occurs_and_discs_come_in_every_size() -> None:
    dataset = open_dataset("shapes", seed=1, train=150)
    counts = np.zeros(256, np.int64)
    widths = []
    for sample in dataset.split("train"):
        mask = sample.read_mask()
        counts += np.bincount(mask.ravel(), minlength=256)
        parts, _ = ndimage.label(mask == 1)
        widths += [max(s[0].stop - s[0].start, s[1].stop - s[1].start) for s in ndimage.find_objects(parts)]
    assert len(dataset.classes) >= 6
    assert (counts[: len(dataset.classes)] > 0.01 * counts.sum()).all()
    assert counts[len(dataset.classes) :].sum() == 0
    assert min(widths) <= 10
    assert max(widths) >= 180
    assert np.histogram(widths, [8, 20, 50, 120, 201])[0].min() > 10


@pytest.mark.parametrize("balanced", [False, True])
def test_colour_alone_does_not_tell_the_class(balanced: bool) -> None:
    """The best class for each of 16³ colours, learnt on training images, stays under 35 % mIoU on others."""
    dataset = open_dataset("shapes", train=120, val=40)
    classes = len(dataset.classes)

    def bins(image: np.ndarray) -> np.ndarray:
        red, green, blue = (image // 16).astype(np.int64).transpose(2, 0, 1)
        return (red * 16 + green) * 16 + blue

    seen = np.zeros((16**3, classes))
    for sample in dataset.split("train"):
        pixels = bins(sample.read_image()) * classes + sample.read_mask()
        seen += np.bincount(pixels.ravel(), minlength=seen.size).reshape(seen.shape)
    if balanced:
        seen /= seen.sum(axis=0)
    best = seen.argmax(axis=1).astype(np.uint8)
    confusion = ConfusionMatrix(classes)
    for sample in dataset.split("val"):
        confusion.update(sample.read_mask(), best[bins(sample.read_image())])
    assert miou(confusion.matrix) < 0.35


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is a whole number"),
        ({"train": 2.5}, "train is a whole number"),
        ({"size": 8}, "size is 32 to 4096"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_dataset("shapes", **options)
