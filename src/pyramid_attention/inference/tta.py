"""Test-time augmentation as the paper evaluates: six scales and left-right flip, averaged (Li et al., BMVC 2018).

What is averaged are class probabilities at the photograph's own size: the scores of each of the twelve views are
brought to that size bilinearly, then softmax. The paper says "scores averaged" and not which. Probabilities give each
view one vote, however large its scores, and their mean is a probability again: the confidence.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .engines.torch import TorchEngine

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


class AugmentedEngine(TorchEngine):
    """A TorchEngine whose labels and confidence come from the mean over `SCALES` and flip."""

    remedy = ", leave out --tta"

    def reduce(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Segment pictures N×3×H×W (uint8): labels N×H×W (uint8) and confidence N×H×W (float32)."""
        total = self._probabilities(pixels, SCALES[0])
        for scale in SCALES[1:]:
            total += self._probabilities(pixels, scale)
        confidence, labels = total.div_(2 * len(SCALES)).max(dim=1)
        return labels.to(torch.uint8).cpu(), confidence.clamp(max=1).cpu()  # rounding may go a hair above

    def _probabilities(self, pixels: Tensor, scale: float) -> Tensor:
        """The sum of the probabilities of a scaled picture and of its mirror image, N×C×H×W."""
        height, width = pixels.shape[-2:]
        size = (max(1, round(height * scale)), max(1, round(width * scale)))

        def view(picture: Tensor) -> Tensor:
            # As training scales pictures: bilinear, antialiased.
            scaled = F.interpolate(picture.float(), size, mode="bilinear", antialias=True)
            scores = F.interpolate(self.scores(scaled), (height, width), mode="bilinear")
            return scores.softmax(dim=1)

        # First flip, last flip back: so a mirrored photograph gives the mirrored result to the bit.
        return view(pixels).add_(view(pixels.flip(-1)).flip(-1))
