"""Networks for semantic segmentation (PyTorch): PAN, its parts, and the folders models are kept in."""

from __future__ import annotations

from .architectures import PAN, build_model, list_architectures, list_options
from .context.pyramid_attention import PyramidAttention
from .network import SegmentationModel

__all__ = ["PAN", "PyramidAttention", "SegmentationModel", "build_model", "list_architectures", "list_options"]
