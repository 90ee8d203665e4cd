"""Samples: a photograph and its mask under one name, and the data set they belong to.

A `Sample` is all that training and evaluation know of a data set. Readers make `FileSample`s from files on disk; the
synthetic pictures draw theirs. A mask leaves here with the ids 0 … C-1 of the class table and `IGNORE` for void,
whatever ids the files hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..classes import IGNORE, ClassTable, Colour
from ..errors import UserError, nearest
from ..images import image_size, read_image, read_label_map

UNKNOWN = -1


class Sample(Protocol):
    """One photograph with its mask."""

    @property
    def name(self) -> str:
        """Unique within its split: a relative path without suffix, with "/" between folders."""

    def read_image(self) -> NDArray[np.uint8]:
        """The photograph, H×W×3 uint8 RGB."""

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1, `IGNORE` where void."""


def id_lookup(ids: Sequence[int], void: Iterable[int]) -> NDArray[np.int16]:
    """The table from ids on disk to labels: `ids[k]` → k, each of `void` → `IGNORE`, every other id → `UNKNOWN`.

    An id in both is a class: 255 is void unless it is named.
    One entry past the largest id stands for all ids beyond it (and, as index -1, for negative ones).
    """
    void = list(void)
    lookup = np.full(max([*ids, *void]) + 2, UNKNOWN, dtype=np.int16)
    lookup[void] = IGNORE
    lookup[list(ids)] = np.arange(len(ids))
    return lookup


