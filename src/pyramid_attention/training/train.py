"""Training from Python: what `pan train` does."""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from ..data import Dataset, check_samples, fit_masks, open_dataset, reduce_samples, remap_classes
from ..errors import UserError
from ..files import holds_files, owned
from ..inference import Segmenter
from ..inference.devices import is_out_of_memory, resolve_device
from ..models import SegmentationModel, build_model
from ..report.progress import progress
from .initial import load_trained, start_from
from .loaders import build_loaders
from .monitor import Monitor
from .recipe import Recipe, TrainRecipe, list_recipes, load_recipe
from .run_folder import RunFolder, finished_epochs, last_checkpoint
from .task import SegmentationTask

NO_EFFECT = ("data.path", "data.workers", "data.cache", "data.check")
"""Fields that may change when a run is resumed: the data may have moved, and the others do not touch the result."""
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True)
class TrainResult:
    """Where a run lies and how good its best model is.

    Attributes:
        folder: the run folder.
        model: the folder of the best model, in it.
        best_miou: mIoU of the best validation, 0 … 1.
        best_epoch: its epoch, counted from 1.
        val_split: the split it was measured on.
    """

    folder: Path
    model: Path
    best_miou: float
    best_epoch: int
    val_split: str


def _stored_recipe(folder: Path, resume: bool) -> Recipe | None:
    """The recipe of the run in a folder that is to be resumed; None where no run began.

    Raises:
        UserError: the folder holds other files, or a run that is not to be resumed.
    """
    if not resume and holds_files(folder):
        raise UserError(f"{folder} already holds files; go on with its run with resume=True, or choose another out=")
    if (folder / "recipe.yaml").exists():
        return load_recipe(folder / "recipe.yaml")
    if holds_files(folder):
        raise UserError(f"{folder} is not a run folder (it has no recipe.yaml); name the run to resume with out=")
    return None


def _refuse_changes(asked: Recipe, stored: Recipe, folder: Path) -> None:
    changed = [field for field in asked.differences(stored) if field not in NO_EFFECT]
    if changed:
        raise UserError(
            f"the run in {folder} was begun with another {', '.join(changed)}; resume it without recipe= and fields=,"
            " or begin a new run with another out="
        )


def settle(
    data: str | Path,
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    format: str | None = None,
    stored: Recipe | None = None,
) -> tuple[Recipe, Dataset]:
    """The recipe and the opened data set; each can decide the other (the format the recipe, the recipe the format).

    The data set has the masks and the classes that the recipe asks for (`data.resize_masks`, `data.classes`).

    Args:
        data, recipe, overrides, format: as `train` takes them.
        stored: the recipe of a run that is resumed.

    Raises:
        UserError: as `load_recipe`, `open_dataset` and `remap_classes`.
    """
    if recipe is None and stored is not None and not overrides:
        recipe = stored
    if recipe is None and str(data) == "shapes":
        recipe = "shapes"
    if recipe is not None:
        settled = load_recipe(recipe, overrides)
        dataset = open_dataset(data, format or settled.data.format, **settled.data.options)
    else:
        dataset = open_dataset(data, format)
        settled = load_recipe(dataset.format if dataset.format in list_recipes() else "finetune", overrides)
        if settled.data.options or settled.data.format not in (None, dataset.format):
            dataset = open_dataset(data, format or settled.data.format, **settled.data.options)
    if settled.data.resize_masks:
        dataset = fit_masks(dataset)
    if settled.data.classes is not None:
        dataset = remap_classes(dataset, settled.data.classes)
    return settled.with_data(str(data), dataset.format), dataset


def check_data(recipe: Recipe, dataset: Dataset) -> None:
    """Find what would corrupt a training: problems of the data set and, where the recipe checks, every broken file.

    Raises:
        UserError: the first problem found, and how many more there are.
    """
    dataset.refuse_problems()
    samples = [dataset.split(name) for name in (recipe.data.train_split, recipe.data.val_split)]
    if recipe.data.check and dataset.root is not None:
        with progress("checking the data", sum(map(len, samples))) as advance:
            for split in samples:
                check_samples(split, advance)


def build_network(recipe: Recipe, dataset: Dataset) -> SegmentationModel:
    """The network of a recipe for the classes of a data set, as it is before training."""
    model = recipe.model
    torch.manual_seed(recipe.seed)
    network = build_model(
        model.architecture,
        num_classes=len(dataset.classes),
        backbone=model.backbone,
        pretrained=model.pretrained,
        output_stride=model.output_stride,
        in_channels=model.in_channels,
        context=model.context,
        decoder=model.decoder,
        **model.options,
    )
    network.classes = dataset.classes
    return network


