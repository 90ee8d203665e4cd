"""Which bands the images of a data set have: those of 8 bits in RGB are decoded whole, all others are rasters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import MissingExtra, UserError
from ..images import RGB, Bands, band_indices, image_size, is_raster, open_raster
from .samples import Dataset, ImageFileSample


def find_bands(dataset: Dataset) -> Dataset:
    """The data set with the bands of its images, by the first of them: each has to have these.

    Images of 8 bits in one band or three are in RGB, as `read_image` gives them, unless `reading.bands` chooses among
    their bands.

    Raises:
        UserError: a band that the images have not, or bands are chosen of images that have only colours.
        MissingExtra: the library that opens them is not installed.
    """
    wanted = dataset.reading.bands
    samples = [sample for split in dataset.splits.values() for sample in split if isinstance(sample, ImageFileSample)]
    bands = _bands_of(samples[0].image, wanted) if samples else RGB
    if bands == RGB:
        if wanted is not None:
            where = dataset.root or dataset.format
            raise UserError(
                f"{where} holds images in RGB, and bands= asks for {', '.join(wanted)}; leave it out, or give images"
                " that have these bands"
            )
        return dataset
    splits = {
        name: [replace(sample, bands=bands) if isinstance(sample, ImageFileSample) else sample for sample in split]
        for name, split in dataset.splits.items()
    }
    return replace(dataset, splits=splits, bands=bands, reading=replace(dataset.reading, bands=bands.names))


def _bands_of(image: Path, wanted: Sequence[str] | None) -> Bands:
    if not is_raster(image):
        return RGB
    try:
        raster = open_raster(image)
    except MissingExtra:
        if wanted is not None:
            raise
        image_size(image)  # what Pillow knows is an image in RGB
        return RGB
    except UserError:
        return RGB  # a damaged file says so where it is read
    try:
        if wanted is None and raster.dtype == np.uint8 and len(raster.bands) in (1, 3) and image.suffix != ".npy":
            return RGB
        return Bands.of(raster, band_indices(wanted, raster.bands, raster.path))
    finally:
        raster.close()
