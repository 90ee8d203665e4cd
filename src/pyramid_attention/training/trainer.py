"""Training from Python: what `pan train` does."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from ..artifacts import load_model, read_info
from ..data import Dataset, Sample
from ..data.statistics import measure
from ..errors import UserError
from ..evaluation import check_classes
from ..files import owned
from ..images import RGB
from ..inference import Segmenter
from ..inference.devices import is_out_of_memory, resolve_device
from ..models import SegmentationModel
from ..models.blocks import convert_sync_batchnorm
from ..report.progress import progress
from .autoconfigure import configure, gather_facts, refuse_hopeless
from .budget import DECIDED, Limit, parse_budget, spend
from .distillation import load_teacher
from .initial import build_network, describe, start_from
from .loaders import build_loaders, open_samples
from .monitor import Monitor
from .processes import (
    Layout,
    count,
    fail,
    find_launcher,
    gather,
    is_alone,
    is_first,
    is_joined,
    joined,
    launch,
    machine_devices,
    say,
    share,
    together,
)
from .recipe import CommonFields, Recipe, TrainRecipe, dotted, load_recipe
from .recipe_files import tree_of
from .resolve import as_decided, fit_options, refuse_changes, resolve, stored_recipe
from .run_folder import RunFolder, finished_epochs, last_checkpoint
from .task import SegmentationTask

if TYPE_CHECKING:
    from typing_extensions import Unpack  # in typing from Python 3.11 on

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


def build_trainer(folder: Path, train: TrainRecipe, device: torch.device, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning's trainer, set up as a recipe says; what it logs goes into the folder.

    Raises:
        UserError: a precision that the device does not have.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)  # its chatter about cores and callbacks
    if train.precision == "fp16" and device.type == "cpu":
        raise UserError("train.precision=fp16 needs a GPU; use bf16 or fp32 on the CPU")
    return pl.Trainer(
        default_root_dir=folder,
        max_epochs=train.epochs,
        accelerator={"cpu": "cpu", "cuda": "gpu", "mps": "mps"}[device.type],
        devices=train.devices,
        num_nodes=train.nodes,
        strategy=DDPStrategy(cluster_environment=find_launcher(), broadcast_buffers=False) if is_joined() else "auto",
        use_distributed_sampler=False,  # the loaders give each process its share
        precision=PRECISIONS[train.precision],  # type: ignore[arg-type]
        accumulate_grad_batches=train.accumulate,
        gradient_clip_val=train.clip,
        check_val_every_n_epoch=train.validate_every,
        num_sanity_val_steps=0,
        logger=TensorBoardLogger(folder, name=None, version="tensorboard"),
        callbacks=callbacks,
        enable_checkpointing=any(isinstance(one, Checkpoint) for one in callbacks),  # RunFolder writes one in any case
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@contextmanager
def _writer_silent() -> Iterator[None]:
    """Keep TensorBoard's thread from printing why it could not write; the training meets the same fault."""
    before = threading.excepthook
    threading.excepthook = lambda fault: None if isinstance(fault.exc_value, OSError) else before(fault)
    try:
        yield
    finally:
        threading.excepthook = before


