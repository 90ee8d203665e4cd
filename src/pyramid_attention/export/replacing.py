"""Layers of a network in another form, in place."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def replace_layers(network: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> int:
    """Put `replacement(layer)` in the place of each layer for which it is not None; return how many."""
    count = 0
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            other = replacement(child)
            if other is not None:
                setattr(parent, name, other)
                count += 1
    return count
