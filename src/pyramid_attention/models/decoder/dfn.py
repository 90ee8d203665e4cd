"""The smooth network of DFN (Yu et al.: Learning a Discriminative Feature Network, CVPR 2018, section 3.1).

On each level a refinement residual block takes up the backbone's map, a channel attention block lets the level above
choose among its channels, and another refinement residual block smooths. The border network is left out, as in PAN's
comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import ConvNormAct, Resize, global_average, initialise, match_channels


class RefinementResidual(nn.Module):
    """RRB: a 1×1 convolution to C channels, and a residual branch of two 3×3 convolutions. N×in×H×W → N×C×H×W."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.unify = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.first = ConvNormAct(channels, channels, 3, act=nn.ReLU(inplace=True))
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """relu(unified + residual)."""
        x = self.unify(x)
        out: Tensor = (x + self.second(self.first(x))).relu()
        return out


class ChannelAttention(nn.Module):
    """CAB: low × weight + high, one weight a channel in 0 … 1 from both levels' means. All maps N×C×H×W."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(2 * channels, channels, 1)
        self.excite = nn.Conv2d(channels, channels, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """The level below, gated, under the level above."""
        both = torch.cat([global_average(high), global_average(low)], dim=1)
        out: Tensor = low * self.excite(self.squeeze(both).relu()).sigmoid() + high
        return out


@dataclass(frozen=True)
class DFNOptions:
    """Options of `DFNDecoder`.

    Attributes:
        channels: of every level; the context is brought to it where it differs.
        align_corners: of bilinear resampling.
    """

    channels: PositiveInt = 256
    align_corners: bool = False


class DFNDecoder(nn.Module):
    """From the context over all four maps of the backbone up to 1/4."""

    Options: ClassVar = DFNOptions
    gives_logits = False

    def __init__(self, in_channels: Sequence[int], context_channels: int, options: DFNOptions) -> None:
        super().__init__()
        self.out_channels = channels = options.channels
        self.resize = Resize(options.align_corners)
        self.project = match_channels(context_channels, channels)
        coarse_to_fine = list(reversed(in_channels))
        self.take_up = nn.ModuleList(RefinementResidual(low, channels) for low in coarse_to_fine)
        self.attend = nn.ModuleList(ChannelAttention(channels) for _ in coarse_to_fine)
        self.smooth = nn.ModuleList(RefinementResidual(channels, channels) for _ in coarse_to_fine)
        initialise(self)

    def forward(self, features: list[Tensor], context: Tensor) -> Tensor:
        """Maps of the backbone, fine to coarse, and the context N×context×h×w → N×channels×H/4×W/4."""
        high: Tensor = self.project(context)
        levels = zip(reversed(features), self.take_up, self.attend, self.smooth, strict=True)
        for low, take_up, attend, smooth in levels:
            high = smooth(attend(take_up(low), self.resize(high, low.shape[-2:])))
        return high
