"""Optimisers and learning-rate schedules, by optimiser step.

`poly` is the paper's: rate × (1 − step/steps)^power (PAN section 4; ParseNet before it). `cosine` is SGDR's without
restarts (Loshchilov and Hutter, ICLR 2017). Both may rise linearly from 0 first.
"""

from __future__ import annotations

import math
from typing import Any

from torch import nn, optim

from .recipe import TrainRecipe


def rate_factor(step: int, steps: int, train: TrainRecipe) -> float:
    """Return the learning rate at `step` of `steps`, divided by the recipe's; it is 0 at the end."""
    warmup = round(train.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    if train.schedule == "poly":
        return float((1 - done) ** train.power)
    return 0.5 * (1 + math.cos(math.pi * done))


def build_optimizer(network: nn.Module, backbone: nn.Module, train: TrainRecipe) -> optim.Optimizer:
    """Make the recipe's optimiser; the backbone has its own rate, and norms and biases do not decay with AdamW.

    SGD decays every parameter, as the paper's framework did.
    """
    in_backbone = {id(parameter) for parameter in backbone.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        decays = train.optimizer == "sgd" or parameter.ndim > 1
        groups.setdefault((id(parameter) in in_backbone, decays), []).append(parameter)
    parameters: list[dict[str, Any]] = [
        {
            "params": members,
            "lr": train.learning_rate * (train.backbone_factor if of_backbone else 1.0),
            "weight_decay": train.weight_decay if decays else 0.0,
        }
        for (of_backbone, decays), members in groups.items()
    ]
    if train.optimizer == "sgd":
        return optim.SGD(parameters, lr=train.learning_rate, momentum=train.momentum)
    return optim.AdamW(parameters, lr=train.learning_rate)


def build_schedule(optimizer: optim.Optimizer, steps: int, train: TrainRecipe) -> optim.lr_scheduler.LambdaLR:
    """Make the schedule that gives every group of the optimiser its rate times `rate_factor`."""
    return optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, steps, train))
