"""The PyTorch engine: a SegmentationModel on the CPU, a CUDA device or Apple's MPS; in full fp32 unless told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...classes import ClassTable
from ...errors import UserError, nearest
from ..devices import is_out_of_memory, resolve_device
from .failures import check_finite, out_of_memory

if TYPE_CHECKING:
    from ...models import SegmentationModel

Precision = Literal["fp32", "bf16"]


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


class TorchEngine:
    """Runs a network on images; training calls it with the live network, which keeps its mode and its device.

    Args:
        network: its `coarse_logits` are what the engine gives, with its `classes`, `mean` and `std` (0 … 1 scale).
        device: a name of `devices.DEVICES` or a torch device; the network is moved there.
        precision: "bf16" computes convolutions in half the bits, where the device does that faster; the labels are then
            those of fp32 but for some pixels along outlines.
        compiled: have `torch.compile` make a program of the network at the first image, which takes a minute.

    Raises:
        UserError: there is no such device or precision.
    """

    def __init__(
        self,
        network: SegmentationModel,
        device: str | torch.device = "auto",
        precision: str = "fp32",
        compiled: bool = False,
    ) -> None:
        if precision not in get_args(Precision):
            raise UserError(f"there is no precision '{precision}'.{nearest(precision, get_args(Precision))}")
        self.device = resolve_device(device)
        self.network = network.to(self.device)
        self.classes = network.classes or ClassTable.of(network.num_classes)
        self.size_divisor = network.backbone.size_divisor
        self.align_corners = network.align_corners
        self._logits = torch.compile(network.coarse_logits, dynamic=True) if compiled else network.coarse_logits
        self._rough = precision == "bf16"

    @property
    def metadata(self) -> dict[str, Any]:
        """The network's own."""
        return self.network.metadata

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score images N×H×W×3 (uint8) → N×C×h×w (float32).

        Raises:
            UserError: memory runs out, or the scores are not finite numbers.
        """
        try:
            with (
                evaluating(self.network),
                torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._rough),
                # No TF32 and no choice of algorithm by stop-watch: the same image gives the same labels every time.
                torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
            ):
                logits = self._logits(self.network.normalise(torch.tensor(images, device=self.device)))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise out_of_memory(images, self.device.type) from error
        return check_finite(logits.float().cpu().numpy())
