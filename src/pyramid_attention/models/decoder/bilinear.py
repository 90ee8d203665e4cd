"""No decoder: the logits are computed on the context's map and resampled to the image bilinearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from ..parts import NoOptions


class BilinearDecoder(nn.Module):
    """The context as it is; the finer maps are not used."""

    Options: ClassVar = NoOptions
    gives_logits = False

    def __init__(self, in_channels: Sequence[int], context_channels: int, options: NoOptions) -> None:
        super().__init__()
        self.out_channels = context_channels

    def forward(self, features: list[Tensor], context: Tensor) -> Tensor:
        """N×context×h×w → the same."""
        return context