def _trainer(folder: Path, train: TrainRecipe, device: torch.device, callbacks: list[pl.Callback]) -> pl.Trainer:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)  # its chatter about cores and callbacks
    if train.precision == "fp16" and device.type == "cpu":
        raise UserError("train.precision=fp16 needs a GPU; use bf16 or fp32 on the CPU")
    return pl.Trainer(
        default_root_dir=folder,
        max_epochs=train.epochs,
        accelerator={"cpu": "cpu", "cuda": "gpu", "mps": "mps"}[device.type],
        devices=1,
        precision=PRECISIONS[train.precision],  # type: ignore[arg-type]
        accumulate_grad_batches=train.accumulate,
        gradient_clip_val=train.clip,
        check_val_every_n_epoch=train.validate_every,
        num_sanity_val_steps=0,
        logger=TensorBoardLogger(folder, name=None, version="tensorboard"),
        callbacks=callbacks,
        enable_checkpointing=False,  # RunFolder writes the checkpoint
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _fit(trainer: pl.Trainer, task: SegmentationTask, loaders: tuple[Any, Any], checkpoint: Path | None) -> None:
    """Run Lightning's loop; a failure that the user can mend becomes a `UserError`."""
    train = task.train_recipe
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
            trainer.fit(task, *loaders, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:  # what Lightning makes of an interrupt
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    except UserError as error:  # from a loader process it comes wrapped in the process's traceback
        raise UserError(str(error).rpartition("UserError: ")[2]) from error
    except (RuntimeError, MemoryError) as error:
        if "killed by signal: Terminated" in str(error):  # the request to end reached a loader process before this one
            raise KeyboardInterrupt from error
        if is_out_of_memory(error):
            raise UserError(
                f"out of memory; lower train.batch_size (now {train.batch_size}; train.accumulate makes up for it) or"
                " data.crop, set train.precision=bf16, or choose a smaller model.backbone"
            ) from error
        if "loading state_dict" in str(error):
            raise UserError(
                f"{checkpoint} does not fit this network; the data set's classes must be those the run was begun with"
            ) from error
        raise


def train(
    data: str | Path,
    recipe: str | Path | Recipe | None = None,
    overrides: Iterable[str] = (),
    *,
    out: str | Path | None = None,
    resume: bool = False,
    format: str | None = None,
    device: str = "auto",
) -> TrainResult:
    """Train a network and leave the best one in the run folder.

    Args:
        data: a data set's folder in any format the readers know, or "shapes".
        recipe: a built-in name, a .yaml file or a `Recipe`; by default "shapes", "camvid" or "finetune", by the format.
        overrides: recipe fields as "train.epochs=5".
        out: the run folder; by default runs/NAME, with a number where that is taken.
        resume: go on with the run in `out`; where it was killed before it began, begin it.
        format: the reader's name; found by looking where it is not given.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: anything in data, recipe, folder or machine that the user can mend.
    """
    overrides = list(overrides)
    where = resolve_device(device)
    if out is None:
        if resume:
            raise UserError("resume=True needs out=, the folder of the run to go on with")
        settled, dataset = settle(data, recipe, overrides, format)
        name = dataset.format if dataset.root is None else dataset.root.resolve().name
        with owned(Path("runs") / name, "run", numbered=True) as folder:
            return _train(folder, settled, dataset, None, where)
    _stored_recipe(Path(out), resume)  # before anything is written there
    with owned(out, "run") as folder:
        stored = _stored_recipe(folder, resume)
        settled, dataset = settle(data, recipe, overrides, format, stored)
        if stored is not None:
            _refuse_changes(settled, stored, folder)
        return _train(folder, settled, dataset, stored, where)


def _train(folder: Path, settled: Recipe, dataset: Dataset, stored: Recipe | None, where: torch.device) -> TrainResult:
    """Train into a folder that is ours, from its last checkpoint where there is one."""
    for note in dataset.notes:
        print(note, file=sys.stderr)
    check_data(settled, dataset)
    splits = (settled.data.train_split, settled.data.val_split)
    samples = [reduce_samples(dataset.split(name), settled.data.reduce) for name in splits]
    network = build_network(settled, dataset)
    checkpoint = last_checkpoint(folder) if last_checkpoint(folder).exists() else None
    epochs_done = finished_epochs(checkpoint) if checkpoint else 0
    if settled.model.init is not None and checkpoint is None:
        start = start_from(network, load_trained(settled.model.init))
        print(f"{settled.model.init}: {start}", file=sys.stderr)
    loaders = build_loaders(settled, samples[0], samples[1], where, epochs_done)
    steps = settled.train.epochs * math.ceil(len(loaders[0]) / settled.train.accumulate)
    task = SegmentationTask(network, settled, steps)
    if settled.train.channels_last:
        task.to(memory_format=torch.channels_last)
    run = RunFolder(folder, settled)
    trainer = _trainer(folder, settled.train, where, [run, Monitor(run, settled.train.batch_size)])
    if stored is None:
        settled.save(folder / "recipe.yaml")  # from here on there is a run to resume
    _fit(trainer, task, loaders, checkpoint)
    run.finish(Segmenter.load(folder / "model", device=where.type), samples[1])
    assert run.best is not None
    return TrainResult(folder, folder / "model", run.best["miou"], run.best["epoch"], settled.data.val_split)
