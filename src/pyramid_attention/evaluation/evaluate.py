"""Evaluation of a model on a data set: every image at its own size, one at a time, through the Segmenter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classes import ClassTable
from ..data import Dataset, Sample, fit_masks, open_dataset, remap_classes
from ..data.readers import cityscapes
from ..errors import UserError
from ..files import make_folder, write_json
from ..inference import DEFAULT_MODEL, Segmenter, SegmenterOptions
from ..inference.prefetch import prefetch
from .boundary import BoundaryCounts
from .confusion import ConfusionMatrix
from .metrics import category_iou, mean, miou, plain, summarise


class Evaluation:
    """The result of an evaluation, and the place where it is gathered, an image at a time.

    Attributes:
        classes: what the labels mean.
        confusion: all counted pixels.
        boundary: the pixels on boundaries, where they are asked for (see `BoundaryCounts`).
        image_miou: mIoU of each single image by its sample's name, NaN where all of it is void.
    """

    def __init__(self, classes: ClassTable, boundary: bool = False) -> None:
        self.classes = classes
        self.confusion = ConfusionMatrix(len(classes))
        self.boundary = BoundaryCounts(len(classes)) if boundary else None
        self.image_miou: dict[str, float] = {}

    def add(self, name: str, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        """Count one image: `truth` and `prediction` H×W as in `ConfusionMatrix.update`."""
        single = ConfusionMatrix(len(self.classes))
        single.update(truth, prediction)
        self.confusion += single
        if self.boundary is not None:
            self.boundary.update(truth, prediction)
        self.image_miou[name] = miou(single.matrix)

    def metrics(self) -> dict[str, Any]:
        """The numbers as `pan eval --json` writes them: those of `metrics.summarise`, and `images`.

        With the classes of Cityscapes also `category_iou` (the mean) and `per_category` {name: IoU}; with boundaries
        `boundary_iou` (the mean), and each class's own in `per_class`.
        """
        names = self.classes.names
        numbers = {**summarise(self.confusion.matrix, names), "images": len(self.image_miou)}
        if names == cityscapes.CLASSES.names:
            groups = [[names.index(name) for name in group] for group in cityscapes.CATEGORIES.values()]
            overlaps = category_iou(self.confusion.matrix, groups)
            numbers["category_iou"] = plain(mean(overlaps))
            numbers["per_category"] = dict(zip(cityscapes.CATEGORIES, map(plain, overlaps), strict=True))
        if self.boundary is not None:
            overlaps = self.boundary.iou()
            numbers["boundary_iou"] = plain(mean(overlaps))
            for entry, overlap in zip(numbers["per_class"].values(), overlaps, strict=True):
                entry["boundary_iou"] = plain(overlap)
        return numbers

    def save_json(self, path: str | Path) -> None:
        """Write `metrics()` to a JSON file, whole or not at all."""
        write_json(path, self.metrics())


def evaluate_samples(
    segmenter: Segmenter,
    samples: Sequence[Sample],
    on_sample: Callable[[], None] | None = None,
    *,
    boundary: bool = False,
) -> Evaluation:
    """Segment each sample's image and compare with its mask.

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

    Names that only one side knows are let pass, since a model may have been trained before its classes were named.

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


def as_trained(dataset: Dataset, segmenter: Segmenter) -> Dataset:
    """The data set with masks and classes as the recipe in the model's metadata changed them for training.

    A data set that has the model's classes already keeps them.

    Raises:
        UserError: the recipe names a class that the data set does not have.
    """
    recipe = segmenter.metadata.get("recipe", {}).get("data", {})
    if recipe.get("resize_masks"):
        dataset = fit_masks(dataset)
    if recipe.get("classes") and dataset.classes.names != segmenter.classes.names:
        dataset = remap_classes(dataset, recipe["classes"])
    return dataset


def evaluate(
    data: str | Path | Dataset,
    model: str | Path | Segmenter = DEFAULT_MODEL,
    split: str = "val",
    options: SegmenterOptions | None = None,
    *,
    boundary: bool = False,
    format: str | None = None,
    report: str | Path | None = None,
    on_sample: Callable[[], None] | None = None,
    **fields: Any,
) -> Evaluation:
    """Evaluate a model on a split of a data set; what `pan eval` does.

    Classes that the model's recipe merged or dropped (`data.classes`) are so in the data set too, see `as_trained`.

    Args:
        data: a folder in any format the readers know, the word "shapes", or an opened data set.
        model: anything `Segmenter.load` takes, or a Segmenter.
        split: "val", "train", … as the data set calls it.
        options: how a model that is still to be loaded is run.
        boundary: boundary IoU as well.
        format: the data set's format, where looking does not find it.
        report: a folder for confusion.png, worst_best.png and per_class.md.
        on_sample: called after each image.
        fields: single fields of `SegmenterOptions`, in place of those of `options`: `device="cpu"`, `tta=True`.

    Raises:
        UserError: no such data, split or model; classes that do not fit; a file that cannot be read or written.
    """
    dataset = data if isinstance(data, Dataset) else open_dataset(data, format)
    dataset.split(split)  # before anything is written or loaded
    folder = None if report is None else make_folder(report)
    segmenter = model if isinstance(model, Segmenter) else Segmenter.load(model, options, **fields)
    dataset = as_trained(dataset, segmenter)
    samples = dataset.split(split)
    check_classes(segmenter.classes, dataset.classes)
    result = evaluate_samples(segmenter, samples, on_sample, boundary=boundary)
    result.classes = dataset.classes
    if folder is not None:
        from .images import write_report

        write_report(result, segmenter, samples, folder)
    return result
