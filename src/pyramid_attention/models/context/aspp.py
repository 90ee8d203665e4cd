"""Atrous spatial pyramid pooling (Chen et al.: Rethinking Atrous Convolution, arXiv:1706.05587, section 3.3).

Convolutions of several dilations over one map, and the mean of all of it (image-level pooling), side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import ConvNormAct, Norm, initialise, of_global_average


@dataclass(frozen=True)
class ASPPOptions:
    """Options of `ASPP`.

    Attributes:
        channels: of each branch and of the output.
        rates: dilations of the 3×3 convolutions; the paper has 6, 12, 18 at output stride 16 and doubles them at 8.
    """

    channels: PositiveInt = 256
    rates: tuple[PositiveInt, ...] = (6, 12, 18)


def _dilated(in_channels: int, channels: int, rate: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, channels, 3, padding=rate, dilation=rate, bias=False)
    return nn.Sequential(convolution, Norm(channels, nn.ReLU(inplace=True)))


class ASPP(nn.Module):
    """Convolutions of several dilations and the mean, joined: N×in×H×W → N×channels×H×W."""

    Options: ClassVar = ASPPOptions

    def __init__(self, in_channels: int, options: ASPPOptions) -> None:
        super().__init__()
        channels, rates = options.channels, options.rates
        self.out_channels = channels
        self.point = ConvNormAct(in_channels, channels, 1, act=nn.ReLU(inplace=True))
        self.dilated = nn.ModuleList(_dilated(in_channels, channels, rate) for rate in rates)
        self.pooled = ConvNormAct(in_channels, channels, 1, act=nn.ReLU(inplace=True))
        self.join = ConvNormAct(channels * (len(rates) + 2), channels, 1, act=nn.ReLU(inplace=True))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """The branches, joined."""
        whole = of_global_average(self.pooled, x).expand(-1, -1, *x.shape[-2:])
        out: Tensor = self.join(torch.cat([self.point(x), *(branch(x) for branch in self.dilated), whole], dim=1))
        return out
