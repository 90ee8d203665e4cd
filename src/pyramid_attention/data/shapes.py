"""Synthetic pictures of shapes."""

from typing import Any

from .samples import Dataset


def open_shapes(**options: Any) -> Dataset:
    """To be drawn."""
    raise NotImplementedError
