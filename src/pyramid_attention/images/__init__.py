"""Images: small ones decoded whole (`decode`), and images of any size, type and number of bands by windows (`open`)."""

from __future__ import annotations

from .bands import RGB, Bands, read_filled
from .decode import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    MaskValues,
    NoImage,
    TooManyPixels,
    as_reader,
    count_pages,
    decode_image,
    encode_image,
    encode_label_map,
    image_size,
    open_image,
    pixel_type,
    read_image,
    read_label_map,
    read_mask_values,
    to_image_array,
    write_image,
    write_label_map,
)
from .raster import Place, Raster, Span, band_indices
from .raster_reader import RasterReader
from .table import RASTER_SUFFIXES, is_raster, open_raster
from .windows import ArrayImage, ImageReader, PillowImage, read_whole

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "RASTER_SUFFIXES",
    "RGB",
    "ArrayImage",
    "Bands",
    "ImageReader",
    "MaskValues",
    "NoImage",
    "PillowImage",
    "Place",
    "Raster",
    "RasterReader",
    "Span",
    "TooManyPixels",
    "as_reader",
    "band_indices",
    "count_pages",
    "decode_image",
    "encode_image",
    "encode_label_map",
    "image_size",
    "is_raster",
    "open_image",
    "open_raster",
    "pixel_type",
    "read_filled",
    "read_image",
    "read_label_map",
    "read_mask_values",
    "read_whole",
    "to_image_array",
    "write_image",
    "write_label_map",
]
