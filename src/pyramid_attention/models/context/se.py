"""Squeeze-and-excitation of the deepest map (Hu, Shen, Sun: Squeeze-and-Excitation Networks, CVPR 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import initialise, of_global_average


class SqueezeExcite(nn.Module):
    """A weight a channel in 0 … 1 from the channels' means: two 1×1 convolutions, the first narrower, and a sigmoid."""

    def __init__(self, in_channels: int, out_channels: int, reduction: int = 16) -> None:
        super().__init__()
        middle = max(1, in_channels // reduction)
        self.squeeze = nn.Conv2d(in_channels, middle, 1)
        self.excite = nn.Conv2d(middle, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """N×in×1×1 → N×out×1×1."""
        weights: Tensor = self.excite(self.squeeze(x).relu()).sigmoid()
        return weights


@dataclass(frozen=True)
class SEOptions:
    """Options of `SEContext`.

    Attributes:
        reduction: how many times fewer channels the two convolutions have between them.
    """

    reduction: PositiveInt = 16


class SEContext(nn.Module):
    """Every channel of the map times its weight: N×in×H×W → the same shape."""

    Options: ClassVar = SEOptions

    def __init__(self, in_channels: int, options: SEOptions) -> None:
        super().__init__()
        self.out_channels = in_channels
        self.excitation = SqueezeExcite(in_channels, in_channels, options.reduction)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """x × weight."""
        out: Tensor = x * of_global_average(self.excitation, x)
        return out
