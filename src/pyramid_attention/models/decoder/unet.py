"""The U-Net style of going up (Ronneberger, Fischer, Brox: U-Net, MICCAI 2015).

A level at a time: upsample, concatenate the finer map, two 3×3 convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import ConvNormAct, Resize, initialise


@dataclass(frozen=True)
class UNetOptions:
    """Options of `UNetDecoder`.

    Attributes:
        widths: channels after each level, coarse to fine.
        align_corners: of bilinear resampling.
    """

    widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (256, 128, 64)
    align_corners: bool = False


class UNetDecoder(nn.Module):
    """From the context up to 1/4 over the maps at 1/16, 1/8 and 1/4."""

    Options: ClassVar = UNetOptions
    gives_logits = False

    def __init__(self, in_channels: Sequence[int], context_channels: int, options: UNetOptions) -> None:
        super().__init__()
        widths = options.widths
        self.out_channels = widths[-1]
        self.resize = Resize(options.align_corners)
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
            high = level(torch.cat([self.resize(high, low.shape[-2:]), low], dim=1))
        return high
