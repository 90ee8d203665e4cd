"""FCN-8s (Long, Shelhamer, Darrell: Fully Convolutional Networks, CVPR 2015, section 4.2).

A map of logits a level (1/32 or the output stride, 1/16, 1/8), each by a 1×1 convolution, summed on the way up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import Head, Resize


@dataclass(frozen=True)
class FCNOptions:
    """Options of `FCNDecoder`.

    Attributes:
        num_classes: of the logits (the network's).
        align_corners: of bilinear resampling.
    """

    num_classes: PositiveInt
    align_corners: bool = False


class FCNDecoder(nn.Module):
    """Gives logits, not features; the finest map is not used."""

    Options: ClassVar = FCNOptions
    gives_logits = True

    def __init__(self, in_channels: Sequence[int], context_channels: int, options: FCNOptions) -> None:
        super().__init__()
        self.out_channels = options.num_classes
        self.resize = Resize(options.align_corners)
        maps = (context_channels, in_channels[2], in_channels[1])
        self.scores = nn.ModuleList(Head(channels, options.num_classes, kernel=1) for channels in maps)

    def forward(self, features: list[Tensor], context: Tensor) -> Tensor:
        """Maps of the backbone, fine to coarse, and the context N×context×h×w → logits N×classes×H/8×W/8."""
        first, *others = self.scores
        total: Tensor = first(context)
        for classify, finer in zip(others, (features[2], features[1]), strict=True):
            total = self.resize(total, finer.shape[-2:]) + classify(finer)
        return total
