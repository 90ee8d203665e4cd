"""Global Attention Upsample (Li, Xiong, An, Wang: Pyramid Attention Network for Semantic Segmentation, BMVC 2018).

High-level features know the category, low-level features the place: on the way up, the first decide how much of the
second is added to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import ConvNormAct, Resize, initialise, match_channels, of_global_average


@dataclass(frozen=True)
class GAUOptions:
    """Options of `GAUDecoder`.

    Attributes:
        channels: C, of the output.
        gate: how the high-level features weight the low-level ones: `channel`, global pooling and a 1×1 convolution,
            one weight a channel (the paper); `spatial`, a 1×1 convolution to one channel, resampled, one weight a
            pixel; `both`, their product; `none`, no weight.
        gate_activation: behind that convolution and its norm.
        low_kernel: size of the convolution on the low-level features (the paper compares 1 and 3).
        low_activation: behind that convolution and its norm; the paper has none.
        conv_bias: give the convolutions a bias, though the norm behind takes it away again: for weights made elsewhere.
        align_corners: of bilinear resampling.
    """

    channels: PositiveInt = 256
    gate: Literal["channel", "spatial", "both", "none"] = "channel"
    gate_activation: Literal["relu", "sigmoid"] = "relu"
    low_kernel: Literal[1, 3] = 3
    low_activation: Literal["none", "relu"] = "none"
    conv_bias: bool = False
    align_corners: bool = False


class GAU(nn.Module):
    """low × weight + high, at the size of the low-level map; the high-level map has the output's channels."""

    def __init__(self, low_channels: int, options: GAUOptions) -> None:
        super().__init__()
        channels, bias = options.channels, options.conv_bias
        self.resize = Resize(options.align_corners)

        def weight(outputs: int) -> ConvNormAct:
            act = nn.ReLU(inplace=True) if options.gate_activation == "relu" else nn.Sigmoid()
            return ConvNormAct(channels, outputs, 1, act=act, bias=bias)

        low_act = nn.ReLU(inplace=True) if options.low_activation == "relu" else None
        self.low = ConvNormAct(low_channels, channels, options.low_kernel, act=low_act, bias=bias)
        self.channel = weight(channels) if options.gate in ("channel", "both") else None
        self.spatial = weight(1) if options.gate in ("spatial", "both") else None

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """low N×low×H×W, high N×C×h×w → N×C×H×W."""
        size = low.shape[-2:]
        low = self.low(low)
        if self.spatial is not None:
            low = low * self.resize(self.spatial(high), size)
        up: Tensor = self.resize(high, size)
        if self.channel is not None:
            return torch.addcmul(up, low, of_global_average(self.channel, high))
        return up + low


class GAUDecoder(nn.Module):
    """From the context up to 1/4, a GAU for each of the maps at 1/16, 1/8 and 1/4; the deepest map is the context's."""

    Options: ClassVar = GAUOptions
    gives_logits = False

    def __init__(self, in_channels: Sequence[int], context_channels: int, options: GAUOptions) -> None:
        super().__init__()
        self.out_channels = options.channels
        self.project = match_channels(context_channels, options.channels, options.conv_bias)
        self.units = nn.ModuleList(GAU(low, options) for low in reversed(in_channels[:-1]))
        initialise(self)

    def forward(self, features: list[Tensor], context: Tensor) -> Tensor:
        """Maps of the backbone, fine to coarse, and the context N×context×h×w → N×C×H/4×W/4."""
        high: Tensor = self.project(context)
        for unit, low in zip(self.units, reversed(features[:-1]), strict=True):
            high = unit(low, high)
        return high
