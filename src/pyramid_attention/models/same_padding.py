"""TensorFlow's "same" padding with a constant border.

TensorFlow pads so that a layer of stride s makes ⌈n / s⌉ of n pixels, and how much that takes depends on n: timm's
models that were ported from it ask for the size of the map in every such layer. Where n is a multiple of s, the border
is always the same, (kernel - 1) · dilation + 1 - s, the smaller half of it before the map. A backbone that only sees
images whose sides are multiples of its largest stride therefore needs no sizes, and traces like any other.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame
from timm.layers.std_conv import ScaledStdConv2dSame, StdConv2dSame
from torch import Tensor, nn


class BorderedConv(nn.Conv2d):
    """`Conv2dSame` for maps whose sides are multiples of the stride."""

    def forward(self, x: Tensor) -> Tensor:
        """N×in×H×W → N×out×(H / stride)×(W / stride)."""
        return super().forward(_bordered(self, x))


class BorderedStdConv(StdConv2dSame):
    """`StdConv2dSame` for such maps."""

    def forward(self, x: Tensor) -> Tensor:
        """N×in×H×W → N×out×(H / stride)×(W / stride)."""
        return super().forward(_bordered(self, x))  # type: ignore[no-any-return, no-untyped-call]


class BorderedScaledStdConv(ScaledStdConv2dSame):
    """`ScaledStdConv2dSame` for such maps."""

    def forward(self, x: Tensor) -> Tensor:
        """N×in×H×W → N×out×(H / stride)×(W / stride)."""
        return super().forward(_bordered(self, x))  # type: ignore[no-any-return, no-untyped-call]


class BorderedMaxPool(nn.MaxPool2d):
    """`MaxPool2dSame` for such maps."""

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C×(H / stride)×(W / stride)."""
        return super().forward(_bordered(self, x, -float("inf")))  # type: ignore[no-any-return]


class BorderedAvgPool(nn.AvgPool2d):
    """`AvgPool2dSame` for such maps; the border's zeros count, as in timm."""

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C×(H / stride)×(W / stride)."""
        return super().forward(_bordered(self, x))


BORDERED: dict[type[nn.Module], type[nn.Module]] = {
    Conv2dSame: BorderedConv,
    StdConv2dSame: BorderedStdConv,
    ScaledStdConv2dSame: BorderedScaledStdConv,
    MaxPool2dSame: BorderedMaxPool,
    AvgPool2dSame: BorderedAvgPool,
}


def _bordered(layer: Any, x: Tensor, value: float = 0) -> Tensor:
    """A map with the constant border of a layer."""
    sizes = zip(layer.kernel_size, layer.stride, getattr(layer, "dilation", (1, 1)), strict=True)
    rows, columns = (max((kernel - 1) * dilation + 1 - stride, 0) for kernel, stride, dilation in sizes)
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), value=value)


def make_borders_constant(body: nn.Module) -> bool:
    """Give every layer whose padding depends on the size of its map a constant border, in place; return if any did.

    Afterwards the body gives what it gave for images whose sides are multiples of its largest stride. Parameters keep
    their names.
    """
    found = False
    layer: Any
    for layer in body.modules():
        # The standardising convolutions know whether their border depends on the size, and would add it themselves.
        if type(layer) in BORDERED and getattr(layer, "same_pad", True):
            layer.__class__ = BORDERED[type(layer)]
            if isinstance(layer, (StdConv2dSame, ScaledStdConv2dSame)):
                layer.same_pad = False
            found = found or max(layer.stride) > 1  # at stride 1 no size changes the border
    return found
