"""No context: the deepest map as the backbone gives it, for the architectures that add nothing on top of it."""

from __future__ import annotations

from torch import nn


class NoContext(nn.Identity):
    """N×in×H×W → the same."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = in_channels
