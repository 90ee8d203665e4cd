"""What an inspection suggests for training: a recipe, a crop, class weights, and the command line to copy."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from .inspect import Inspection, SplitInspection
from .published import VOC
from .reading import FOUND, Reading

MULTIPLE = 32
"""Sides of a crop are multiples of this: the coarsest map of a network is 1/32 of it."""
OPTIONS = tuple(field.name for field in fields(Reading) if field.metadata)


@dataclass(frozen=True)
class Advice:
    """A suggestion how to train.

    Attributes:
        recipe: the name of a built-in recipe.
        train_split: the split that crop and weights are made for.
        val_split: what to validate on; None where a split must be made first.
        crop: height and width of a training image in pixels.
        class_weights: one a class, see `median_frequency_weights`; None where no pixel is labelled.
        command: the `pan train` line, or the `pan data convert` line that makes a split to validate on.
        weights_option: what to add to it for the class weights; None where there are none.
    """

    recipe: str
    train_split: str
    val_split: str | None
    crop: tuple[int, int]
    class_weights: tuple[float, ...] | None
    command: str
    weights_option: str | None

    def to_dict(self) -> dict[str, Any]:
        """As plain lists, strings and numbers, for JSON."""
        return asdict(self)


def median_frequency_weights(split: SplitInspection) -> tuple[float, ...] | None:
    """Weights that balance the classes of a split (Eigen and Fergus, ICCV 2015).

    The frequency of a class is its pixels over all pixels of the images that show it; a class weighs the median of
    all frequencies over its own. A class that never occurs is left out of the median and weighs 1. Rounded to 0.001.
    """
    counts = split.counts
    pixels = counts[:, :-1].sum(axis=0)
    if not pixels.any():
        return None
    around = (counts[:, :-1] > 0).T @ counts.sum(axis=1)
    there = pixels > 0
    frequencies = pixels[there] / around[there]
    weights = np.ones(len(pixels))
    weights[there] = np.median(frequencies) / frequencies
    return tuple(np.maximum(weights, 0.001).round(3).tolist())


def option_words(reading: Reading, names: Collection[str] = OPTIONS) -> list[str]:
    """The options of the command line that say what `reading` says beside what is found by looking."""
    given = {name: getattr(reading, name) for name in names if getattr(reading, name) != getattr(FOUND, name)}
    texts = {name: ",".join(value) if isinstance(value, (tuple, list)) else str(value) for name, value in given.items()}
    return [word for name, text in texts.items() for word in (f"--{name}", text)]


def suggest(
    inspection: Inspection,
    crops: Mapping[str, tuple[int, int]],
    data: str,
    format: str | None = None,
    reading: Reading = FOUND,
) -> Advice:
    """What to train with.

    The recipe is the benchmark's where the data set is that benchmark, else "finetune"; the crop is the recipe's, made
    smaller where the median image is smaller, to a multiple of 32.

    Args:
        inspection: of the data set.
        crops: the built-in recipes and their crops, height and width.
        data, format, reading: how the user named the data set, its format and how to read it, for the command line.
    """
    dataset = inspection.dataset
    by_name = {split.name: split for split in inspection.splits}
    train = next((by_name[name] for name in ("train_aug", "train") if name in by_name), inspection.splits[0])
    val_split = "val" if dataset.splits.get("val") else None
    recipe = dataset.format if dataset.format in crops else "finetune"
    if recipe == "voc" and dataset.classes.names != VOC.names:
        recipe = "finetune"  # the layout, but someone's own images
    height, width = (
        max(MULTIPLE, min(crop, side // MULTIPLE * MULTIPLE))
        for crop, side in zip(crops[recipe], train.median_size or crops[recipe], strict=True)
    )
    named = [data, *(["--format", format] if format is not None else []), *option_words(reading)]
    if val_split is None:
        folder = Path(data).parent if Path(data).is_file() else Path(data)  # a manifest is copied from its folder
        beside = folder if folder.name.strip(".") else folder.resolve()
        words = ["pan", "data", "convert", data, f"{beside}-split", *named[1:], "--val", "0.2"]
    else:
        words = ["pan", "train", *named, "--recipe", recipe]
        if (height, width) != crops[recipe]:
            words += ["--set", f"data.crop=[{height},{width}]"]
        if train.name == "train_aug":
            words += ["--set", "data.train_split=train_aug"]
    weights = median_frequency_weights(train)
    option = None if weights is None else f"--set 'train.class_weights=[{','.join(map(str, weights))}]'"
    return Advice(recipe, train.name, val_split, (height, width), weights, shlex.join(words), option)
