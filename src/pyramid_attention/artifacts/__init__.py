"""A saved model: what it is, where it is, and the two kinds of files it is kept in."""

from .info import Flops, ModelInfo

__all__ = ["Flops", "ModelInfo"]
