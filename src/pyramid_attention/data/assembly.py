"""The data set that pairs of images and masks make, whichever reader has found them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .class_lists import ClassList
from .mask_files import read_stored
from .mask_survey import Masks, make_samples
from .meaning import Meaning
from .pairing import Pair, Report
from .reading import Reading
from .samples import Dataset
from .settings import Settings


def assemble(
    format: str,
    root: Path,
    splits: Mapping[str, Sequence[Pair]],
    reading: Reading,
    settings: Settings,
    lists: Sequence[ClassList],
    report: Report,
    objects: bool = False,
) -> Dataset:
    """The data set of pairs, when it has been found what their masks mean.

    Args:
        format, root: see `Dataset`.
        splits: pairs by split.
        reading, settings, lists: what is known of what the masks mean, the first that knows it counts.
        report: what has been said so far.
        objects: whether masks show one object each, so that not all need be read.

    Raises:
        UserError: the masks' values are no classes, or no mask can be read.
    """
    pairs = [pair for of in splits.values() for pair in of]
    files = [mask for pair in pairs for mask in pair.masks]
    meaning = Meaning.from_dict(reading.meaning) if reading.meaning is not None else settings.meaning(files)
    if meaning is None:
        labels = {mask: label for pair in pairs for mask, label in zip(pair.masks, pair.labels, strict=False) if label}
        masks = Masks(root, files, read_stored, objects)
        meaning = masks.find(lists, labels, settings.void)
        report.notes += masks.notes
    majority = reading.annotators == "majority"
    return Dataset(
        format,
        root,
        meaning.classes,
        {split: make_samples(of, meaning, majority) for split, of in splits.items()},
        tuple(dict.fromkeys(report.notes)),
        tuple(report.problems),
        replace(reading, meaning=meaning.to_dict()),
        {pair.name: pair.group for pair in pairs if pair.group},
    )
