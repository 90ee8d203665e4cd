"""The pyramid pooling module (Zhao et al.: Pyramid Scene Parsing Network, CVPR 2017, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import ConvNormAct, Resize, initialise


@dataclass(frozen=True)
class PPMOptions:
    """Options of `PPM`.

    Attributes:
        channels: of the 3×3 convolution that joins the levels.
        bins: the size b of each level, which is a map of b×b means.
        align_corners: of bilinear resampling.
    """

    channels: PositiveInt = 512
    bins: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    align_corners: bool = False


class PPM(nn.Module):
    """Means over 1, 2×2, 3×3 and 6×6 parts of the map beside the map itself, joined: N×in×H×W → N×channels×H×W.

    Each level has in / (number of levels) channels.
    """

    Options: ClassVar = PPMOptions

    def __init__(self, in_channels: int, options: PPMOptions) -> None:
        super().__init__()
        channels, bins = options.channels, options.bins
        self.out_channels = channels
        self.resize = Resize(options.align_corners)
        part = max(1, in_channels // len(bins))
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), ConvNormAct(in_channels, part, 1, act=nn.ReLU(inplace=True)))
            for size in bins
        )
        self.join = ConvNormAct(in_channels + part * len(bins), channels, 3, act=nn.ReLU(inplace=True))
        initialise(self)

    def pyramid(self, x: Tensor) -> Tensor:
        """The map and its levels, concatenated: N×in×H×W → N×(in + levels)×H×W."""
        levels = [self.resize(pool(x), x.shape[-2:]) for pool in self.pools]
        return torch.cat([x, *levels], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """The joined pyramid."""
        out: Tensor = self.join(self.pyramid(x))
        return out
