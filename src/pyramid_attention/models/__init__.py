"""Networks for semantic segmentation (PyTorch): PAN, its parts, and the folders models are kept in."""

from __future__ import annotations

from .context.pyramid_attention import PyramidAttention
from .network import SegmentationModel
from .systems import PAN, build_model, list_options, list_systems

__all__ = ["PAN", "PyramidAttention", "SegmentationModel", "build_model", "list_options", "list_systems"]
