"""The form that each kind of layer takes in an exported graph: one table.

PyTorch's exporter binds a graph to its example where an operation asks whether a map is one pixel large; ONNX lacks
some operations; runtimes are slow at others. In the place of such a layer stands a module that gives the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
import torch.onnx.ops
from torch import Tensor, nn

from ..models.blocks import Conv, Resize
from ..models.context.fpa import HalvingPool
from . import narrow, winograd
from .narrow import NarrowConv
from .winograd import WinogradConv

Purpose = Literal["any size", "onnx", "speed"]


class OnnxPool(nn.Module):
    """`HalvingPool` as ONNX has it: with a border that does not count. Outside of ONNX it means nothing."""

    def __init__(self, pool: HalvingPool) -> None:
        super().__init__()
        self.operation = "AveragePool" if pool.how == "avg" else "MaxPool"

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C×⌈H/2⌉×⌈W/2⌉."""
        height, width = x.shape[2:]
        return torch.onnx.ops.symbolic(
            self.operation,
            [x],
            {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]},
            dtype=x.dtype,
            shape=(*x.shape[:2], (height + 1) // 2, (width + 1) // 2),
        )


class RepeatedBorderPool(nn.Module):
    """`HalvingPool` without PyTorch's `ceil_mode`, which cannot be exported for every size.

    The mean or maximum of a border that is repeated is the border's own.
    """

    def __init__(self, pool: HalvingPool) -> None:
        super().__init__()
        self.pool = F.avg_pool2d if pool.how == "avg" else F.max_pool2d

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C×⌈H/2⌉×⌈W/2⌉."""
        for dim in (2, 3):
            x = torch.cat([x, x.narrow(dim, x.shape[dim] - 1, 1)], dim=dim)
        return self.pool(x, 2)


class MatrixMeans(nn.Module):
    """Adaptive average pooling to b×b as products with two matrices; what the exporter writes fails on small maps."""

    def __init__(self, pool: nn.AdaptiveAvgPool2d) -> None:
        super().__init__()
        self.bins: Any = pool.output_size

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C×b×b."""
        down, across = (self._weights(size, x) for size in x.shape[2:])
        return torch.matmul(torch.matmul(down, x), across.T)

    def _weights(self, size: int, x: Tensor) -> Tensor:
        """What each place along a dimension adds to each mean: b×size."""
        place = torch.arange(size, device=x.device)
        count, index = place.amax(dim=0) + 1, torch.arange(self.bins, device=x.device)
        first = torch.div(index * count, self.bins, rounding_mode="floor")
        end = -torch.div(-(index + 1) * count, self.bins, rounding_mode="floor")
        inside = (place >= first[:, None]) & (place < end[:, None])
        return inside.to(x.dtype) / (end - first)[:, None]


class AlignedResize(nn.Module):
    """`Resize` with aligned corners, one dimension after the other; PyTorch's asks whether a map is one pixel high."""

    def __init__(self, resize: Resize) -> None:
        super().__init__()
        self.align_corners = resize.align_corners

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """N×C×h×w → N×C×H×W, `size` = (H, W)."""
        for dim, length in zip((2, 3), size, strict=True):
            # The last indices as tensors, not as integers: to ONNX a quotient of two symbolic sizes cannot be exported.
            index = torch.arange(length, device=x.device, dtype=torch.float32)
            last = torch.arange(x.shape[dim], device=x.device, dtype=torch.float32).amax(dim=0)
            place = index * (last / index.amax(dim=0).clamp(min=1))
            below = place.floor().long()
            above = torch.minimum(below + 1, last.long())
            share = (place - below).to(x.dtype).reshape(-1, *[1] * (3 - dim))
            x = torch.lerp(x.index_select(dim, below), x.index_select(dim, above), share)
        return x


class TwoChannelConv(nn.Module):
    """A convolution from or to one channel, with a second channel of zeros.

    To export a map of one channel PyTorch asks whether it is one pixel large, too, and binds the graph to the answer.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.stride, self.padding = convolution.stride, convolution.padding

    def forward(self, x: Tensor) -> Tensor:
        """N×in×H×W → N×out×⌈H/stride⌉×⌈W/stride⌉."""
        outputs, inputs = self.weight.shape[:2]
        more = max(0, 2 - outputs)
        weight = F.pad(self.weight, (0, 0, 0, 0, 0, max(0, 2 - inputs), 0, more))
        bias = None if self.bias is None else F.pad(self.bias, (0, more))
        x = x.expand(-1, weight.shape[1], -1, -1)
        return F.conv2d(x, weight, bias, self.stride, self.padding)[:, :outputs]


def with_plain_layout(convolution: nn.Conv2d) -> nn.Conv2d:
    """Have a convolution take its input in the order of its axes (free in ONNX, which knows no other).

    Where channels lie last, as behind a norm of ConvNeXt, PyTorch asks whether a map of one pixel does the same.
    """

    def lay_out(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0].clone(memory_format=torch.contiguous_format),)

    convolution.register_forward_pre_hook(lay_out)
    return convolution


class Replacement(NamedTuple):
    """A row of the table.

    Attributes:
        layer: the kind of layer, subclasses included.
        form: what takes its place, made from the layer.
        purpose: of an export that needs it: for maps of any size, for a file in ONNX, or for fewer multiplications.
        applies: says which layers of the kind are replaced.
    """

    layer: type[nn.Module]
    form: Callable[[Any], nn.Module]
    purpose: Purpose
    applies: Callable[[Any], bool] = lambda layer: True


REPLACEMENTS = (
    Replacement(nn.Conv2d, WinogradConv, "speed", winograd.gains),
    Replacement(nn.Conv2d, NarrowConv, "speed", narrow.gains),
    Replacement(Conv, TwoChannelConv, "any size", lambda conv: min(conv.in_channels, conv.out_channels) == 1),
    Replacement(nn.Conv2d, with_plain_layout, "any size"),
    Replacement(HalvingPool, OnnxPool, "onnx"),
    Replacement(HalvingPool, RepeatedBorderPool, "any size"),
    Replacement(nn.AdaptiveAvgPool2d, MatrixMeans, "any size", lambda pool: pool.output_size not in (1, (1, 1))),
    Replacement(Resize, AlignedResize, "any size", lambda resize: resize.align_corners),
)
"""The first row that fits a layer and a purpose is used."""


def replace_layers(network: nn.Module, purposes: Collection[Purpose]) -> int:
    """Bring the layers of a network into the forms that these purposes need, in place; return how many."""
    rows = [row for row in REPLACEMENTS if row.purpose in purposes]
    count = 0
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            row = next((row for row in rows if isinstance(child, row.layer) and row.applies(child)), None)
            if row is not None:
                setattr(parent, name, row.form(child))
                count += 1
    return count
