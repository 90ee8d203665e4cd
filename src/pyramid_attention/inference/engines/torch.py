"""The PyTorch engine: a SegmentationModel on the CPU, a CUDA device or Apple's MPS; in full fp32 by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...artifacts import Located, ModelInfo, load_model, read_info
from ...artifacts.network import describe_network
from ...classes import ClassTable
from ...errors import UserError, nearest
from ..devices import is_out_of_memory, resolve_device
from ..options import SegmenterOptions
from ..threads import usable_cores
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


def load(model: Located, options: SegmenterOptions) -> TorchEngine:
    """The engine for a model folder."""
    torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))  # it knows nothing of a container's quota
    return TorchEngine(load_model(model), options.device, options.precision, options.compile, info=read_info(model))


class TorchEngine:
    """Runs a network on images; training calls it with the live network, which keeps its mode and its device.

    Args:
        network: its `coarse_logits` are what the engine gives.
        device: a name of `options.DEVICES` or a torch device; the network is moved there.
        precision: "bf16" computes convolutions in half the bits, where the device does that faster; the labels are then
            those of fp32 but for some pixels along outlines.
        compiled: have `torch.compile` make a program of the network at the first image, which takes a minute.
        info: of the saved model; without it the network's own.

    Raises:
        UserError: there is no such device or precision.
    """

    def __init__(
        self,
        network: SegmentationModel,
        device: str | torch.device = "auto",
        precision: str = "fp32",
        compiled: bool = False,
        info: ModelInfo | None = None,
    ) -> None:
        if precision not in get_args(Precision):
            raise UserError(f"there is no precision '{precision}'.{nearest(precision, get_args(Precision))}")
        self._device = resolve_device(device)
        self.device = self._device.type
        self.network = network.to(self._device)
        info = info or describe_network(network)
        self.info = replace(info, classes=network.classes or ClassTable.of(network.num_classes))
        self._logits = torch.compile(network.coarse_logits, dynamic=True) if compiled else network.coarse_logits
        self._rough = precision == "bf16"

    @torch.inference_mode()
    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Images N×H×W×B → logits N×C×h×w (float32).

        Raises:
            UserError: memory runs out, or the logits are not finite.
        """
        try:
            with (
                evaluating(self.network),
                torch.autocast(self.device, dtype=torch.bfloat16, enabled=self._rough),
                # No TF32 and no choice of algorithm by stop-watch: the same image gives the same labels every time.
                torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
            ):
                logits = self._logits(self.network.normalise(torch.tensor(images, device=self._device)))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise out_of_memory(images, self.device) from error
        return check_finite(logits.float().cpu().numpy())
