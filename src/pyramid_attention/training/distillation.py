"""Learning from a trained network beside the labels.

The teacher looks at the same augmented crop as the network that is trained, and its probabilities say more of a pixel
than its label does: which other classes it resembles (Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural
Network, 2015; for segmentation, pixel by pixel: Liu et al., Structured Knowledge Distillation, CVPR 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..artifacts import load_model
from ..errors import UserError
from ..models import SegmentationModel
from .losses import Distillation
from .recipe import TrainRecipe


class Teacher:
    """A trained network that another learns from; no module, so that it is neither trained nor saved with a checkpoint.

    Args:
        network: the trained network; it stays in evaluation mode.
        weight: of its part of the loss.
        temperature: see `Distillation`.
    """

    def __init__(self, network: SegmentationModel, weight: float, temperature: float) -> None:
        self.network = network.eval().requires_grad_(False)
        self.weight = weight
        self.distance = Distillation(temperature)

    def loss(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted distance of a network's logits to the teacher's, a scalar.

        Args:
            logits: of the network that is trained, N×C×H×W.
            images: N×B×H×W; the teacher normalises them as it was trained to.
            labels: N×H×W; void pixels do not count.
        """
        self.network.to(images.device)
        with torch.no_grad():
            theirs = self.network(self.network.normalise(images.permute(0, 2, 3, 1)))
        distance: Tensor = self.distance(logits, theirs, labels)
        return self.weight * distance


def load_teacher(train: TrainRecipe, network: SegmentationModel) -> Teacher | None:
    """Load the teacher that a recipe names, or None where it names none or gives it no weight.

    Args:
        train: the recipe's group.
        network: the network that is to learn from it.

    Raises:
        UserError: the teacher has other classes, or takes images of another number of channels.
    """
    if train.teacher is None or train.teacher_weight == 0:
        return None
    teacher = load_model(train.teacher)
    ours, theirs = (() if one.classes is None else one.classes.names for one in (network, teacher))
    if ours != theirs:
        raise UserError(
            f"train.teacher={train.teacher} has other classes ({', '.join(theirs) or 'without names'}) than the data"
            f" set ({', '.join(ours)}); name a model that was trained on these, or leave the teacher out"
        )
    takes, have = len(teacher.mean), len(network.mean)
    if takes != have or teacher.bands != network.bands:
        which = (f"{takes} channels", have) if takes != have else (str(teacher.bands), network.bands)
        raise UserError(
            f"train.teacher={train.teacher} takes images of {which[0]}, and the network that is trained of {which[1]};"
            " name a model for such images, or leave the teacher out"
        )
    if train.channels_last:
        teacher.to(memory_format=torch.channels_last)
    return Teacher(teacher, train.teacher_weight, train.teacher_temperature)
