"""Pooling that rounds up, as ONNX does it itself: with a border that does not count.

PyTorch's `ceil_mode` cannot be exported for every size, so an exported network copies its map with the last row and
column repeated first. In a graph that is for ONNX alone the operation can be named outright.
"""

from __future__ import annotations

import torch
import torch.onnx.ops
from torch import Tensor, nn

from ..models.context.fpa import HalvingPool
from .replacing import replace_layers


class OnnxPool(nn.Module):
    """`HalvingPool` for a graph that becomes ONNX; outside of an export it is that itself."""

    def __init__(self, pool: HalvingPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C×⌈H/2⌉×⌈W/2⌉."""
        if not torch.compiler.is_exporting():
            pooled: Tensor = self.pool(x)
            return pooled
        height, width = x.shape[2:]
        return torch.onnx.ops.symbolic(
            "AveragePool" if self.pool.how == "avg" else "MaxPool",
            [x],
            {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]},
            dtype=x.dtype,
            shape=(*x.shape[:2], (height + 1) // 2, (width + 1) // 2),
        )


def use_onnx_pools(network: nn.Module) -> int:
    """Replace the pools of a network, in place; return how many."""
    return replace_layers(network, lambda layer: OnnxPool(layer) if isinstance(layer, HalvingPool) else None)
