"""No decoder: the scores are computed on the context's map and resampled to the image bilinearly."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class BilinearDecoder(nn.Module):
    """The context as it is; the finer maps are not used."""

    def __init__(self, in_channels: Sequence[int], context_channels: int) -> None:
        super().__init__()
        self.out_channels = context_channels

    def forward(self, features: list[Tensor], context: Tensor) -> Tensor:
        """N×context×h×w → the same."""
        return context
