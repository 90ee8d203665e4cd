"""Feature Pyramid Attention (Li, Xiong, An, Wang: Pyramid Attention Network for Semantic Segmentation, BMVC 2018).

Three branches over the deepest map: a 1×1 convolution (main), a small U of large kernels whose result weights every
pixel of the main branch (pyramid), and global pooling added on top (global).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from ...errors import UserError
from ..blocks import ConvNormAct, Norm, Resize, initialise, match_channels, of_global_average
from .se import SqueezeExcite

Kernel = Literal[1, 3, 5, 7, 9, 11]


@dataclass(frozen=True)
class FPAOptions:
    """Options of `FPA`.

    Attributes:
        channels: C, of the output.
        attention_channels: A, of the pyramid: None is C; 1 is one weight a pixel for all channels; any other is brought
            to C by a 1×1 convolution at the end of the pyramid.
        kernels: sizes of the pyramid's convolutions, fine to coarse ("C357" of the paper is 7, 5, 3; "C333" 3, 3, 3).
        downsample: average or max pooling ("AVE", "MAX"), or a stride of 2 in the convolution that follows.
        upsample: bilinear, or a transposed convolution.
        global_branch: `gp`, global pooling added; `se`, squeeze-and-excitation of the input, which weights the channels
            of the product; or none.
        conv_bias: give the convolutions a bias, though the norm behind takes it away again: for weights made elsewhere.
        rounding: of the size of a map that is pooled.
        align_corners: of bilinear resampling.

    Raises:
        UserError: strided convolutions that are to round sizes down, which they cannot.
    """

    channels: PositiveInt = 256
    attention_channels: PositiveInt | None = None
    kernels: tuple[Kernel, Kernel, Kernel] = (7, 5, 3)
    downsample: Literal["avg", "max", "conv"] = "avg"
    upsample: Literal["bilinear", "transposed"] = "bilinear"
    global_branch: Literal["gp", "se", "none"] = "gp"
    conv_bias: bool = False
    rounding: Literal["ceil", "floor"] = "ceil"
    align_corners: bool = False

    def __post_init__(self) -> None:
        if (self.downsample, self.rounding) == ("conv", "floor"):
            raise UserError("downsample='conv' rounds sizes up; rounding='floor' goes with 'avg' or 'max'")


class Down(nn.Sequential):
    """One step down: the size n of the map becomes ⌈n / 2⌉, then (or at once, where strided) a k×k convolution.

    Where pooling is to round down it becomes ⌊n / 2⌋, but at least 1.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, options: FPAOptions) -> None:
        how, bias = options.downsample, options.conv_bias
        stride = 2 if how == "conv" else 1
        super().__init__(
            nn.Identity() if how == "conv" else HalvingPool(how),
            nn.Identity(),  # a place that once was used: the weights keep their names
            ConvNormAct(in_channels, out_channels, kernel, stride, act=nn.ReLU(inplace=True), bias=bias),
        )
        self.rounds_down = options.rounding == "floor"

    def forward(self, x: Tensor) -> Tensor:
        """N×in×H×W → N×out×⌈H/2⌉×⌈W/2⌉, or rounded down."""
        pool, _, convolve = self
        pooled: Tensor = pool(x)
        if self.rounds_down:  # leave out the windows that lie partly beyond the border
            for dim in (2, 3):
                pooled = pooled.narrow(dim, 0, torch.sym_max(x.shape[dim] // 2, 1))
        out: Tensor = convolve(pooled)
        return out


class HalvingPool(nn.Module):
    """The mean or maximum of 2×2 pixels; at the border of an odd side, of those that are there."""

    def __init__(self, how: Literal["avg", "max"]) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C×⌈H/2⌉×⌈W/2⌉."""
        return (F.avg_pool2d if self.how == "avg" else F.max_pool2d)(x, 2, ceil_mode=True)


class TransposedUp(nn.Sequential):
    """One step up to a given size by a 4×4 transposed convolution of stride 2; what is over at an odd border is cut."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False),
            Norm(channels, nn.ReLU(inplace=True)),
        )

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:  # type: ignore[override]  # takes the size, too
        """N×C×h×w → N×C×H×W, `size` = (H, W) with ⌈H/2⌉ = h and ⌈W/2⌉ = w."""
        for layer in self:
            x = layer(x)
        return x.narrow(2, 0, size[0]).narrow(3, 0, size[1])


class FPA(nn.Module):
    """Feature Pyramid Attention: N×in×H×W → N×channels×H×W, any H and W."""

    Options: ClassVar = FPAOptions

    def __init__(self, in_channels: int, options: FPAOptions) -> None:
        super().__init__()
        self.out_channels = channels = options.channels

        def convolution(inputs: int, outputs: int, kernel: int) -> ConvNormAct:
            return ConvNormAct(inputs, outputs, kernel, act=nn.ReLU(inplace=True), bias=options.conv_bias)

        attention = options.attention_channels or channels
        self.main = convolution(in_channels, channels, 1)
        self.downs = nn.ModuleList(
            Down(in_channels if level == 0 else attention, attention, kernel, options)
            for level, kernel in enumerate(options.kernels)
        )
        self.levels = nn.ModuleList(convolution(attention, attention, kernel) for kernel in options.kernels)
        self.ups = nn.ModuleList(
            TransposedUp(attention) if options.upsample == "transposed" else Resize(options.align_corners)
            for _ in options.kernels
        )
        self.widen = nn.Identity() if attention == 1 else match_channels(attention, channels, options.conv_bias)
        self.pooled = convolution(in_channels, channels, 1) if options.global_branch == "gp" else None
        self.excited = SqueezeExcite(in_channels, channels) if options.global_branch == "se" else None
        initialise(self)

    def attention(self, x: Tensor) -> Tensor:
        """The pyramid: N×in×H×W → the weight of each pixel, N×(C or 1)×H×W."""
        maps, sizes = [x], []
        for down in self.downs:
            sizes.append(maps[-1].shape[-2:])
            maps.append(down(maps[-1]))
        up = self.levels[2](maps[3])
        up = self.ups[2](up, sizes[2]) + self.levels[1](maps[2])
        up = self.ups[1](up, sizes[1]) + self.levels[0](maps[1])
        weights: Tensor = self.widen(self.ups[0](up, sizes[0]))
        return weights

    def forward(self, x: Tensor) -> Tensor:
        """main × attention + global."""
        out: Tensor = self.main(x) * self.attention(x)
        if self.pooled is not None:
            out = out + of_global_average(self.pooled, x)
        if self.excited is not None:
            out = out * of_global_average(self.excited, x)
        return out
