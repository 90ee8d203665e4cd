"""Samples: an image and its mask under one name, and the data set they belong to.

A `Sample` is all that training and evaluation know of a data set. Readers make theirs from files on disk, most of them
`MaskFileSample`s; the synthetic images draw theirs. A mask leaves a sample with the ids 0 … C-1 of the class table
and `IGNORE` for void, whatever the files hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE, ClassTable, Colour
from ..errors import UserError, nearest
from ..images import (
    RGB,
    Bands,
    MaskValues,
    image_size,
    is_raster,
    open_raster,
    read_filled,
    read_image,
    read_label_map,
)
from .mask_files import ARRAY_SUFFIXES, read_stored, refuse_stack
from .reading import FOUND, Reading

UNKNOWN = -1


class Sample(Protocol):
    """One image with its mask."""

    @property
    def name(self) -> str:
        """Unique within its split: a relative path without suffix, with "/" between folders."""

    def read_image(self) -> NDArray[Any]:
        """The image, H×W×B of its data set's `bands`: H×W×3 uint8 in RGB where nothing else is said."""

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1, `IGNORE` where void."""


@dataclass(frozen=True, eq=False)
class ImageFileSample:
    """What samples share whose image is a file of its own.

    Attributes:
        bands: what the values of the image are; see `data.bands.find_bands`.
    """

    name: str
    image: Path
    bands: Bands = field(default=RGB, kw_only=True)

    def read_image(self) -> NDArray[Any]:
        """The image, H×W×B of `bands`: in RGB uint8, upright.

        Raises:
            UserError: the file is missing, damaged, no image, or has other bands.
        """
        if self.bands == RGB:
            refuse_stack(self.image)
            return read_image(self.image)
        if not is_raster(self.image, rgb=False):
            raise UserError(f"{self.image} is an image in RGB, and others of the data set have {self.bands}; remove it")
        raster = open_raster(self.image)
        try:
            places = self.bands.find(raster)
            return read_filled(raster, (0, raster.height), (0, raster.width), places, self.bands)
        finally:
            raster.close()


def size_of(image: Path) -> tuple[int, int]:
    """Height and width of an image file, whichever library opens it.

    Raises:
        UserError: it is missing, damaged or no image.
    """
    try:
        return image_size(image)
    except UserError:
        if not is_raster(image):
            raise
    raster = open_raster(image)
    raster.close()
    return raster.height, raster.width


@dataclass(frozen=True, eq=False)
class MaskFileSample(ImageFileSample, ABC):
    """What samples share whose mask is a file of its own, too."""

    mask: Path

    @abstractmethod
    def read_labels(self) -> NDArray[np.uint8]:
        """As `read_mask`, at the size that the mask has on disk.

        Raises:
            UserError: the file is missing, damaged, or holds what stands for no class.
        """

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1, `IGNORE` where void.

        Raises:
            UserError: as `read_labels`, and on a mask of another size than its image.
        """
        labels = self.read_labels()
        check_size(self.mask, labels.shape, self.image)
        return labels


def check_size(mask: Path, shape: tuple[int, ...], image: Path) -> None:
    """Check that a mask of `shape` = (height, width) has the size of its image, whose header alone is read.

    Raises:
        UserError: it has not.
    """
    size = size_of(image)
    if shape != size:
        raise UserError(
            f"{mask} is {shape[1]}×{shape[0]} pixels but its image {image} is {size[1]}×{size[0]}; save the mask"
            " at the image's size"
            + (", or have it fitted with --set data.resize_masks=true" if same_shape(shape, size) else "")
        )


