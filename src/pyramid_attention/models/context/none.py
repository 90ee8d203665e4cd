"""No context: the deepest map as the backbone gives it, for the architectures that add nothing on top of it."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from ..parts import NoOptions


class NoContext(nn.Identity):
    """N×in×H×W → the same."""

    Options: ClassVar = NoOptions

    def __init__(self, in_channels: int, options: NoOptions) -> None:
        super().__init__()
        self.out_channels = in_channels
