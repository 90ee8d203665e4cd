"""Images: small ones decoded whole (`decode`), and images of any size, type and number of bands by windows (`open`)."""

from __future__ import annotations

from .decode import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    image_size,
    pixel_type,
    read_image,
    read_label_map,
    to_image_array,
    write_image,
    write_label_map,
)
from .raster import Place, Raster, Span, band_indices
from .table import is_raster, open_raster

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Place",
    "Raster",
    "Span",
    "band_indices",
    "image_size",
    "is_raster",
    "open_raster",
    "pixel_type",
    "read_image",
    "read_label_map",
    "to_image_array",
    "write_image",
    "write_label_map",
]
