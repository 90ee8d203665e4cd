"""Fewer multiplications: 3×3 convolutions by Winograd's minimal filtering (Lavin and Gray, CVPR 2016, F(4×4, 3×3)).

A 3×3 convolution needs 9 multiplications an output and pair of channels. Computed for tiles of 4×4 outputs in the space
of polynomials evaluated at 0, ±1, ±2 and ∞ it needs 36 for 16 outputs, which is 2.25: pixels, weights and products are
brought there and back by small constant matrices. What remains is 36 matrix products of channels × channels by channels
× tiles, which is what processors are best at. No CPU runtime that reads ONNX does this for single precision with AVX2,
so it is written out in the graph, as reshapes and products that any of them knows.

A dilated convolution is one of every second pixel, d² of them in each other's gaps; the same reshape separates those.

The results are those of the convolution but for rounding (about 1e-5 of the largest value); `verify` sees to it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST_WEIGHTS = 256 * 512
"""Input times output channels: with fewer, bringing the pixels there and back costs as much as is won."""

_TO = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
"""Bᵀ of the paper: 6 pixels to a polynomial's 6 values."""
_WEIGHTS_TO = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
"""G: 3 weights to 6 values."""
_BACK = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float64
)
"""Aᵀ: 6 values to 4 outputs."""


class WinogradConv(nn.Module):
    """A 3×3 convolution of stride 1 whose padding is its dilation, computed by F(4×4, 3×3).

    Args:
        convolution: its weights and bias are used.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.dilation = int(convolution.dilation[0])
        self.weight = nn.Parameter(convolution.weight.detach().clone(), requires_grad=False)
        bias = torch.zeros(convolution.out_channels) if convolution.bias is None else convolution.bias.detach().clone()
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.pixels_to: Tensor
        self.weights_to: Tensor
        self.back: Tensor
        # Both directions at once: 36 pixels of a tile to 36 values, 9 weights to 36 values, 36 values to 16 outputs.
        self.register_buffer("pixels_to", torch.kron(_TO, _TO).float())
        self.register_buffer("weights_to", torch.kron(_WEIGHTS_TO, _WEIGHTS_TO).float())
        self.register_buffer("back", torch.kron(_BACK, _BACK).float())

    def forward(self, x: Tensor) -> Tensor:
        """N×in×H×W → N×out×H×W."""
        d = self.dilation
        batch, inputs, height, width = x.shape
        outputs = self.weight.shape[0]
        side = 4 * d  # pixels from one tile to the next
        down, across = (height + side - 1) // side, (width + side - 1) // side
        # A tile sees two rows of the next; so there is one more, of zeros.
        x = F.pad(x, (d, (across + 1) * side - width - d, d, (down + 1) * side - height - d))
        # Axes are moved one at a time, and columns by a matrix product: runtimes do both many times faster than they
        # permute eight axes at once.
        x = torch.matmul(x, _by_place(across + 1, side, x))  # the places in a tile before the tiles
        x = _laid_out(x.reshape(batch * inputs, down + 1, side, side * (across + 1)).transpose(1, 2))
        x = x.reshape(batch, inputs, 4, d, down + 1, 4, d, across + 1)
        x = _laid_out(_laid_out(x.permute(5, 0, 1, 2, 3, 4, 6, 7)).permute(3, 0, 1, 2, 4, 5, 6, 7))
        x = torch.cat([x.narrow(5, 0, down), x[:2].narrow(5, 1, down)], dim=0)
        x = torch.cat([x.narrow(7, 0, across), x[:, :2].narrow(7, 1, across)], dim=1)  # 6 × 6 × N × in × d × …
        tiles = d * down * d * across
        values = torch.matmul(self.pixels_to, x.reshape(36, batch * inputs * tiles))
        weights = torch.matmul(self.weights_to, _laid_out(self.weight.permute(2, 3, 0, 1)).reshape(9, inputs * outputs))
        products = torch.matmul(weights.reshape(36, 1, outputs, inputs), values.reshape(36, batch, inputs, tiles))
        x = torch.matmul(self.back, products.reshape(36, batch * outputs * tiles))
        x = x.reshape(4, 4, batch, outputs, d, down, d, across)  # the same way back
        x = _laid_out(_laid_out(x.permute(1, 2, 3, 0, 4, 5, 6, 7)).permute(1, 2, 3, 4, 5, 0, 6, 7))
        x = _laid_out(x.reshape(batch * outputs, side, down, side * across).transpose(1, 2))
        x = torch.matmul(x.reshape(batch, outputs, down * side, side * across), _by_place(across, side, x).T)
        x = x.narrow(2, 0, height).narrow(3, 0, width)
        return x + self.bias.view(1, -1, 1, 1)


def _laid_out(x: Tensor) -> Tensor:
    """A copy in the order of its axes. Where `reshape` decides whether to copy, tracing binds the graph to that."""
    return x.clone(memory_format=torch.contiguous_format)


def _by_place(tiles: int, side: int, like: Tensor) -> Tensor:
    """The matrix that brings columns t·side + s (tile, place in it) into the order s·tiles + t: n×n, n = tiles·side."""
    column = torch.arange(tiles * side, device=like.device)
    first = torch.arange(tiles, device=like.device) * side
    source = (torch.arange(side, device=like.device)[:, None] + first[None, :]).reshape(-1)
    return (column[:, None] == source[None, :]).to(like.dtype)


def gains(convolution: nn.Conv2d) -> bool:
    """Whether `WinogradConv` can compute a convolution, and faster than a runtime does directly."""
    return (
        convolution.kernel_size == (3, 3)
        and convolution.stride == (1, 1)
        and convolution.groups == 1
        and convolution.dilation[0] == convolution.dilation[1]
        and convolution.padding == convolution.dilation
        and convolution.padding_mode == "zeros"
        and convolution.in_channels * convolution.out_channels >= LEAST_WEIGHTS
    )