def _fit(trainer: pl.Trainer, task: SegmentationTask, loaders: tuple[Any, Any], checkpoint: Path | None) -> None:
    """Run Lightning's loop; a failure that the user can mend becomes a `UserError`."""
    train = task.train_recipe
    try:
        with _writer_silent(), warnings.catch_warnings():
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
    data: str | Path | Dataset,
    recipe: str | Path | Recipe | SegmentationModel | None = None,
    network: SegmentationModel | None = None,
    *,
    callbacks: Sequence[pl.Callback] = (),
    out: str | Path | None = None,
    resume: bool = False,
    format: str | None = None,
    device: str = "auto",
    budget: str | None = None,
    fields: Mapping[str, Any] | None = None,
    **common: Unpack[CommonFields],
) -> TrainResult:
    """Train a network and leave the best one in the run folder.

    Args:
        data: a data set's folder in any format the readers know, the word "shapes", or an opened data set.
        recipe: a built-in name, a .yaml file or a `Recipe`; by default "shapes", "camvid" or "finetune", by the format.
            A network in its place is trained by that default.
        network: a network to train as it is, in place, instead of the one that the recipe describes.
        callbacks: Lightning's, called before those that write the run folder. `val_miou` can be monitored.
        out: the run folder; by default runs/NAME, with a number where that is taken.
        resume: go on with the run in `out`; where it was killed before it began, begin it.
        format: the reader's name; found by looking where it is not given.
        device: "auto", "cpu", "cuda" or "mps".
        budget: how long the run may take, as "30m" or "1h30m": it decides train.epochs and train.validate_every. The
            speed of the machine is measured in a few steps first. A resumed run keeps what was decided.
        fields: recipe fields by their dotted names, as {"train.clip": 1.0}.
        common: recipe fields by their own names, as epochs=20.

    Raises:
        UserError: anything in data, recipe, folder or machine that the user can mend.
    """
    if isinstance(recipe, SegmentationModel):
        recipe, network = None, recipe
    asked = {**(fields or {}), **dotted(common)}
    if network is not None and "model" in tree_of(asked):
        raise UserError("network= is trained as it is; leave out the recipe's fields of model")
    if budget is not None and (both := [name for name in DECIDED if name in asked]):
        raise UserError(f"budget= decides {both[0]}; give one of the two")
    if resume and out is None:
        raise UserError("resume=True needs out=, the folder of the run to go on with")
    limit = None if budget is None else Limit(parse_budget(budget))
    where = resolve_device(device)
    order = _Order(data, recipe, network, tuple(callbacks), out, resume, format, where, limit, asked)
    if find_launcher() is not None:
        return _join(order)
    stored = None if out is None else stored_recipe(Path(out), resume)  # before anything is written there
    wanted = load_recipe(recipe or stored or "finetune", asked).train
    if wanted.nodes > 1:
        raise UserError(
            f"train.nodes={wanted.nodes}, and nothing says where the other machines are; start the run on each with"
            " torchrun or by SLURM"
        )
    if wanted.devices == 1 and wanted.strategy == "auto":
        return _train(order, Layout(1, 1))
    if wanted.devices > (there := machine_devices(where.type)):
        what = {"cpu": "core", "cuda": "CUDA device", "mps": "MPS device"}[where.type] + "s" * (there > 1)
        raise UserError(
            f"train.devices={wanted.devices}, but this machine has {there} {what}; set train.devices to at most {there}"
        )
    result = launch(wanted.devices, _join, order)
    if network is not None:
        _give_back(network, result)
    return result


@dataclass(frozen=True)
class _Order:
    """What `train` was asked for; it can be sent to other processes."""

    data: str | Path | Dataset
    recipe: str | Path | Recipe | None
    network: SegmentationModel | None
    callbacks: tuple[pl.Callback, ...]
    out: str | Path | None
    resume: bool
    format: str | None
    where: torch.device
    limit: Limit | None
    asked: dict[str, Any]

    def resolve(self, stored: Recipe | None, layout: Layout) -> tuple[Recipe, Dataset]:
        """Find the recipe and the data set, see `resolve`."""
        resolved, dataset = resolve(self.data, self.recipe, self.asked, self.format, stored)
        model = None if self.network is not None else fit_options(describe(resolved.model), self.asked)
        resolved = resolved.model_copy(update={"model": model})
        for name, there in (("train.devices", layout.devices), ("train.nodes", layout.nodes)):
            if self.asked.get(name, there) != there:
                raise UserError(f"{name}={self.asked[name]}, but {there} were started; leave it out, or start as many")
            resolved = resolved.with_fields({name: there})
        if stored is not None:
            assert self.out is not None
            resolved = as_decided(resolved, stored, () if self.limit is None else DECIDED)
            refuse_changes(resolved, stored, Path(self.out))
        return resolved, dataset


def _join(order: _Order) -> TrainResult:
    """Train as one of several processes."""
    if order.network is not None:  # the processes that `launch` starts share the memory of what they are sent
        order = replace(order, network=copy.deepcopy(order.network))
    launcher = find_launcher()
    assert launcher is not None
    with joined(launcher, order.where.type) as layout:
        return _train(order, layout)


def _give_back(network: SegmentationModel, result: TrainResult) -> None:
    """Give a network the weights that other processes trained it to."""
    state = torch.load(last_checkpoint(result.folder), map_location="cpu", weights_only=True)["state_dict"]
    own = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    network.load_state_dict(own)
    network.classes = read_info(result.model).classes


def _train(order: _Order, layout: Layout) -> TrainResult:
    """Train as the only process, or as one of several that have met: the first decides and writes, all compute."""
    with ExitStack() as held:
        folder = stored = None
        with together():
            if order.out is not None and is_first():
                folder = held.enter_context(owned(order.out, "run"))
                stored = stored_recipe(folder, order.resume)
        stored = share(stored)
        with together():
            recipe, dataset = order.resolve(stored, layout)
            if order.out is None and is_first():
                name = dataset.format if dataset.root is None else dataset.root.resolve().name
                folder = held.enter_context(owned(Path("runs") / name, "run", numbered=True))
        return _train_into(share(folder), order, recipe, dataset, stored)