def same_shape(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two images (height, width) have the same shape, up to one pixel of the larger by rounding."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


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
class FileSample(MaskFileSample):
    """A sample whose mask holds ids; `lookup` (see `id_lookup`) gives the ids on disk their labels."""

    lookup: NDArray[np.int16]

    def read_labels(self) -> NDArray[np.uint8]:
        """See `MaskFileSample`; a mask in colours is refused."""
        if self.mask.suffix.lower() in ARRAY_SUFFIXES:
            return self.translate(read_stored(self.mask, size_of(self.image)))
        return self.translate(MaskValues(read_label_map(self.mask)))

    def translate(self, values: MaskValues) -> NDArray[np.uint8]:
        """The labels of a mask's values; a `UserError` where some stand for no class."""
        ids = values.pixels
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
        same = (lookup == np.arange(256)) | (lookup == UNKNOWN)
        labels = pixels if same.all() else pixels.translate(lookup.astype(np.uint8).tobytes())
        return np.frombuffer(labels, np.uint8), np.array(unknown, np.int64)


@dataclass(frozen=True, eq=False)
class ColourSample(MaskFileSample):
    """A sample whose mask shows its classes in colours.

    Attributes:
        labels: the label (an id of the class table, or `IGNORE`) of each RGB colour that a mask may hold.
    """

    labels: Mapping[Colour, int]

    def read_labels(self) -> NDArray[np.uint8]:
        """See `MaskFileSample`."""
        return self.translate(read_stored(self.mask))

    def translate(self, values: MaskValues) -> NDArray[np.uint8]:
        """The labels of a mask's values; a `UserError` where some stand for no class."""
        pixels, palette, _ = values
        if pixels.ndim == 2:  # grey, or indexed by a palette: a table of few colours does
            ids, places = np.unique(pixels, return_inverse=True)
            pixels = (np.repeat(ids[:, None], 3, axis=1) if palette is None else palette[ids])[None]
        else:
            places = None
        codes = pixels.astype(np.int32) @ _CODE
        known = np.array(sorted(np.dot(colour, _CODE) for colour in self.labels))
        found = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        if (wrong := codes[known[found] != codes]).size:
            shown = [f"({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in np.unique(wrong)[:4].tolist()]
            raise UserError(
                f"{self.mask} holds colours that are no class: {', '.join(shown)}; save masks without smoothing and"
                " without JPEG, or add the colours to the class table"
            )
        labels = {int(np.dot(colour, _CODE)): label for colour, label in self.labels.items()}
        table = np.array([labels[code] for code in known.tolist()], dtype=np.uint8)[found]
        return table if places is None else table[0][places].reshape(places.shape)


_CODE = np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
"""A colour times this is one number."""


def _listed(ids: NDArray[np.integer]) -> str:
    """Ascending ids as text, runs shortened: "0-10, 255"; at most eight runs are written out."""
    runs = np.split(ids, np.flatnonzero(np.diff(ids) > 1) + 1)
    written = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:8]]
    return ", ".join(written) + (f" and {len(runs) - 8} more" if len(runs) > 8 else "")


@dataclass(frozen=True, eq=False)
class BrightSample(MaskFileSample):
    """A sample whose mask is bright where its one object is, and dark elsewhere, perhaps with soft edges.

    Attributes:
        threshold: the grey level from which a pixel is bright.
        label: of what is bright; what is dark has the label 0.
    """

    threshold: int
    label: int

    def read_labels(self) -> NDArray[np.uint8]:
        """See `MaskFileSample`; a mask in colours is refused."""
        return self.translate(read_stored(self.mask, size_of(self.image)))

    def translate(self, values: MaskValues) -> NDArray[np.uint8]:
        """The labels of a mask's values; a `UserError` where some stand for no class."""
        pixels, palette, _ = values
        if palette is not None:
            pixels = palette[pixels]
        if pixels.ndim == 3 and (pixels != pixels[:, :, :1]).any():
            raise UserError(f"{self.mask} shows colours where black and white are expected; save it in grey")
        return ((pixels if pixels.ndim == 2 else pixels[:, :, 0]) >= self.threshold).astype(np.uint8) * self.label


