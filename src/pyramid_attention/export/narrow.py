"""Convolutions to one or two channels, which a runtime computes as if they had eight: the width of its registers.

A k×k convolution is k² of 1×1, each moved to its place, and added. To one channel, the first are a single 1×1
convolution to k² channels, which fill the registers, and moving and adding a k×k convolution of those with zeros and
ones. PAN's attention of one channel has such a layer with a 7×7 kernel on the widest map of the network: there it is
seven times fewer multiplications.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REGISTER = 8
"""Channels that a runtime computes at once (AVX2, single precision)."""


class NarrowConv(nn.Module):
    """A k×k convolution of stride 1, in two steps.

    Args:
        convolution: its weights and bias are used.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        outputs, _, height, width = convolution.weight.shape
        self.padding = convolution.padding
        self.weight = nn.Parameter(convolution.weight.detach().clone(), requires_grad=False)
        bias = convolution.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)
        places = torch.eye(outputs * height * width).reshape(-1, outputs, height, width)
        self.places: Tensor
        self.register_buffer("places", places.transpose(0, 1).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """N×in×H×W → N×out×H×W."""
        inputs = self.weight.shape[1]
        parts = F.conv2d(x, self.weight.permute(0, 2, 3, 1).reshape(-1, inputs, 1, 1))
        return F.conv2d(parts, self.places, self.bias, padding=self.padding)


def gains(convolution: nn.Conv2d) -> bool:
    """Whether `NarrowConv` can compute a convolution, and with fewer multiplications than a runtime does."""
    outputs, inputs, height, width = convolution.weight.shape
    places = height * width
    direct = inputs * places * REGISTER
    parts = -(-outputs * places // REGISTER) * REGISTER
    return (
        convolution.stride == (1, 1)
        and convolution.dilation == (1, 1)
        and convolution.groups == 1
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
        and outputs < REGISTER
        and 2 * (inputs * parts + parts * places * REGISTER) < direct
    )
