"""Evaluation of a model on a data set: every image at its own size, one at a time, through the Segmenter."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Located, Model, ModelInfo
from ..classes import ClassTable
from ..data import Dataset, Reading, Sample, fit_masks, open_dataset, remap_classes
from ..errors import NoPairs, UserError
from ..files import result_files
from ..inference import DEFAULT_MODEL, Segmenter, SegmenterOptions
from ..inference.prefetch import prefetch
from .images import REPORT, write_report
from .result import Evaluation

if TYPE_CHECKING:
    from ..models import SegmentationModel


def evaluate_samples(
    segmenter: Segmenter,
    samples: Sequence[Sample],
    on_sample: Callable[[], None] | None = None,
    *,
    boundary: bool = False,
) -> Evaluation:
    """Segment the image of each sample and compare the labels with its mask.

    Args:
        segmenter: knows as many classes as the masks have.
        samples: each read in a thread while the network works on the one before.
        on_sample: called after each sample (a progress bar).
        boundary: count boundaries as well.

    Raises:
        UserError: an image or mask cannot be read.
    """

    def read(sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return sample.read_image(), sample.read_mask()

    result = Evaluation(segmenter.classes, boundary)
    for sample, reading in prefetch(read, samples):
        image, truth = reading.result()
        result.add(sample.name, truth, segmenter(image).labels)
        if on_sample is not None:
            on_sample()
    return result


def check_classes(model: ClassTable, data: ClassTable) -> None:
    """Check that a model's labels can be compared with a data set's: as many classes, and the same names in one order.

    Names that only one of the two has are accepted, since a model may have been trained before its classes were named.

    Raises:
        UserError: another number of classes, or a name that stands for another id.
    """
    if len(model) != len(data):
        raise UserError(
            f"the model has {len(model)} classes but the data set {len(data)}; give it data of the classes it was made"
            " for"
        )
    for index, name in enumerate(model.names):
        if name in data.names and data.names[index] != name:
            raise UserError(
                f"class '{name}' has id {index} in the model but {data.names.index(name)} in the data set; bring the"
                " data set's classes into the model's order"
            )


def open_as_trained(
    data: str | Path, info: ModelInfo, format: str | None = None, reading: Reading | None = None
) -> Dataset:
    """Open a data set in the way in which a model's training opened its own: patterns, classes, what is held out.

    Args:
        data, format: see `open_dataset`.
        info: of the model. Where the patterns in its recipe match nothing here, the data set is of another arrangement
            and is found by looking.
        reading: what is known of this data set; its patterns count before the recipe's.

    Raises:
        UserError: see `open_dataset`.
    """
    own = reading or Reading()
    trained = Reading.of(info.recipe.get("data", {}))
    if own == Reading() and trained.images is not None:
        try:
            return open_dataset(data, format, reading=trained)
        except NoPairs:
            pass
    divided = replace(
        own,
        held_out=trained.held_out,
        group=own.group or trained.group,
        bands=own.bands or trained.bands,
        val=own.val if own.val != Reading().val else trained.val,
    )
    return open_dataset(data, format, reading=divided)


def as_trained(dataset: Dataset, segmenter: Segmenter) -> Dataset:
    """Return the data set with the masks and classes that the model's recipe made of them for training.

    A data set that has the model's classes already keeps them.

    Raises:
        UserError: the recipe names a class that the data set does not have, or its images have other bands.
    """
    takes, bands = segmenter.info.bands, dataset.bands
    if (len(takes), takes.dtype) != (len(bands), bands.dtype):
        raise UserError(f"the model takes images of {takes}, and {dataset.root or dataset.format} has {bands}")
    recipe = segmenter.info.recipe.get("data", {})
    if recipe.get("resize_masks"):
        dataset = fit_masks(dataset)
    if recipe.get("classes") and dataset.classes.names != segmenter.classes.names:
        dataset = remap_classes(dataset, recipe["classes"])
    return dataset


def evaluate(
    data: str | Path | Dataset,
    model: Model | Sequence[Model] | Segmenter | SegmentationModel = DEFAULT_MODEL,
    split: str = "val",
    options: SegmenterOptions | None = None,
    *,
    boundary: bool = False,
    format: str | None = None,
    reading: Reading | None = None,
    report: str | Path | None = None,
    on_sample: Callable[[], None] | None = None,
    **fields: Any,
) -> Evaluation:
    """Evaluate a model on a split of a data set; what `pan eval` does.

    Classes that the model's recipe merged or dropped (`data.classes`) are so in the data set too, see `as_trained`.

    Args:
        data: a folder in any format the readers know, the word "shapes", or an opened data set.
        model: anything `Segmenter.load` takes, a network, or a Segmenter.
        split: "val", "train", … as the data set calls it.
        options: how the model is run; a Segmenter has its own.
        boundary: boundary IoU as well.
        format: the data set's format, where looking does not find it.
        reading: how the data set is read, where looking does not tell; by default as the model's recipe says.
        report: a folder for confusion.png, worst_best.png and per_class.md.
        on_sample: called after each image.
        fields: single fields of `SegmenterOptions`, in place of those of `options`: `device="cpu"`, `tta=True`.

    Raises:
        UserError: no such data, split or model; classes that do not fit; a file that cannot be read or written.
    """
    segmenter = _segmenter(model, options, fields)
    dataset = data if isinstance(data, Dataset) else open_as_trained(data, segmenter.info, format, reading)
    dataset.split(split)  # before anything is written
    with nullcontext() if report is None else result_files(report, REPORT) as folder:
        dataset = as_trained(dataset, segmenter)
        samples = dataset.split(split)
        check_classes(segmenter.classes, dataset.classes)
        result = evaluate_samples(segmenter, samples, on_sample, boundary=boundary)
        result.classes = dataset.classes
        if folder is not None:
            write_report(result, segmenter, samples, folder)
    return result


def _segmenter(
    model: Model | Sequence[Model] | Segmenter | SegmentationModel,
    options: SegmenterOptions | None,
    fields: dict[str, Any],
) -> Segmenter:
    if isinstance(model, Segmenter):
        if options is not None or fields:
            raise UserError("a Segmenter has options of its own; give them to it, or evaluate a model")
        return model
    if isinstance(model, (str, os.PathLike, Located, Sequence)):
        return Segmenter.load(model, options, **fields)
    return Segmenter(model, options, **fields)
