"""The two-level variant of Feature Pyramid Attention, as one reading of the PAN paper (Li et al., BMVC 2018) gives it.

Attribute names and the order inside each `nn.Sequential` are fixed, so that weights made elsewhere load by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor, nn

from ..blocks import Conv, ConvNormAct, Norm, Resize, initialise

REDUCED = 512
"""Channels the module was made for; a deepest map of another width is brought to it."""


def _conv_norm_elu(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        Conv(in_channels, out_channels, kernel, stride),
        Norm(out_channels),
        nn.ELU(inplace=True),
    )


class PyramidAttention(nn.Module):
    """Two-level pyramid attention: N×input_dim×H×W → N×output_dim×H×W, any H and W."""

    def __init__(self, input_dim: int, output_dim: int) -> None:
        super().__init__()
        self.glob = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(input_dim, output_dim, 1, bias=False))
        self.down2_1 = _conv_norm_elu(input_dim, input_dim, 5, stride=2)
        self.down2_2 = _conv_norm_elu(input_dim, output_dim, 5)
        self.down3_1 = _conv_norm_elu(input_dim, input_dim, 3, stride=2)
        self.down3_2 = _conv_norm_elu(input_dim, output_dim, 3)
        self.conv1 = _conv_norm_elu(input_dim, output_dim, 1)
        self.resize = Resize(align_corners=True)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """conv1(x) × pyramid(x) + glob(x); the pyramid resampled with aligned corners."""
        half: Tensor = self.down2_1(x)
        quarter = self.down3_2(self.down3_1(half))
        pyramid = self.down2_2(half) + self.resize(quarter, half.shape[-2:])
        weights = self.resize(pyramid, x.shape[-2:])
        out: Tensor = self.glob(x) + self.conv1(x) * weights
        return out


@dataclass(frozen=True)
class PyramidAttentionOptions:
    """Options of `PyramidAttentionContext`.

    Attributes:
        channels: of the output.
    """

    channels: PositiveInt = 256


class PyramidAttentionContext(nn.Module):
    """`PyramidAttention` in FPA's place: a 1×1 convolution to 512 channels precedes it.

    N×in×H×W → N×channels×H×W.
    """

    Options: ClassVar = PyramidAttentionOptions

    def __init__(self, in_channels: int, options: PyramidAttentionOptions) -> None:
        super().__init__()
        self.out_channels = options.channels
        self.reduce = ConvNormAct(in_channels, REDUCED, 1, act=nn.ReLU(inplace=True))
        self.attention = PyramidAttention(REDUCED, options.channels)
        initialise(self.reduce)

    def forward(self, x: Tensor) -> Tensor:
        """N×in×H×W → N×channels×H×W."""
        out: Tensor = self.attention(self.reduce(x))
        return out
