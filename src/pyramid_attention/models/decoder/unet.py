"""The U-Net style of going up (Ronneberger, Fischer, Brox: U-Net, MICCAI 2015).

A level at a time: upsample, concatenate the finer map, two 3×3 convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import ConvNormAct, initialise, resize


class UNetDecoder(nn.Module):
    """From the context up to 1/4 over the maps at 1/16, 1/8 and 1/4.

    Args:
        in_channels: of the backbone's maps, fine to coarse.
        context_channels: of the context.
        widths: channels after each level, coarse to fine.
        align_corners: of bilinear resampling.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        context_channels: int,
        *,
        widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (256, 128, 64),
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.out_channels = widths[-1]
        self.align_corners = align_corners
        below = (context_channels, *widths[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(high + low, width, 3, act=nn.ReLU(inplace=True)),
                ConvNormAct(width, width, 3, act=nn.ReLU(inplace=True)),
            )
            for high, low, width in zip(below, reversed(in_channels[:-1]), widths, strict=True)
        )
        initialise(self)

    def forward(self, features: list[Tensor], context: Tensor) -> Tensor:
        """Maps of the backbone, fine to coarse, and the context N×context×h×w → N×widths[-1]×H/4×W/4."""
        high = context
        for level, low in zip(self.levels, reversed(features[:-1]), strict=True):
            high = level(torch.cat([resize(high, low.shape[-2:], self.align_corners), low], dim=1))
        return high