def _train_into(
    folder: Path | None, order: _Order, recipe: Recipe, dataset: Dataset, stored: Recipe | None
) -> TrainResult:
    """Train into a folder that is ours, from its last checkpoint where there is one."""
    assert folder is not None
    network, where, limit = order.network, order.where, order.limit
    with together():
        if dataset.reading.images is not None:
            say(f"images are {dataset.reading.images}, masks {dataset.reading.masks}")
        for note in dataset.notes:
            say(note)
        refuse_hopeless(dataset, recipe)
        samples, val_samples = open_samples(recipe.data, dataset, recipe.train.devices)
        checkpoint = last_checkpoint(folder) if last_checkpoint(folder).exists() else None
        epochs_done = finished_epochs(checkpoint) if checkpoint else 0
        if network is not None:
            _take(network, dataset, samples)
        else:
            model = describe(recipe.model)
            network = build_network(model, dataset.classes, recipe.seed, dataset.bands)
            _measure(network, samples)
            if model.init is not None and checkpoint is None:
                say(f"{model.init}: {start_from(network, load_model(model.init))}")
        teacher = load_teacher(recipe.train, network)
    _refuse_differences(recipe, dataset, folder, epochs_done)
    reasons: dict[str, str] = {}
    with together():
        if stored is None and recipe.auto and is_first():
            recipe, reasons = configure(recipe, gather_facts(network, samples, len(dataset.classes), where))
    recipe = share(recipe)
    if not is_alone():
        network = convert_sync_batchnorm(network)
    if stored is None and limit is not None:
        recipe, more = spend(recipe, limit, network, samples, val_samples, where, teacher)
        reasons |= more
    with together():
        loaders = build_loaders(recipe, samples, val_samples, where, epochs_done, network)
    if recipe.train.batch_size % count():
        say(f"a batch of {recipe.train.batch_size} images on {count()} processes: some compute one image more")
    steps = recipe.train.epochs * math.ceil(len(loaders[0]) / recipe.train.accumulate)
    task = SegmentationTask(network, recipe, steps, teacher)
    if recipe.train.channels_last:
        task.to(memory_format=torch.channels_last)
    run = RunFolder(folder, recipe)
    own = [run, Monitor(run, recipe.train.batch_size)] if is_first() else [run]
    trainer = build_trainer(folder, recipe.train, where, [*order.callbacks, *own])
    if stored is None and is_first():
        recipe.save(folder / "recipe.yaml", reasons)  # from here on there is a run to resume
    _fit(trainer, task, loaders, checkpoint)
    if is_first():
        run.finish(Segmenter.load(folder / "model", device=where.type), val_samples)
    assert run.best is not None
    return TrainResult(folder, folder / "model", run.best["miou"], run.best["epoch"], recipe.data.val_split)


def _refuse_differences(recipe: Recipe, dataset: Dataset, folder: Path, epochs_done: int) -> None:
    """Check that all processes are about to do the same.

    Raises:
        UserError: a node has another recipe or other data, or does not see the run folder.
    """
    names = [
        [sample.name for sample in dataset.split(split)] for split in (recipe.data.train_split, recipe.data.val_split)
    ]
    plain = recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": None})})
    mine = {
        "recipe": plain.model_dump(mode="json"),
        "data": [dataset.classes.names, names],
        f"run folder {folder}": epochs_done,
    }
    first, *others = gather(
        {name: hashlib.sha256(json.dumps(value).encode()).hexdigest() for name, value in mine.items()}
    )
    hosts = gather(socket.gethostname())
    for place, other in enumerate(others, 1):
        for name, digest in first.items():
            if other[name] != digest:
                fail(
                    f"process {place} on {hosts[place]} does not have the {name} that process 0 on {hosts[0]} has; give"
                    " all nodes the same, on storage that all of them see"
                )


def _measure(network: SegmentationModel, samples: Sequence[Sample]) -> None:
    """Let a network normalise images by the statistics of its bands in the training split; in RGB by ImageNet's."""
    bands = network.bands
    if bands == RGB:
        return
    shown = progress("measuring the bands", len(samples)) if is_first() else nullcontext()
    with shown as advance:
        statistics = measure(samples, bands, advance)
    network.mean, network.std = (tuple((values / bands.scale).tolist()) for values in (statistics.mean, statistics.std))


def _take(network: SegmentationModel, dataset: Dataset, samples: Sequence[Sample]) -> None:
    """Make a network that was given ready for training on a data set.

    One that takes 8-bit images in RGB, as every network does at first, takes the data set's bands from now on.

    Raises:
        UserError: it was made for other classes or bands.
    """
    classes, bands = dataset.classes, dataset.bands
    if len(network.mean) != len(bands) or network.bands not in (RGB, bands):
        takes = network.bands if len(network.bands) == len(network.mean) else f"{len(network.mean)} bands"
        raise UserError(f"network= takes {takes}, and the data set has {bands}")
    if network.bands != bands:
        network.bands = bands
        _measure(network, samples)
    if network.classes is not None:
        check_classes(network.classes, classes)
    network.classes = classes
    if not network.training:  # as it was loaded; a part that is meant to stay in evaluation mode is left so
        network.train()
