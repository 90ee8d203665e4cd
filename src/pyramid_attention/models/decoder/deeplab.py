"""DeepLabv3+'s decoder (Chen et al.: Encoder-Decoder with Atrous Separable Convolution, ECCV 2018, section 3).

The map at 1/4, narrowed to 48 channels so that it does not outweigh the context, and two 3×3 convolutions. The
convolutions are plain ones (the paper's section 4.2), not separable.
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
class DeepLabOptions:
    """Options of `DeepLabDecoder`.

    Attributes:
        channels: of the output.
        low_channels: to which the map at 1/4 is narrowed.
        align_corners: of bilinear resampling.
    """

    channels: PositiveInt = 256
    low_channels: PositiveInt = 48
    align_corners: bool = False


class DeepLabDecoder(nn.Module):
    """The context and the map at 1/4, joined."""

    Options: ClassVar = DeepLabOptions
    gives_logits = False

    def __init__(self, in_channels: Sequence[int], context_channels: int, options: DeepLabOptions) -> None:
        super().__init__()
        channels, low_channels = options.channels, options.low_channels
        self.out_channels = channels
        self.resize = Resize(options.align_corners)
        self.narrow = ConvNormAct(in_channels[0], low_channels, 1, act=nn.ReLU(inplace=True))
        self.join = nn.Sequential(
            ConvNormAct(context_channels + low_channels, channels, 3, act=nn.ReLU(inplace=True)),
            ConvNormAct(channels, channels, 3, act=nn.ReLU(inplace=True)),
        )
        initialise(self)

    def forward(self, features: list[Tensor], context: Tensor) -> Tensor:
        """Maps of the backbone, fine to coarse, and the context N×context×h×w → N×channels×H/4×W/4."""
        low = self.narrow(features[0])
        out: Tensor = self.join(torch.cat([self.resize(context, low.shape[-2:]), low], dim=1))
        return out
