"""Data sets made of others, as a recipe asks: masks fitted to their images, other classes, smaller images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..classes import IGNORE, ClassTable
from ..errors import UserError, nearest
from .samples import Dataset, MaskFileSample, Sample, check_size, same_shape, size_of
from .scenes import WindowSample


@dataclass(frozen=True, eq=False)
class DerivedSample:
    """What samples share that are made of another one: its name and, if nothing else is said, its image."""

    sample: Sample

    @property
    def name(self) -> str:
        """That of the sample."""
        return self.sample.name

    def read_image(self) -> NDArray[Any]:
        """The image, H×W×B."""
        return self.sample.read_image()


@dataclass(frozen=True, eq=False)
class FittedSample(DerivedSample):
    """A sample whose mask is brought to the size of its image where both have the same shape."""

    sample: MaskFileSample

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: a pixel has the label that the mask has at its middle (nearest neighbour).

        Raises:
            UserError: as the sample's, and on a mask of another shape than its image.
        """
        labels = self.sample.read_labels()
        size = size_of(self.sample.image)
        if not same_shape(labels.shape, size):
            check_size(self.sample.mask, labels.shape, self.sample.image)
        nearest_rows, nearest_columns = (
            (2 * np.arange(wanted) + 1) * there // (2 * wanted)
            for wanted, there in zip(size, labels.shape, strict=True)
        )
        return labels[np.ix_(nearest_rows, nearest_columns)]


def fit_masks(dataset: Dataset) -> Dataset:
    """The data set with masks that are smaller or larger than their images, but of the same shape, fitted.

    Samples whose masks are not files of their own (they are drawn at the image's size) stay as they are.
    """
    splits = {
        split: [FittedSample(sample) if isinstance(sample, MaskFileSample) else sample for sample in samples]
        for split, samples in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


@dataclass(frozen=True, eq=False)
class RemappedSample(DerivedSample):
    """A sample with other labels: `table` (256 uint8) holds the new label of each."""

    table: NDArray[np.uint8]

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask in the new classes, H×W uint8, `IGNORE` where void."""
        return self.table[self.sample.read_mask()]


def remap_classes(dataset: Dataset, mapping: Mapping[str, Sequence[str]]) -> Dataset:
    """The data set with new classes: each of `mapping` is made of those that it lists; what no one lists is void.

    Args:
        dataset: its class table gives the old names; a new class has the colour of the first in its list.
        mapping: old names by new name, the new ids in its order.

    Raises:
        UserError: a name that is no class of the data set, a class that is listed twice, or a list that is empty.
    """
    old = dataset.classes
    table = np.full(256, IGNORE, dtype=np.uint8)
    taken: dict[str, str] = {}
    for label, (new, names) in enumerate(mapping.items()):
        if not names:
            raise UserError(f"data.classes makes '{new}' of no class; list the data set's classes it is to hold")
        for name in names:
            if name not in old.names:
                raise UserError(
                    f"data.classes names '{name}', which is no class of {dataset.root or dataset.format}."
                    f"{nearest(name, old.names)}"
                )
            if name in taken:
                raise UserError(
                    f"data.classes has '{name}' twice, in '{taken[name]}' and in '{new}'; remove it from one"
                )
            taken[name] = new
            table[old.names.index(name)] = label
    colours = tuple(old.colours[old.names.index(names[0])] for names in mapping.values())
    classes = ClassTable(tuple(mapping), colours, old.void_name, old.void_colour)
    dropped = [name for name in old.names if name not in taken]
    notes = (f"void, as data.classes does not name them: {', '.join(dropped)}",) if dropped else ()
    splits = {
        split: [
            replace(one, scene=one.scene.remapped(table, classes))
            if isinstance(one, WindowSample)
            else RemappedSample(one, table)
            for one in samples
        ]
        for split, samples in dataset.splits.items()
    }
    return replace(dataset, classes=classes, splits=splits, notes=(*dataset.notes, *notes))


@dataclass(frozen=True, eq=False)
class ReducedSample(DerivedSample):
    """A sample made smaller by a whole factor, for small budgets: n pixels become ⌈n / factor⌉.

    A pixel of the image is the mean of a square of `factor` × `factor`, one of the mask the label in its middle.
    """

    factor: int

    def read_image(self) -> NDArray[Any]:
        """The smaller image, ⌈H/factor⌉×⌈W/factor⌉×B."""
        image = self.sample.read_image()
        if image.dtype == np.uint8 and image.shape[2] == 3:
            return np.array(Image.fromarray(image).reduce(self.factor))
        starts = [np.arange(0, side, self.factor) for side in image.shape[:2]]
        sums = np.add.reduceat(np.add.reduceat(image.astype(np.float64), starts[0], axis=0), starts[1], axis=1)
        rows, columns = (np.diff([*begins, side]) for begins, side in zip(starts, image.shape, strict=False))
        means: NDArray[np.float64] = sums / (rows[:, None] * columns)[..., None]
        return (means if image.dtype == np.float32 else np.rint(means)).astype(image.dtype)

    def read_mask(self) -> NDArray[np.uint8]:
        """The smaller mask, ⌈H/factor⌉×⌈W/factor⌉ uint8."""
        mask = self.sample.read_mask()
        middles = [np.minimum(np.arange(0, side, self.factor) + self.factor // 2, side - 1) for side in mask.shape]
        return mask[np.ix_(*middles)]


def reduce_samples(samples: Sequence[Sample], factor: int) -> Sequence[Sample]:
    """The samples, each side of them `factor` times smaller (`ReducedSample`); as they are for 1.

    Raises:
        UserError: they are windows of a scene.
    """
    if factor != 1 and isinstance(samples[0], WindowSample):
        raise UserError(
            "data.reduce is for images, and scenes are read as they are; write the scene at a lower resolution"
        )
    return samples if factor == 1 else [ReducedSample(sample, factor) for sample in samples]
