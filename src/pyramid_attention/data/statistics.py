"""Mean and standard deviation of each band over a split: exact, a sample at a time, without what holds no data."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..images import Bands
from .samples import Sample


class BandStatistics:
    """Adds up the values of B bands.

    Whole numbers are added exactly; float32 is combined in float64 by the pairwise update of Chan, Golub and LeVeque
    (1979), which loses nothing to cancellation.
    """

    def __init__(self, bands: int) -> None:
        self.count = 0
        self._mean = np.zeros(bands)
        self._squares = np.zeros(bands)

    def add(self, values: NDArray[np.generic], valid: NDArray[np.bool_] | None = None) -> None:
        """Count an image H×W×B, or the pixels of it where `valid` H×W is true; NaN never counts."""
        pixels = values.reshape(-1, values.shape[-1]) if valid is None else values[valid]
        if np.issubdtype(pixels.dtype, np.floating):
            pixels = pixels[~np.isnan(pixels).any(axis=1)]
        count = len(pixels)
        if not count:
            return
        if np.issubdtype(pixels.dtype, np.integer):
            whole = pixels.astype(np.int64)
            sums, products = whole.sum(axis=0), (whole * whole).sum(axis=0)
            mean = sums / count
            squares = np.array([(count * int(p) - int(s) ** 2) / count for s, p in zip(sums, products, strict=True)])
        else:
            mean = pixels.mean(axis=0, dtype=np.float64)
            squares = ((pixels - mean) ** 2).sum(axis=0)
        total = self.count + count
        difference = mean - self._mean
        self._squares += squares + difference**2 * (self.count * count / total)
        self._mean += difference * (count / total)
        self.count = total

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of each band."""
        return self._mean

    @property
    def std(self) -> NDArray[np.float64]:
        """The deviation of each band, of the whole population; 1 where a band never changes, so that it can divide."""
        std = np.sqrt(self._squares / max(self.count, 1))
        return np.where(std > 0, std, 1.0)


def measure(samples: Iterable[Sample], bands: Bands, on_sample: Callable[[], None] | None = None) -> BandStatistics:
    """The statistics of the images of some samples.

    Args:
        samples: each read once, one after the other.
        bands: of their images.
        on_sample: called after each.

    Raises:
        UserError: an image cannot be read, or none of them holds data.
    """
    statistics = BandStatistics(len(bands))
    for sample in samples:
        image = sample.read_image()
        gone = bands.missing(image)
        statistics.add(image, None if gone is None else ~gone)
        if on_sample is not None:
            on_sample()
    if not statistics.count:
        raise UserError("no pixel to train on holds data, so that its bands have no mean; check nodata and the labels")
    return statistics
