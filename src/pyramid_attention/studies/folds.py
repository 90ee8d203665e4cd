"""Cross-validation: one recipe trained K times, each time validated on another part of the images.

Whole groups (patients, videos, scenes) stay in one fold, where the data set has groups or a pattern names them. The
parts follow from the names alone, so they are the same on every machine and when a run is resumed.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..data import Dataset, Reading, open_dataset
from ..data.holdout import find_groups, number
from ..errors import UserError
from ..files import holds_files, owned, whole_file, write_json
from ..report.tables import markdown, percent
from ..training import Recipe, load_recipe, train
from ..training.processes import find_launcher


@dataclass(frozen=True)
class FoldsResult:
    """What a cross-validation found.

    Attributes:
        folder: of the cross-validation; run k lies in its `fold-k`.
        runs: the run folders.
        miou: mIoU of each fold's best validation, 0 … 1.
        mean, deviation: of these; the standard deviation of a sample, n - 1.
        table: of classes and folds, in Markdown.
    """

    folder: Path
    runs: tuple[Path, ...]
    miou: tuple[float, ...]
    mean: float
    deviation: float
    table: str


def divide(groups: Sequence[str], count: int) -> list[int]:
    """The fold of each image, 0 … count - 1: whole groups, the largest first, each to the fold with fewest images.

    Args:
        groups: the group of each image.
        count: of folds.

    Raises:
        UserError: there are fewer groups than folds, or fewer than two folds.
    """
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise UserError(f"folds={count} divide groups of images, and there is one alone; leave folds= out")
    if not 2 <= count <= len(sizes):
        raise UserError(
            f"folds={count} is not possible with {len(groups)} images in {len(sizes)} groups; each fold needs a group"
            f" of its own, so give 2 to {len(sizes)}"
        )
    filled, fold = [0] * count, {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], number(group))):
        fold[group] = filled.index(min(filled))
        filled[fold[group]] += sizes[group]
    return [fold[group] for group in groups]


def make_folds(dataset: Dataset, count: int) -> list[Dataset]:
    """The data set once for each fold, which is its `val`, while the other folds are its `train`.

    Divided is `train`, and what was held out of it for validation. A `val` of the data set's own takes no part: in each
    fold it is the split `own-val`, and stays for the comparison of what was trained.

    Raises:
        UserError: it cannot be divided into so many.
    """
    reading = dataset.reading
    own = "val" in dataset.splits and reading.held_out is None
    samples = [*dataset.split("train"), *(() if own else dataset.splits.get("val", ()))]
    samples.sort(key=lambda sample: sample.name)
    names = [sample.name for sample in samples]
    groups = find_groups(names, reading.group, dataset.groups) or names
    place = divide(groups, count)
    others = {"own-val" if name == "val" else name: of for name, of in dataset.splits.items() if own or name != "val"}
    folds = []
    for fold in range(count):
        held = [sample for sample, where in zip(samples, place, strict=True) if where == fold]
        rest = [sample for sample, where in zip(samples, place, strict=True) if where != fold]
        out = tuple(sorted({group for group, where in zip(groups, place, strict=True) if where == fold}))
        note = f"fold {fold + 1} of {count}: {len(held)} of {len(samples)} images are held out"
        folds.append(
            replace(
                dataset,
                splits={**others, "train": rest, "val": held},
                notes=(note,),
                reading=reading if own else replace(reading, held_out=out),
            )
        )
    return folds


def train_folds(
    data: str | Path | Dataset,
    folds: int,
    recipe: str | Path | Recipe | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    format: str | None = None,
    device: str = "auto",
    fields: Mapping[str, Any] | None = None,
) -> FoldsResult:
    """Train a recipe once for each fold of a data set, and put what they found into one table.

    Args:
        data: a data set's folder in any format the readers know, the word "shapes", or an opened data set.
        folds: how many.
        recipe, format, device, fields: see `train`.
        out: the folder; by default folds/NAME, with a number where that is taken. Run k goes to its `fold-k`.
        resume: go on with the cross-validation in `out`: finished runs stay, one that was killed goes on.

    Raises:
        UserError: as `train`; the data set cannot be divided into so many folds; or the folder holds something else.
    """
    if find_launcher() is not None:
        raise UserError("folds= starts its own processes; leave torchrun or SLURM out and set train.devices")
    if resume and out is None:
        raise UserError("resume=True needs out=, the folder of the cross-validation to go on with")
    asked = dict(fields or {})
    if isinstance(data, Dataset):
        dataset = data
    else:
        wanted = load_recipe(recipe or ("shapes" if str(data) == "shapes" else "finetune"), asked).data
        reading = Reading.of(wanted.model_dump())
        dataset = open_dataset(data, format or wanted.format, reading=reading, **wanted.options)
        asked.pop("data.options", None)
    parts = make_folds(dataset, folds)
    name = dataset.format if dataset.root is None else dataset.root.resolve().name
    plan = {"folds": [[sample.name for sample in part.split("val")] for part in parts]}
    if out is not None:
        _refuse_another(Path(out), plan, resume)  # before anything is written there
    with owned(Path("folds") / name if out is None else out, "cross-validation", numbered=out is None) as folder:
        _refuse_another(folder, plan, resume)
        write_json(folder / "plan.json", plan)
        runs = tuple(folder / f"fold-{index}" for index in range(1, folds + 1))
        for index, (run, part) in enumerate(zip(runs, parts, strict=True), 1):
            if not (run / "metrics.json").exists():
                print(f"[{index}/{folds}] fold {index}", file=sys.stderr, flush=True)
                train(part, recipe, out=run, resume=True, device=device, fields=asked)
        best = [json.loads((run / "metrics.json").read_text(encoding="utf-8"))["best"] for run in runs]
        miou = tuple(float(one["miou"]) for one in best)
        result = FoldsResult(folder, runs, miou, statistics.mean(miou), statistics.stdev(miou), fold_table(best))
        write_json(
            folder / "folds.json",
            {"miou": list(miou), "mean": result.mean, "deviation": result.deviation, "best": best},
        )
        with whole_file(folder / "folds.md") as temporary:
            temporary.write_text(result.table, encoding="utf-8")
    return result


def _refuse_another(folder: Path, plan: Mapping[str, Any], resume: bool) -> None:
    """Check that a folder is empty, or holds this cross-validation and is to be gone on with."""
    if not holds_files(folder):
        return
    if not resume:
        raise UserError(
            f"{folder} already holds files; go on with its cross-validation with resume=True, or choose another out="
        )
    try:
        there = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{folder} holds no cross-validation (no plan.json); choose another out=") from None
    if there != plan:
        raise UserError(
            f"{folder} was begun with other images or another number of folds ({len(there['folds'])}); resume it with"
            " the same, or begin a new one with another out="
        )


def fold_table(metrics: Sequence[Mapping[str, Any]]) -> str:
    """IoU of each class in each fold, their mean and their standard deviation (n - 1), in Markdown."""
    head = ["class", *(f"fold {index}" for index in range(1, len(metrics) + 1)), "mean", "deviation"]
    values = {name: [one["per_class"][name]["iou"] for one in metrics] for name in metrics[0]["per_class"]}
    values["mIoU"] = [one["miou"] for one in metrics]

    def row(name: str, found: Sequence[float | None]) -> list[str]:
        known = [value for value in found if value is not None]
        mean = statistics.mean(known) if known else None
        deviation = statistics.stdev(known) if len(known) > 1 else math.nan
        spread = "–" if math.isnan(deviation) else percent(deviation)
        return [name, *map(percent, found), percent(mean), spread]

    return markdown([head, *(row(name, found) for name, found in values.items())]) + "\n"
