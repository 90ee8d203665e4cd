"""Fields of a recipe that follow from the data and the machine.

A recipe lists them under `auto`; a field that a file or the command line gives is no longer among them. Each choice is
a rule of a few lines with its reason, which goes into the run folder's `recipe.yaml` beside the value. What a budget of
time buys is in `budget.py`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from ..data import Dataset, Sample
from ..data.loading import epoch_length
from ..errors import UserError
from ..models import SegmentationModel
from .recipe import Auto, Recipe

MOST_READ = 200
"""Masks that are looked at; evenly spaced over the training split where it has more."""
LARGEST_CROP = {"cpu": 256, "cuda": 512, "mps": 512}
"""Height and width of a crop at most, by the kind of device."""
BATCH = {"cpu": 8, "cuda": 16, "mps": 16}
"""Images a step, likewise."""
RATE, RATE_BATCH = 1e-3, 8
"""AdamW's learning rate for a batch of that many."""
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 2400, 10, 120
VALIDATIONS = 20
"""In a run, at most."""
LEAST_SIDE = 8
"""Pixels that an object should still measure in a training image: two of the decoder's map."""
MEMORY_FACTOR = 2
"""What training takes of memory, as a multiple of the maps that it keeps for the gradient."""


@dataclass(frozen=True)
class Facts:
    """What of a data set and a machine decides how to train.

    Attributes:
        images: that an epoch of the training split has.
        size: the median height and the median width of those looked at, in pixels.
        pixels: of each class in the masks that were looked at.
        sides: for each class the √area, in pixels, of the region that the median of its pixels lies in (so that specks
            and holes count for little); nan where it has none.
        device: its kind, "cpu", "cuda" or "mps".
        bytes_per_pixel: of a training image: what the network keeps of it for the gradient.
        memory: bytes that are free on the device; None where the system does not say.
    """

    images: int
    size: tuple[int, int]
    pixels: tuple[int, ...]
    sides: tuple[float, ...]
    device: str
    bytes_per_pixel: float
    memory: int | None


