"""The demonstration: train a small PAN on synthetic shapes, measure it on test images, show some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import open_dataset
from ..evaluation import evaluate
from ..files import make_folder, owned
from ..images import write_image
from ..inference import Segmenter
from ..inference.predict import predict
from ..inference.sinks import CONFIDENCE, LABEL_MAP, FileSink, overlay_output
from ..inference.sources import find_images
from ..report.overlays import overlay_with_legend
from ..report.progress import progress
from ..report.tables import per_class_table
from ..training import load_recipe, train

IMAGES = 6


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found.

    Attributes:
        miou: on the test images, 0 … 1; images: how many there were.
        table: IoU and accuracy by class, as text.
        model: the folder of the trained model.
        outputs: what there is to look at, by description.
    """

    miou: float
    images: int
    table: str
    model: Path
    outputs: dict[str, Path]


def run_demo(
    out: str | Path, seed: int = 0, fields: Mapping[str, Any] | None = None, device: str = "auto"
) -> DemoResult:
    """Train by the `shapes` recipe, evaluate on its test split, segment some of its images as files.

    Args:
        out: the folder of all that is written; with a number at its name where it holds files already.
        seed: of the images and of the training.
        fields: recipe fields by their dotted names, as {"train.epochs": 1}.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: the folder cannot be made, or a recipe field is wrong.
    """
    with owned(out, "demonstration", numbered=True) as folder:
        return _run_demo(folder, seed, fields or {}, device)


def _run_demo(folder: Path, seed: int, fields: Mapping[str, Any], device: str) -> DemoResult:
    fields = {"seed": seed, "data.options.seed": seed, **fields}
    result = train("shapes", "shapes", out=folder / "run", device=device, fields=fields)
    segmenter = Segmenter.load(result.model, device=device)
    dataset = open_dataset("shapes", **load_recipe(result.folder / "recipe.yaml").data.options)
    test = dataset.split("test")
    with progress("evaluating on test images", len(test)) as advance:
        evaluation = evaluate(dataset, segmenter, "test", report=folder / "report", on_sample=advance)
    evaluation.save_json(folder / "test.json")
    images = make_folder(folder / "images")
    for sample in test[:IMAGES]:
        write_image(images / f"{Path(sample.name).name}.png", sample.read_image())
    outputs = [LABEL_MAP, overlay_output(overlay_with_legend), CONFIDENCE]
    with FileSink(folder / "predictions", outputs, made_by=segmenter.identity) as sink:
        predict(segmenter, find_images([images]), sink)
    metrics = evaluation.metrics()
    return DemoResult(
        metrics["miou"],
        metrics["images"],
        per_class_table(metrics),
        result.model,
        {
            "images, truth and prediction": result.folder / "samples.png",
            "the best and worst test images": folder / "report" / "worst_best.png",
            "which class is taken for which": folder / "report" / "confusion.png",
            "the course of the training": result.folder / "curves.png",
            "predictions and overlays of six images": folder / "predictions",
        },
    )
