"""The PyTorch engine: a SegmentationModel on the CPU, a CUDA device or Apple's MPS, always in full fp32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...classes import ClassTable
from ...errors import UserError
from ..devices import is_out_of_memory, resolve_device

if TYPE_CHECKING:
    from ...models import SegmentationModel

CHUNK_PIXELS = 1 << 20
"""Pixels whose scores are reduced to label and confidence at a time, so that no second full-size copy is made."""


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode and leave each of its modules in the mode it was found in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def labels_and_confidence(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The best class of each pixel (N×H×W uint8) and its softmax probability (N×H×W float32) of scores N×C×H×W.

    The probability of the largest score is exp(max − logsumexp); rows are worked off in chunks of `CHUNK_PIXELS`.
    """
    count, _, height, width = logits.shape
    labels = torch.empty((count, height, width), dtype=torch.uint8)
    confidence = torch.empty((count, height, width), dtype=torch.float32)
    rows = max(1, CHUNK_PIXELS // (count * width))
    for top in range(0, height, rows):
        chunk = logits[:, :, top : top + rows]
        best, index = chunk.max(dim=1)
        labels[:, top : top + rows] = index.to(torch.uint8)
        confidence[:, top : top + rows] = (best - chunk.logsumexp(dim=1)).exp()
    return labels, confidence.clamp_(max=1)  # rounding may go a hair above


class TorchEngine:
    """Runs a network on pictures; training calls it with the live network, which keeps its mode and its device.

    Args:
        network: forward(N×3×H×W float, normalised) → N×C×H×W scores, with `classes`, `mean` and `std` (0 … 1 scale).
        device: a name of `devices.DEVICES` or a torch device; the network is moved there.
    """

    remedy = ""
    """What else may help where memory runs out, as the user is told."""

    def __init__(self, network: SegmentationModel, device: str | torch.device = "auto") -> None:
        self.device = resolve_device(device)
        self.network = network.to(self.device)
        self.classes = network.classes or ClassTable.of(int(network.config["num_classes"]))
        self._mean = torch.tensor(network.mean, device=self.device).view(1, -1, 1, 1)
        self._std = torch.tensor(network.std, device=self.device).view(1, -1, 1, 1)

    @property
    def metadata(self) -> dict[str, Any]:
        """The network's own."""
        return self.network.metadata

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Segment pictures N×H×W×3 (uint8) → labels N×H×W (uint8), confidence N×H×W (float32).

        Raises:
            UserError: memory runs out, or the scores are not finite numbers.
        """
        try:
            with (
                evaluating(self.network),
                torch.autocast(self.device.type, enabled=False),
                # No TF32 and no choice of algorithm by stop-watch: the same picture gives the same labels every time.
                torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
            ):
                labels, confidence = self.reduce(torch.tensor(images, device=self.device).permute(0, 3, 1, 2))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            height, width = images.shape[1:3]
            instead = "" if self.device.type == "cpu" else " or use --device cpu"
            raise UserError(
                f"out of memory on {self.device} while segmenting {width}×{height} pixels; scale the picture down"
                + self.remedy
                + instead
            ) from error
        if not torch.isfinite(confidence).all():
            raise UserError(
                "the network's scores are not finite numbers: its weights are damaged, or training diverged; take"
                " another model, or train with a lower learning rate"
            )
        return labels.numpy(), confidence.numpy()

    def reduce(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Segment pictures N×3×H×W (uint8): labels N×H×W (uint8) and confidence N×H×W (float32), on the CPU."""
        return labels_and_confidence(self.scores(pixels))

    def scores(self, pixels: Tensor) -> Tensor:
        """The network's scores N×C×H×W of pictures N×3×H×W with values 0 … 255, of any type."""
        scores: Tensor = self.network(pixels.to(torch.float32, copy=True).div_(255).sub_(self._mean).div_(self._std))
        return scores