def look_at(samples: Sequence[Sample], classes: int) -> tuple[tuple[int, int], tuple[int, ...], tuple[float, ...]]:
    """Median size, pixels of each class and sides of its regions (see `Facts`), by the masks of a training split."""
    chosen = [samples[i * len(samples) // MOST_READ] for i in range(MOST_READ)] if len(samples) > MOST_READ else samples

    def measure(sample: Sample) -> tuple[tuple[int, int], list[int], list[list[int]]]:
        mask = sample.read_mask()
        areas = [np.bincount(ndimage.label(mask == k)[0].ravel())[1:].tolist() for k in range(classes)]
        return (mask.shape[0], mask.shape[1]), [sum(of_class) for of_class in areas], areas

    with ThreadPoolExecutor() as pool:
        measured = list(pool.map(measure, chosen))
    height, width = (int(np.median(sides)) for sides in zip(*(size for size, _, _ in measured), strict=True))
    pixels = tuple(map(sum, zip(*(counts for _, counts, _ in measured), strict=True)))
    regions = [[area for _, _, areas in measured for area in areas[k]] for k in range(classes)]
    return (height, width), pixels, tuple(map(_side, regions))


def _side(areas: Sequence[int]) -> float:
    """√area of the region that the median pixel lies in."""
    ordered = sorted(areas)
    middle = np.searchsorted(np.cumsum(ordered), sum(ordered) / 2)
    return math.sqrt(ordered[int(middle)]) if ordered else math.nan


def kept_bytes_per_pixel(network: nn.Module, channels: int = 3, side: int = 128) -> float:
    """How many bytes a network keeps for the gradient, for each pixel of an image; the network stays as it is."""
    own = copy.deepcopy(network).cpu().train()
    parameters = {parameter.data_ptr() for parameter in own.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.random.fork_rng(devices=[]), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = own(torch.zeros(1, channels, side, side))  # while these live, no two maps share an address
    del logits
    return sum(size for place, size in kept.items() if place not in parameters) / side**2


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device, or for the CPU that the system can make free; None where it does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def gather_facts(network: SegmentationModel, samples: Sequence[Sample], classes: int, device: torch.device) -> Facts:
    """Look at a training split, a network and the device it will be trained on."""
    size, pixels, sides = look_at(samples, classes)
    kept = kept_bytes_per_pixel(network, len(network.bands))
    return Facts(epoch_length(samples), size, pixels, sides, device.type, kept, free_memory(device))


def choose_crop(recipe: Recipe, facts: Facts) -> tuple[Any, str]:
    """As large as the median image, to a multiple of 32, and no larger than the device does many of."""
    largest = LARGEST_CROP[facts.device]
    height, width = (max(32, min(largest, side // 32 * 32)) for side in facts.size)
    why = f"the median image is {facts.size[1]}×{facts.size[0]}; at most {largest} on {facts.device}"
    return (height, width), why


def choose_scale(recipe: Recipe, facts: Facts) -> tuple[Any, str]:
    """Half to double, but no smaller than leaves the class of the smallest objects something to see."""
    sides = [side for side in facts.sides if not math.isnan(side)]
    smallest = min(sides, default=math.inf)
    least = round(min(1.0, max(0.5, LEAST_SIDE / smallest)), 2)
    if math.isinf(smallest):
        return (least, 2.0), "half to double"
    kept = "half to double leaves them enough" if least == 0.5 else f"smaller, they would be below {LEAST_SIDE} pixels"
    return (least, 2.0), f"the class of the smallest objects lies in regions of {smallest:.0f} pixels a side; {kept}"


def choose_batch_size(recipe: Recipe, facts: Facts) -> tuple[Any, str]:
    """What the device is given, halved until it fits into half of the free memory, and no more than there are."""
    wanted = BATCH[facts.device]
    one = MEMORY_FACTOR * facts.bytes_per_pixel * math.prod(recipe.data.crop)
    batch = wanted
    while batch > 1 and facts.memory is not None and batch * one > facts.memory / 2:
        batch //= 2
    if batch > facts.images:
        return facts.images, f"all there are (else {batch})"
    needs = f"a step takes about {batch * one / 2**30:.2g} GiB of memory"
    return batch, f"{wanted} on {facts.device}; {needs}" if batch == wanted else f"{needs}, {wanted} would not fit"


def choose_learning_rate(recipe: Recipe, facts: Facts) -> tuple[Any, str]:
    """By the square root of the images a step."""
    batch = recipe.train.batch_size * recipe.train.accumulate
    rate = float(f"{RATE * math.sqrt(batch / RATE_BATCH):.2g}")
    return rate, f"{RATE:g} for {RATE_BATCH} images a step, by the square root of their number, now {batch}"


def choose_epochs(recipe: Recipe, facts: Facts) -> tuple[Any, str]:
    """About as many steps for every data set, within bounds."""
    steps = steps_of_an_epoch(recipe, facts.images)
    epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, math.ceil(STEPS / steps)))
    why = f"about {STEPS} steps of {steps} an epoch, but {LEAST_EPOCHS} to {MOST_EPOCHS} epochs"
    return epochs, f"{why}; no budget was given"


def choose_validate_every(recipe: Recipe, facts: Facts) -> tuple[Any, str]:
    """So that there are at most `VALIDATIONS`."""
    return math.ceil(recipe.train.epochs / VALIDATIONS), f"at most {VALIDATIONS} validations"


CHOICES: dict[Auto, Callable[[Recipe, Facts], tuple[Any, str]]] = {
    "data.crop": choose_crop,
    "data.scale": choose_scale,
    "train.batch_size": choose_batch_size,
    "train.learning_rate": choose_learning_rate,
    "train.epochs": choose_epochs,
    "train.validate_every": choose_validate_every,
}
"""By field, in an order in which each finds what it needs: the value and why."""


def steps_of_an_epoch(recipe: Recipe, images: int) -> int:
    """Optimiser steps; a last batch that is not full is left out where there are others."""
    batches = max(1, images // recipe.train.batch_size)
    return math.ceil(batches / recipe.train.accumulate)


def configure(recipe: Recipe, facts: Facts) -> tuple[Recipe, dict[str, str]]:
    """The recipe with every field chosen that it lists under `auto`, and why, by the field."""
    reasons: dict[str, str] = {}
    for name, choose in CHOICES.items():
        if name in recipe.auto:
            value, reasons[name] = choose(recipe, facts)
            recipe = recipe.with_fields({name: value})
    return recipe.model_copy(update={"auto": ()}), reasons


def refuse_hopeless(dataset: Dataset, recipe: Recipe) -> None:
    """Raise where there is nothing to tell apart, or nothing to validate on.

    Raises:
        UserError: there is one class, or one image.
    """
    names = dataset.classes.names
    if len(names) == 1:
        raise UserError(
            f"the data set has one class ('{names[0]}'), so there is nothing to tell apart; label what is not"
            f" '{names[0]}' as a class of its own, such as 'background'"
        )
    train = dataset.split(recipe.data.train_split)
    if len(train) == 1 and not dataset.splits.get(recipe.data.val_split):
        raise UserError(
            f"the data set has one image ({train[0].name}), so none is left to validate on; add another, or validate on"
            f" the same with data.val_split={recipe.data.train_split}"
        )
