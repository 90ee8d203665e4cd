"""Whether weights are those of a network."""

from __future__ import annotations

import torch


def misfit(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> str | None:
    """How weights differ from those a network expects, in names and shapes, or None where they fit."""
    problems = {
        "is without": expected.keys() - weights.keys(),
        "has the unknown": weights.keys() - expected.keys(),
        "has another shape for": {
            f"{name} ({_shape(weights[name])} instead of {_shape(expected[name])})"
            for name in expected.keys() & weights.keys()
            if weights[name].shape != expected[name].shape
        },
    }
    return "; it ".join(f"{what} {_some(names)}" for what, names in problems.items() if names) or None


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(str(length) for length in tensor.shape) or "a single value"


def _some(names: set[str], show: int = 3) -> str:
    more = f" and {len(names) - show} more" if len(names) > show else ""
    return ", ".join(sorted(names)[:show]) + more
