"""What a budget of time buys: as many epochs as fit, by the speed of this machine, measured in a few steps.

The schedule's length follows from it before training begins, so a run with a budget is a run like any other: it can be
repeated from its recipe and resumed to the bit.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader

from ..data import Sample
from ..errors import UserError
from ..inference import Segmenter
from ..inference.engines.torch import TorchEngine
from ..models import SegmentationModel
from .autoconfigure import VALIDATIONS
from .distillation import Teacher
from .loaders import build_loaders
from .processes import count, gather, is_alone, share, sum_tensor, together
from .recipe import Recipe
from .schedule import build_optimizer
from .task import SegmentationTask

DECIDED = ("train.epochs", "train.validate_every")
"""The fields that a budget decides."""
UNITS = {"h": 3600, "m": 60, "s": 1}
STEPS, SECONDS = 8, 20.0
"""Training steps that are timed, at most so many and for at most so long, after one that is not."""
IMAGES = 4
"""Validation images that are timed."""
VALIDATION_SHARE = 0.15
"""The share of the time that validations may take."""
OVERHEAD = 0.5
"""Seconds of an epoch beside its steps: rows, checkpoint, curves."""
RESERVE = 0.04
"""Share of the budget that is left for the end: the best model again, the sheet of samples."""


def parse_budget(text: str) -> float:
    """Seconds of a text such as "30m", "90s" or "1h30m".

    Raises:
        UserError: it is no such text, or no time at all.
    """
    amounts = re.findall(r"(\d+(?:\.\d+)?)([hms])", text)
    seconds = sum(float(amount) * UNITS[unit] for amount, unit in amounts)
    if "".join(map("".join, amounts)) != text.strip() or seconds <= 0:
        raise UserError(f'budget= takes a time such as 30m or 1h30m, not "{text}"')
    return seconds


@dataclass(frozen=True)
class Speed:
    """Seconds that a training step and the validation of the whole split take."""

    step: float
    validation: float


class Limit:
    """A budget of seconds, which runs from now on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun = time.monotonic()

    @property
    def gone(self) -> float:
        """Seconds of it that have passed."""
        return time.monotonic() - self.begun


def measure(
    recipe: Recipe,
    network: SegmentationModel,
    batches: DataLoader[Any],
    val: Sequence[Sample],
    device: torch.device,
    patience: float = SECONDS,
    teacher: Teacher | None = None,
) -> Speed:
    """Train a copy of the network for a few steps and segment a few validation images; the network stays as it is.

    Steps are timed for `patience` seconds at most, but one in any case. Several processes measure together.
    """
    task = SegmentationTask(copy.deepcopy(network), recipe, STEPS + 1, teacher).to(device)
    if recipe.train.channels_last:
        task.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(task.network, task.network.backbone, recipe.train)
    seconds: list[float] = []
    with torch.random.fork_rng():
        begun = time.monotonic()
        for batch in itertools.chain.from_iterable(itertools.repeat(batches)):
            loss = task.training_step({name: tensor.to(device) for name, tensor in batch.items()}, 0)
            loss.backward()  # type: ignore[no-untyped-call]
            if not is_alone():
                sum_tensor(torch.cat([one.grad.flatten() for one in task.network.parameters() if one.grad is not None]))
            optimizer.step()
            optimizer.zero_grad()
            if task.averaged is not None:
                task.averaged.update(task.network, step=1)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.monotonic() - begun)  # with the wait for the batch
            begun = time.monotonic()
            if any(gather(len(seconds) > STEPS or sum(seconds[1:]) > patience)):
                break
    segmenter = Segmenter(TorchEngine(task.best_network, device))
    chosen = [val[i * len(val) // IMAGES] for i in range(IMAGES)] if len(val) > IMAGES else val
    segmenter(chosen[0].read_image())
    begun = time.monotonic()
    for sample in chosen:
        segmenter(sample.read_image())
    return Speed(statistics.median(seconds[1:]), (time.monotonic() - begun) / len(chosen) * len(val))


def spend(
    recipe: Recipe,
    limit: Limit,
    network: SegmentationModel,
    train: Sequence[Sample],
    val: Sequence[Sample],
    device: torch.device,
    teacher: Teacher | None = None,
) -> tuple[Recipe, dict[str, str]]:
    """The recipe with as many epochs as a budget buys on this machine, which is measured; and why, by the field.

    Raises:
        UserError: the budget does not reach for one epoch.
    """
    batches, _ = build_loaders(recipe, train, val, device, 0, network)
    measured = gather(measure(recipe, network, batches, val, device, min(SECONDS, limit.seconds / 10), teacher))
    speed = Speed(max(one.step for one in measured), max(one.validation for one in measured) / count())
    gone = share(limit.gone)
    with together():
        return plan(recipe, limit.seconds, gone, speed, len(batches))


def plan(recipe: Recipe, budget: float, spent: float, speed: Speed, batches: int) -> tuple[Recipe, dict[str, str]]:
    """The recipe with as many epochs as a budget buys, validated as often as costs little; and why, by the field.

    Args:
        recipe: with its batch decided.
        budget: seconds of the whole run.
        spent: seconds of it that are gone already.
        speed: of this machine.
        batches: of an epoch.

    Raises:
        UserError: the budget does not reach for one epoch.
    """
    left = budget * (1 - RESERVE) - spent
    epoch = batches * speed.step + OVERHEAD
    if left < epoch + speed.validation:
        steps = max(0, math.floor((left - speed.validation) / speed.step))
        least = math.ceil((spent + epoch + speed.validation) / (1 - RESERVE) / 60)
        raise UserError(
            f"a budget of {_words(budget)} buys {steps} of the {batches} steps of one epoch ({speed.step:.2g} s a step,"
            f" {_words(speed.validation)} for validation, {_words(spent)} gone); give budget={least}m or more, or a"
            " smaller data.crop"
        )
    often = min(VALIDATIONS, max(1, math.floor(left * VALIDATION_SHARE / max(speed.validation, 1e-9))))
    epochs = max(1, math.floor((left - often * speed.validation) / epoch))
    every = math.ceil(epochs / often)
    why = (
        f"what a budget of {_words(budget)} buys at {speed.step:.2g} s a step, {batches} steps an epoch, and"
        f" {_words(speed.validation)} a validation, as measured on this machine"
    )
    share = f"validations take at most {VALIDATION_SHARE:.0%} of the budget, and are {VALIDATIONS} at most"
    values = dict(zip(DECIDED, (epochs, every), strict=True))
    return recipe.with_fields(values), dict(zip(DECIDED, (why, share), strict=True))


def _words(seconds: float) -> str:
    return f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:.2g} s"
