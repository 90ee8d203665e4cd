"""Global Attention Upsample (Li, Xiong, An, Wang: Pyramid Attention Network for Semantic Segmentation, BMVC 2018).

High-level features know the category, low-level features the place: on the way up, the first decide how much of the
second is added to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import ConvNormAct, initialise, match_channels, of_global_average, resize

Gate = Literal["channel", "spatial", "both", "none"]
GateActivation = Literal["relu", "sigmoid"]
LowActivation = Literal["none", "relu"]


class GAU(nn.Module):
    """low × weight + high, at the size of the low-level map.

    The weight comes from the high-level features: `channel`, global pooling and a 1×1 convolution, one weight a channel
    (the paper); `spatial`, a 1×1 convolution to one channel, resampled, one weight a pixel; `both`, their product;
    `none`, no weight.
    """

    def __init__(
        self,
        low_channels: int,
        high_channels: int,
        channels: int,
        gate: Gate,
        gate_activation: GateActivation,
        low_kernel: int,
        align_corners: bool,
        low_activation: LowActivation = "none",
        conv_bias: bool = False,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners

        def weight(outputs: int) -> ConvNormAct:
            act = nn.ReLU(inplace=True) if gate_activation == "relu" else nn.Sigmoid()
            return ConvNormAct(high_channels, outputs, 1, act=act, bias=conv_bias)

        low_act = nn.ReLU(inplace=True) if low_activation == "relu" else None
        self.low = ConvNormAct(low_channels, channels, low_kernel, act=low_act, bias=conv_bias)
        self.channel = weight(channels) if gate in ("channel", "both") else None
        self.spatial = weight(1) if gate in ("spatial", "both") else None

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """low N×low×H×W, high N×C×h×w → N×C×H×W."""
        size = low.shape[-2:]
        low = self.low(low)
        if self.spatial is not None:
            low = low * resize(self.spatial(high), size, self.align_corners)
        up = resize(high, size, self.align_corners)
        if self.channel is not None:
            return torch.addcmul(up, low, of_global_average(self.channel, high))
        return up + low


class GAUDecoder(nn.Module):
    """From the context up to 1/4, a GAU for each of the maps at 1/16, 1/8 and 1/4.

    Args:
        in_channels: of the backbone's maps, fine to coarse (the deepest, which the context has seen, is not used).
        context_channels: of the context.
        channels: C, of the output.
        gate, gate_activation: see `GAU`.
        low_kernel: of the convolution on the low-level features (the paper compares 1 and 3).
        low_activation: behind that convolution and its norm; the paper has none.
        conv_bias: give the convolutions a bias, though the norm behind takes it away again: for weights made elsewhere.
        align_corners: of bilinear resampling.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        context_channels: int,
        *,
        channels: PositiveInt = 256,
        gate: Gate = "channel",
        gate_activation: GateActivation = "relu",
        low_kernel: Literal[1, 3] = 3,
        low_activation: LowActivation = "none",
        conv_bias: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.out_channels = channels
        self.project = match_channels(context_channels, channels, conv_bias)
        self.units = nn.ModuleList(
            GAU(low, channels, channels, gate, gate_activation, low_kernel, align_corners, low_activation, conv_bias)
            for low in reversed(in_channels[:-1])
        )
        initialise(self)

    def forward(self, features: list[Tensor], context: Tensor) -> Tensor:
        """Maps of the backbone, fine to coarse, and the context N×context×h×w → N×C×H/4×W/4."""
        high: Tensor = self.project(context)
        for unit, low in zip(self.units, reversed(features[:-1]), strict=True):
            high = unit(low, high)
        return high