@dataclass(frozen=True, eq=False)
class FileSample:
    """A photograph and a mask in two files; `lookup` (see `id_lookup`) gives the ids on disk their labels."""

    name: str
    image: Path
    mask: Path
    classes: ClassTable
    lookup: NDArray[np.int16]

    def read_image(self) -> NDArray[np.uint8]:
        """The photograph, H×W×3 uint8 RGB, upright.

        Raises:
            UserError: the file is missing, damaged or no picture.
        """
        return read_image(self.image)

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1, `IGNORE` where void.

        Raises:
            UserError: the file is missing, damaged, holds colours, is of another size than the photograph, or holds ids
                that are not in the class table.
        """
        labels = self.read_labels()
        check_size(self.mask, labels.shape, self.image)
        return labels

    def read_labels(self) -> NDArray[np.uint8]:
        """As `read_mask`, at the size that the mask has on disk."""
        ids = read_label_map(self.mask)
        if ids.dtype == np.uint8:
            labels, unknown = self._of_bytes(ids.tobytes())
            labels = labels.reshape(ids.shape)
        else:
            found = self.lookup[np.clip(ids, -1, len(self.lookup) - 1)]
            labels, unknown = found.astype(np.uint8), np.unique(ids[found == UNKNOWN])
        if unknown.size:
            raise UserError(
                f"{self.mask} holds ids that are no class: {_listed(unknown)}; the class table knows"
                f" {_listed(np.flatnonzero(self.lookup != UNKNOWN))}, void included; correct the mask or the table"
            )
        return labels

    def _of_bytes(self, ids: bytes) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
        """Labels, and ids that have none. The translation of bytes is several times faster than indexing."""
        lookup = self.lookup[np.minimum(np.arange(256), len(self.lookup) - 1)]
        pixels = bytearray(ids)
        unknown = sorted(set(pixels.translate(None, bytes(np.flatnonzero(lookup != UNKNOWN).tolist()))))
        labels = pixels.translate(lookup.astype(np.uint8).tobytes())
        return np.frombuffer(labels, np.uint8), np.array(unknown, np.int64)


@dataclass(frozen=True, eq=False)
class ColourSample:
    """A photograph and a mask that shows its classes in colours.

    Attributes:
        labels: the label (an id of `classes`, or `IGNORE`) of each RGB colour that a mask may hold.
    """

    name: str
    image: Path
    mask: Path
    classes: ClassTable
    labels: Mapping[Colour, int]

    def read_image(self) -> NDArray[np.uint8]:
        """The photograph, H×W×3 uint8 RGB, upright.

        Raises:
            UserError: the file is missing, damaged or no picture.
        """
        return read_image(self.image)

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1, `IGNORE` where void.

        Raises:
            UserError: the file is missing, damaged, of another size than the photograph, or holds colours that stand
                for no class.
        """
        labels = self.read_labels()
        check_size(self.mask, labels.shape, self.image)
        return labels

    def read_labels(self) -> NDArray[np.uint8]:
        """As `read_mask`, at the size that the mask has on disk."""
        colours = read_image(self.mask)
        codes = colours.astype(np.int32) @ _CODE
        known = np.array(sorted(np.dot(colour, _CODE) for colour in self.labels))
        place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        if (wrong := codes[known[place] != codes]).size:
            found = [f"({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in np.unique(wrong)[:4].tolist()]
            raise UserError(
                f"{self.mask} holds colours that are no class: {', '.join(found)}; save masks without smoothing and"
                " without JPEG, or add the colours to the class table"
            )
        labels = {int(np.dot(colour, _CODE)): label for colour, label in self.labels.items()}
        return np.array([labels[code] for code in known.tolist()], dtype=np.uint8)[place]


_CODE = np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
"""A colour times this is one number."""


def check_size(mask: Path, shape: tuple[int, ...], image: Path) -> None:
    """Check that a mask of `shape` = (height, width) has the size of its photograph, whose header alone is read.

    Raises:
        UserError: it has not.
    """
    size = image_size(image)
    if shape != size:
        raise UserError(
            f"{mask} is {shape[1]}×{shape[0]} pixels but its photograph {image} is {size[1]}×{size[0]}; save the mask"
            " at the photograph's size"
            + (", or have it fitted with --set data.resize_masks=true" if _same_shape(shape, size) else "")
        )


def _same_shape(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two pictures (height, width) have the same shape, up to one pixel of the larger by rounding."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


@runtime_checkable
class Fittable(Protocol):
    """A sample whose mask can be had at its own size; `fit_masks` brings it to the photograph's."""

    @property
    def name(self) -> str:
        """As a `Sample`'s."""

    @property
    def image(self) -> Path:
        """The file of the photograph."""

    @property
    def mask(self) -> Path:
        """The file of the mask."""

    def read_image(self) -> NDArray[np.uint8]:
        """As a `Sample`'s."""

    def read_labels(self) -> NDArray[np.uint8]:
        """As a `Sample`'s `read_mask`, at the size that the mask has on disk."""


@dataclass(frozen=True, eq=False)
class FittedSample:
    """A sample whose mask is brought to the size of its photograph where both have the same shape."""

    sample: Fittable

    @property
    def name(self) -> str:
        """That of the sample."""
        return self.sample.name

    def read_image(self) -> NDArray[np.uint8]:
        """The photograph, H×W×3 uint8 RGB."""
        return self.sample.read_image()

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: a pixel has the label that the mask has at its middle (nearest neighbour).

        Raises:
            UserError: as the sample's, and on a mask of another shape than its photograph.
        """
        labels = self.sample.read_labels()
        size = image_size(self.sample.image)
        if not _same_shape(labels.shape, size):
            check_size(self.sample.mask, labels.shape, self.sample.image)
        nearest_rows, nearest_columns = (
            (2 * np.arange(wanted) + 1) * there // (2 * wanted)
            for wanted, there in zip(size, labels.shape, strict=True)
        )
        return labels[np.ix_(nearest_rows, nearest_columns)]


def fit_masks(dataset: Dataset) -> Dataset:
    """The data set with masks that are smaller or larger than their photographs, but of the same shape, fitted.

    Samples whose masks are not files of their own (they are drawn at the photograph's size) stay as they are.
    """
    splits = {
        split: [FittedSample(sample) if isinstance(sample, Fittable) else sample for sample in samples]
        for split, samples in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


@dataclass(frozen=True, eq=False)
class ReducedSample:
    """A sample made smaller by a whole factor, for small budgets: n pixels become ⌈n / factor⌉.

    A pixel of the photograph is the mean of a square of `factor` × `factor`, one of the mask the label in its middle.
    """

    sample: Sample
    factor: int

    @property
    def name(self) -> str:
        """That of the sample."""
        return self.sample.name

    def read_image(self) -> NDArray[np.uint8]:
        """The smaller photograph, ⌈H/factor⌉×⌈W/factor⌉×3 uint8 RGB."""
        return np.array(Image.fromarray(self.sample.read_image()).reduce(self.factor))

    def read_mask(self) -> NDArray[np.uint8]:
        """The smaller mask, ⌈H/factor⌉×⌈W/factor⌉ uint8."""
        mask = self.sample.read_mask()
        middles = [np.minimum(np.arange(0, side, self.factor) + self.factor // 2, side - 1) for side in mask.shape]
        return mask[np.ix_(*middles)]


def reduce_samples(samples: Sequence[Sample], factor: int) -> Sequence[Sample]:
    """The samples, each side of them `factor` times smaller (`ReducedSample`); as they are for 1."""
    return samples if factor == 1 else [ReducedSample(sample, factor) for sample in samples]


def _listed(ids: NDArray[np.integer]) -> str:
    """Ascending ids as text, runs shortened: "0-10, 255"; at most eight runs are written out."""
    runs = np.split(ids, np.flatnonzero(np.diff(ids) > 1) + 1)
    written = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:8]]
    return ", ".join(written) + (f" and {len(runs) - 8} more" if len(runs) > 8 else "")


@dataclass(frozen=True)
class Dataset:
    """A data set that has been opened: its samples by split, and what their labels mean.

    Attributes:
        format: the name of the reader.
        root: its folder; None where there is none.
        classes: the class table of all splits.
        splits: samples by the name of the split, in an order that is the same on every machine.
        notes: what the user should know of (files that were left out), one sentence each.
        problems: what would corrupt a training, one sentence each; `pan train` refuses to start on them.
    """

    format: str
    root: Path | None
    classes: ClassTable
    splits: Mapping[str, Sequence[Sample]]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def split(self, name: str) -> Sequence[Sample]:
        """The samples of one split.

        Raises:
            UserError: there is no such split, or it is empty.
        """
        where = self.root or self.format
        if name not in self.splits:
            raise UserError(f"{where} has no split '{name}'.{nearest(name, self.splits)}")
        if not self.splits[name]:
            raise UserError(f"the split '{name}' of {where} is empty; put photographs and masks there")
        return self.splits[name]


def check_samples(samples: Sequence[Sample], on_done: Callable[[], None] | None = None) -> None:
    """Decode every photograph and mask once, so that a broken one is known before work begins.

    Args:
        samples: what to check; a few threads share the work.
        on_done: called after each sample, in order, from the calling thread.

    Raises:
        UserError: the first problem in the order of the samples, and how many samples have one.
    """

    def problem(sample: Sample) -> str | None:
        try:
            sample.read_image()
            sample.read_mask()
        except UserError as error:
            return str(error)
        return None

    problems = []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for found in pool.map(problem, samples):
            if found is not None:
                problems.append(found)
            if on_done is not None:
                on_done()
    if problems:
        others = len(problems) - 1
        raise UserError(problems[0] + (f" … and {others} more of {len(samples)} have a problem" if others else ""))
