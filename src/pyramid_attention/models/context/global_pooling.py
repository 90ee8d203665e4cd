"""The top of DFN's V (Yu et al.: Learning a Discriminative Feature Network, CVPR 2018): the image as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import ConvNormAct, initialise, of_global_average


@dataclass(frozen=True)
class GlobalPoolingOptions:
    """Options of `GlobalPooling`.

    Attributes:
        channels: of the output.
    """

    channels: PositiveInt = 256


class GlobalPooling(nn.Module):
    """The mean over all places through a 1×1 convolution, spread over the map: N×in×H×W → N×channels×H×W."""

    Options: ClassVar = GlobalPoolingOptions

    def __init__(self, in_channels: int, options: GlobalPoolingOptions) -> None:
        super().__init__()
        self.out_channels = options.channels
        self.pooled = ConvNormAct(in_channels, options.channels, 1, act=nn.ReLU(inplace=True))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """The strongest consistency there is: every place gets the same."""
        out: Tensor = of_global_average(self.pooled, x).expand(-1, -1, *x.shape[-2:])
        return out
