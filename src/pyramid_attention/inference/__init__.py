"""From images to label maps: the Segmenter, its engines, where images come from and where results go.

Importing this room imports no PyTorch; the torch engine is loaded when a PyTorch model is.
"""

from .segmenter import Segmentation, Segmenter

__all__ = ["Segmentation", "Segmenter"]
