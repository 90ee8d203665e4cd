"""The Lightning module: a step of training, and the validation of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from ..errors import UserError
from ..evaluation import Evaluation
from ..inference import Segmenter
from ..inference.engines.torch import TorchEngine
from ..models import SegmentationModel
from .distillation import Teacher
from .losses import CrossEntropy, Dice, OhemCrossEntropy, SumOfLosses
from .processes import gather
from .recipe import Recipe, TrainRecipe
from .schedule import build_optimizer, build_schedule

NamedPair = tuple[str, NDArray[Any], NDArray[np.uint8]]
"""A sample's name, its image (H×W×B) and its mask (H×W uint8)."""


def build_loss(train: TrainRecipe, class_names: tuple[str, ...]) -> nn.Module:
    """Make the loss that a recipe names.

    Raises:
        UserError: the number of class weights is not the number of classes.
    """
    weights = train.class_weights
    if weights is not None and len(weights) != len(class_names):
        raise UserError(
            f"train.class_weights has {len(weights)} values for {len(class_names)} classes ({', '.join(class_names)})"
        )
    if weights is not None and not any(weights):
        raise UserError("train.class_weights are all 0, so nothing would be learnt; give some class a weight")
    parts: dict[str, Callable[[], nn.Module]] = {
        "cross_entropy": lambda: CrossEntropy(weights, train.label_smoothing),
        "ohem": lambda: OhemCrossEntropy(train.ohem_threshold, train.ohem_keep, weights, train.label_smoothing),
        "dice": Dice,
    }
    losses = [parts[name]() for name in train.loss.split("+")]
    return losses[0] if len(losses) == 1 else SumOfLosses(*losses)


class SegmentationTask(pl.LightningModule):
    """A module that trains a network by a recipe and validates it through the `Segmenter` that prediction uses.

    Validation is always fp32 on whole images, one at a time, with the averaged weights where there are any: the
    number is the one `pan eval` gives for the saved model.

    Args:
        network: the network to train; its `classes` are set.
        recipe: the whole recipe.
        steps: optimiser steps of the whole run, for the learning-rate schedule.
        teacher: a trained network that is learnt from beside the labels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: SegmentationModel, recipe: Recipe, steps: int, teacher: Teacher | None = None) -> None:
        super().__init__()
        assert network.classes is not None
        self.network = network
        self.train_recipe = recipe.train
        self.steps = steps
        self.teacher = teacher
        self.loss = build_loss(recipe.train, network.classes.names)
        decay = recipe.train.ema
        self.averaged = (
            None if decay is None else ModelEmaV3(network, decay=decay, use_warmup=True).requires_grad_(False)
        )
        self.averaged_at = 0
        self.validation: Evaluation | None = None
        scale = network.bands.scale
        self.register_buffer("mean", torch.tensor(network.mean).view(1, -1, 1, 1) * scale, persistent=False)
        self.register_buffer("std", torch.tensor(network.std).view(1, -1, 1, 1) * scale, persistent=False)
        self.losses: list[Tensor] = []
        # A bound method, not a module: compiled code must not change the names in the state dict.
        self._forward = torch.compile(network.forward) if recipe.train.compile else network.__call__

    @property
    def best_network(self) -> SegmentationModel:
        """The network that is validated and saved: the averaged one where the recipe averages."""
        return self.network if self.averaged is None else cast(SegmentationModel, self.averaged.module)

    def normalise(self, images: Tensor) -> Tensor:
        """Return the values N×B×H×W of images as the floats that the backbone expects."""
        images = (images.float() - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last) if self.train_recipe.channels_last else images

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Return the loss of a batch: `image` N×B×h×w, `mask` N×h×w uint8."""
        logits, labels = self._forward(self.normalise(batch["image"])), batch["mask"].long()
        loss: Tensor = self.loss(logits, labels)
        if self.teacher is not None:
            loss = loss + self.teacher.loss(logits, batch["image"], labels)
        self.losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        """Update the averaged weights (EMA) after each step of the optimiser."""
        if self.averaged is not None and self.global_step > self.averaged_at:
            self.averaged.update(self.network, step=self.global_step)
            self.averaged_at = self.global_step

    def on_validation_epoch_start(self) -> None:
        """Begin an evaluation through the Segmenter that the user will have."""
        self.segmenter = Segmenter(TorchEngine(self.best_network, self.device))
        self.validation = Evaluation(self.segmenter.classes)

    def on_train_start(self) -> None:
        """Note how many steps a resumed run has done already."""
        self.averaged_at = self.global_step

    def take_losses(self) -> list[float]:
        """Return the losses of the batches since the last call, and forget them."""
        losses = torch.stack(self.losses).tolist() if self.losses else []
        self.losses = []
        return losses

    def validation_step(self, sample: NamedPair | None, index: int) -> None:
        """Segment one image and count its pixels against its mask; None where only other processes have one left."""
        assert self.validation is not None
        if sample is None:
            return
        name, image, mask = sample
        self.validation.add(name, mask, self.segmenter(image).labels)

    def on_validation_epoch_end(self) -> None:
        """Log `val_miou` and `val_pixel_accuracy`, which callbacks can monitor; of the images of all processes."""
        assert self.validation is not None
        first, *others = gather(self.validation)
        self.validation = sum(others, first)
        metrics = self.validation.metrics()
        for name in ("miou", "pixel_accuracy"):
            if metrics[name] is not None:  # all of the split is void
                self.log(f"val_{name}", metrics[name], logger=False)

    def take_validation(self) -> dict[str, Any] | None:
        """Return the metrics of the validation since the last call, or None if there was none."""
        validation, self.validation = self.validation, None
        return None if validation is None else validation.metrics()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save how images are normalised: a network that began from a trained one normalises as that one does."""
        checkpoint["normalisation"] = {"mean": list(self.network.mean), "std": list(self.network.std)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Normalise images as the run did before."""
        for name, values in checkpoint["normalisation"].items():
            setattr(self.network, name, tuple(values))
            setattr(self.best_network, name, tuple(values))
            getattr(self, name).copy_(torch.tensor(values).view(1, -1, 1, 1) * self.network.bands.scale)

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimiser, and its schedule by step."""
        optimizer = build_optimizer(self.network, self.network.backbone, self.train_recipe)
        schedule = build_schedule(optimizer, self.steps, self.train_recipe)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