@dataclass(frozen=True, eq=False)
class CombinedSample(MaskFileSample):
    """A sample with several masks: one an object or a class, which are united, or one an annotator.

    Attributes:
        parts: a sample of each mask.
        majority: whether a pixel has the label that most of them give it (of equally many the first), as for
            annotators; else the last label that is not 0.
    """

    parts: tuple[MaskFileSample, ...]
    majority: bool

    def read_labels(self) -> NDArray[np.uint8]:
        """See `MaskFileSample`.

        Raises:
            UserError: a mask cannot be read, or two differ in size.
        """
        return self.read_united()[0]

    def read_united(self) -> tuple[NDArray[np.uint8], int]:
        """The labels, and in how many pixels two masks overlap (0 for annotators)."""
        united = self.parts[0].read_labels()
        others = []
        for part in self.parts[1:]:
            others.append(part.read_labels())
            if others[-1].shape != united.shape:
                raise UserError(f"{part.mask} and {self.mask} differ in size, though both are masks of {self.image}")
        if self.majority:
            masks = np.stack([united, *others])
            agreeing = np.stack([(masks == mask).sum(axis=0) for mask in masks])
            return np.take_along_axis(masks, np.argmax(agreeing, axis=0)[None], axis=0)[0], 0
        overlap = 0
        for other in others:
            overlap += int(((united != 0) & (other != 0)).sum())
            united = np.where(other != 0, other, united)
        return united, overlap


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
        reading: how it was read, so that it can be read in the same way again.
        groups: by the names of samples the video, scene or patient that they are of, where folders tell it.
        bands: what the values of its images are.
    """

    format: str
    root: Path | None
    classes: ClassTable
    splits: Mapping[str, Sequence[Sample]]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    reading: Reading = FOUND
    groups: Mapping[str, str] = field(default_factory=dict)
    bands: Bands = RGB

    def refuse_problems(self) -> None:
        """Raise where something would corrupt a training.

        Raises:
            UserError: the first problem, and how many there are.
        """
        if self.problems:
            others = len(self.problems) - 1
            more = f" … and {others} more problems; pan data inspect lists them all" if others else ""
            raise UserError(self.problems[0] + more)

    def split(self, name: str) -> Sequence[Sample]:
        """The samples of one split.

        Raises:
            UserError: there is no such split, or it is empty.
        """
        where = self.root or self.format
        if name not in self.splits:
            raise UserError(f"{where} has no split '{name}'.{nearest(name, self.splits)}")
        if not self.splits[name]:
            raise UserError(f"the split '{name}' of {where} is empty; put images and masks there")
        return self.splits[name]


@dataclass(frozen=True, eq=False)
class DecodedSample:
    """A sample in memory; its arrays are not to be written to."""

    name: str
    image: NDArray[Any]
    mask: NDArray[np.uint8]

    def read_image(self) -> NDArray[Any]:
        """The image, H×W×B."""
        return self.image

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8."""
        return self.mask


def check_samples(
    samples: Sequence[Sample], on_done: Callable[[], None] | None = None, *, keep: bool = False
) -> Sequence[Sample]:
    """Decode every image and mask once, so that a broken one is known before work begins.

    Args:
        samples: what to check; a few threads share the work.
        on_done: called after each sample, in order, from the calling thread.
        keep: what was decoded, and return that in place of the samples.

    Raises:
        UserError: the first problem in the order of the samples, and how many samples have one.
    """

    def read(sample: Sample) -> Sample | UserError:
        try:
            decoded = DecodedSample(sample.name, sample.read_image(), sample.read_mask())
        except UserError as error:
            return error
        return decoded if keep else sample

    found, problems = [], []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for one in pool.map(read, samples):
            if isinstance(one, UserError):
                problems.append(str(one))
            else:
                found.append(one)
            if on_done is not None:
                on_done()
    if problems:
        others = len(problems) - 1
        raise UserError(problems[0] + (f" … and {others} more of {len(samples)} have a problem" if others else ""))
    return found
