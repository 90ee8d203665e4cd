"""ParseNet's context (Liu, Rabinovich, Berg: ParseNet: Looking Wider to See Better, ICLR 2016 workshop).

The mean over all places is spread over the map and concatenated to it. Both are L2-normalised over their channels
first, since their magnitudes differ, and each channel gets a learnt scale.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..blocks import global_average
from ..parts import NoOptions


class L2Norm(nn.Module):
    """Each place's vector of channels scaled to length 1, then multiplied by a learnt scale a channel (10 at first)."""

    def __init__(self, channels: int, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), scale))

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C×H×W."""
        return F.normalize(x, dim=1) * self.scale


class ParseNetContext(nn.Module):
    """N×in×H×W → N×2·in×H×W."""

    Options: ClassVar = NoOptions

    def __init__(self, in_channels: int, options: NoOptions) -> None:
        super().__init__()
        self.out_channels = 2 * in_channels
        self.local_norm = L2Norm(in_channels)
        self.global_norm = L2Norm(in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """The map beside its mean."""
        return torch.cat([self.local_norm(x), self.global_norm(global_average(x)).expand_as(x)], dim=1)
