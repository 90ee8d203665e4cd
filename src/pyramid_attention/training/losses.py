"""Losses on N×C×H×W logits and N×H×W labels; pixels labelled `IGNORE` (255) count nowhere.

Cross-entropy per pixel is the paper's. Online hard example mining keeps the pixels whose true class is still unlikely
(Shrivastava et al., CVPR 2016; per pixel as in Wu et al., arXiv:1605.06885). Dice is the soft overlap of each class
(Milletari et al., V-Net, 3DV 2016). Distillation is the distance to another network's probabilities (Hinton et al.,
arXiv:1503.02531; pixel by pixel as in Liu et al., Structured Knowledge Distillation, CVPR 2019). A batch without a
single labelled pixel gives 0, with a gradient of 0.

Among several processes each loss is that of the whole batch, the same in all of them: what it divides by, and what it
compares, is summed over the processes first. The mean over processes of their gradients is the gradient of that loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..classes import IGNORE
from .processes import gather_tensor, is_alone, sum_tensor


class CrossEntropy(nn.Module):
    """The mean cross-entropy of the labelled pixels, weighted by class: Σ w·loss / Σ w, as in torch.

    Args:
        weights: one a class, or None for equal weights.
        smoothing: share of the target spread evenly over all classes (Szegedy et al., CVPR 2016).
    """

    weights: Tensor | None

    def __init__(self, weights: Sequence[float] | None = None, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.register_buffer("weights", None if weights is None else torch.tensor(weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar."""
        total = F.cross_entropy(
            logits, labels, self.weights, ignore_index=IGNORE, reduction="sum", label_smoothing=self.smoothing
        )
        valid = labels[labels != IGNORE]
        mass = valid.new_tensor(valid.numel(), dtype=total.dtype) if self.weights is None else self.weights[valid].sum()
        return sum_tensor(total) / sum_tensor(mass).clamp_min(torch.finfo(total.dtype).tiny)


class OhemCrossEntropy(nn.Module):
    """The mean cross-entropy of the hard pixels, whose true class is less likely than `threshold`.

    If they are fewer than the share `keep` of the labelled pixels, the hardest pixels up to that share are taken.

    Args:
        threshold: probability of the true class below which a pixel is hard, 0 … 1.
        keep: least share of the labelled pixels that is kept, 0 … 1.
        weights, smoothing: as in `CrossEntropy`; the mean is over pixels.
    """

    weights: Tensor | None

    def __init__(
        self, threshold: float, keep: float, weights: Sequence[float] | None = None, smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.threshold, self.keep, self.smoothing = threshold, keep, smoothing
        self.register_buffer("weights", None if weights is None else torch.tensor(weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar."""
        labelled = labels != IGNORE
        losses = F.cross_entropy(
            logits, labels, self.weights, ignore_index=IGNORE, reduction="none", label_smoothing=self.smoothing
        )[labelled]
        every = int(sum_tensor(torch.tensor(losses.numel(), device=losses.device)))
        if every == 0:
            return logits.sum() * 0.0
        truth = labels.clamp_max(logits.shape[1] - 1).unsqueeze(1)
        likelihood = logits.detach().float().log_softmax(1).gather(1, truth).squeeze(1).exp()[labelled]
        least = max(1, int(self.keep * every))
        hardest = gather_tensor(likelihood).kthvalue(least).values
        hard = losses[likelihood <= torch.clamp(hardest, min=self.threshold)]
        if is_alone():
            return hard.mean()
        return sum_tensor(hard.sum()) / sum_tensor(torch.tensor(hard.numel(), device=hard.device))


class Dice(nn.Module):
    """1 − the mean over classes of 2·|p∩t| / (|p| + |t|), of softmax probabilities, over the batch's labelled pixels.

    Classes that the batch's labels do not hold are left out of the mean.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar."""
        labelled = (labels != IGNORE).unsqueeze(1)
        probabilities = logits.float().softmax(1) * labelled
        truth = F.one_hot(labels.clamp_max(logits.shape[1] - 1), logits.shape[1]).movedim(-1, 1) * labelled
        overlap = sum_tensor((probabilities * truth).sum((0, 2, 3)))
        size = sum_tensor(truth.sum((0, 2, 3)))
        dice = 2 * overlap / (sum_tensor(probabilities.sum((0, 2, 3))) + size).clamp_min(1)
        present = size > 0
        return ((1 - dice) * present).sum() / present.sum().clamp_min(1)


class Distillation(nn.Module):
    """The mean of T²·KL(teacher ‖ student) over the labelled pixels, of softmax probabilities of logits divided by T.

    The factor T² keeps the gradient's size where T changes (Hinton et al., section 2).

    Args:
        temperature: T, above 0; above 1 the teacher's less likely classes count more.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, logits: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar; the teacher's logits are N×C×H×W, too."""
        ours, theirs = ((one.float() / self.temperature).log_softmax(1) for one in (logits, teacher))
        divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)
        labelled = labels != IGNORE
        total = self.temperature**2 * (divergence * labelled).sum()
        return sum_tensor(total) / sum_tensor(labelled.sum()).clamp_min(1)


class SumOfLosses(nn.Module):
    """The sum of several losses."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar."""
        return torch.stack([part(logits, labels) for part in self.parts]).sum()
