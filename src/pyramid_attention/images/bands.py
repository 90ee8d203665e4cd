"""What the values of an image are: its bands by name, their type, and the value that stands for no data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .raster import Raster, Span, band_indices

RGB_NAMES = ("red", "green", "blue")
COLOURS = {
    "red": ("red", "r", "b04", "b4"),
    "green": ("green", "g", "b03", "b3"),
    "blue": ("blue", "b", "b02", "b2"),
}
"""Names of the bands of these colours, in lower case: plain ones, those of Sentinel-2 and of Landsat 8 and 9."""


@dataclass(frozen=True)
class Bands:
    """What the values of images are; by default those of an 8-bit image in RGB.

    Attributes:
        names: of the bands, in their order.
        dtype: of all of them, one of `DTYPES`.
        nodata: a pixel all of whose bands have this value holds no data; None where no value says so. NaN says so too.
        chosen_of: how many bands the files had that these were chosen from, where the files number their bands; None
            where they name them.
    """

    names: tuple[str, ...] = RGB_NAMES
    dtype: str = "uint8"
    nodata: float | None = None
    chosen_of: int | None = None

    @classmethod
    def of(cls, raster: Raster, chosen: Sequence[int]) -> Bands:
        """Those of a raster at some places."""
        nodata, kind = raster.nodata, raster.dtype
        if nodata is None and kind != np.float32 and raster.valid((0, 1), (0, 1)) is not None:
            nodata = 0.0  # an alpha or mask band says it, and such pixels become 0
        if nodata is not None and (np.isnan(nodata) or (kind != np.float32 and kind.type(nodata) != nodata)):
            nodata = None  # a value that its bands cannot have
        numbered = all(name.isdecimal() for name in raster.bands)
        names = tuple(raster.bands[place] for place in chosen)
        return cls(names, kind.name, nodata, len(raster.bands) if numbered else None)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Bands:
        """The inverse of `to_dict`."""
        return cls(**{**data, "names": tuple(data["names"])})

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        return f"{_counted(len(self))} of {self.dtype} ({', '.join(self.names)})"

    @property
    def is_rgb(self) -> bool:
        """Whether an image of 8 bits in RGB, as Pillow decodes it, has these bands."""
        return self.names == RGB_NAMES and self.dtype == "uint8"

    @property
    def scale(self) -> float:
        """What values are divided by before anything else: 255 for 8 bits, 1 for all other types."""
        return 255.0 if self.dtype == "uint8" else 1.0

    def refuse_others(self, values: NDArray[np.generic]) -> None:
        """Raise where an image H×W×B has other bands or another type.

        Raises:
            UserError: both are named.
        """
        if values.ndim != 3 or values.shape[2] != len(self) or values.dtype != self.dtype:
            had = f"{_counted(values.shape[2])} of {values.dtype}" if values.ndim == 3 else f"{values.ndim} axes"
            raise UserError(f"the model takes images of {self}, and this one has {had}")

    def find(self, raster: Raster) -> tuple[int, ...]:
        """The places of these bands in a raster: by their names; by their order where one of the two has no names.

        Raises:
            UserError: it has not all of them, or values of another type.
        """
        if raster.dtype == self.dtype:
            unnamed = all(name.isdecimal() for name in raster.bands)
            if self.chosen_of is None and set(self.names) <= set(raster.bands):
                return band_indices(self.names, raster.bands, raster.path)
            if self.chosen_of is not None and unnamed and self.chosen_of == len(raster.bands):
                return band_indices(self.names, raster.bands, raster.path)
            if (self.chosen_of is not None or unnamed) and len(self) == len(raster.bands):
                return tuple(range(len(self)))
        raise UserError(
            f"{raster.path} has {_counted(len(raster.bands))} of {raster.dtype} ({', '.join(raster.bands)}), and the"
            f" model takes {self}; name those to take in this order with bands=, or give it such images"
        )

    def colours(self) -> dict[str, int]:
        """The places of the bands that are red, green and blue, as far as their names say so."""
        places = {name.lower(): place for place, name in enumerate(self.names)}
        return {colour: places[name] for colour, names in COLOURS.items() for name in names if name in places}

    def missing(self, values: NDArray[np.generic]) -> NDArray[np.bool_] | None:
        """Which pixels of an image H×W×B hold no data, by their values alone; None where no value can say so."""
        gone: NDArray[np.bool_] | None = None
        if self.nodata is not None:
            gone = (values == self.nodata).all(axis=2)
        if self.dtype == "float32":
            empty = np.isnan(values).any(axis=2)
            gone = empty if gone is None else gone | empty
        return gone

    def to_rgb(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """An image H×W×B as people can see it, H×W×3 uint8.

        That of three 8-bit bands called red, green and blue is as it is. Of others red, green and blue are shown, or
        else the first three (one alone in grey), each stretched from its 2nd to its 98th percentile. Pixels that
        hold no data, and those in which every band has the image's highest value, do not count for that.
        """
        if self.is_rgb:
            return values
        colours = self.colours()
        places = list(colours.values()) if len(colours) == 3 else [min(k, len(self) - 1) for k in range(3)]
        if len(self) < 3:
            places = [0, 0, 0]
        shown = np.zeros((*values.shape[:2], 3), np.uint8)
        gone = self.missing(values)
        held = np.ones(values.shape[:2], bool) if gone is None else ~gone
        if not held.any():
            return shown
        counted = held & (values < values[held].max()).any(axis=2)
        counted = counted if counted.any() else held
        for channel, place in enumerate(places):
            band = np.where(held, values[..., place], 0).astype(np.float64)
            low, high = np.percentile(band[counted], (2, 98))
            level = (band - low) / (high - low if high > low else 1.0)
            shown[..., channel] = np.where(held, np.clip(level, 0, 1) * 255, 0)
        return shown


RGB = Bands()


def _counted(count: int) -> str:
    return f"{count} band{'' if count == 1 else 's'}"


def read_filled(raster: Raster, rows: Span, columns: Span, places: Sequence[int], bands: Bands) -> NDArray[Any]:
    """The values of a window h×w×B; where it holds no data, what stands for that (see `fill`).

    Raises:
        UserError: this part of the file is damaged.
    """
    return fill(raster.read(rows, columns, places), raster.valid(rows, columns), bands.nodata)


def fill(values: NDArray[Any], valid: NDArray[np.bool_] | None, nodata: float | None) -> NDArray[Any]:
    """The values h×w×B where `valid` h×w is true; else `nodata`, or where there is no such value NaN or 0, by type."""
    if valid is None:
        return values
    empty = values.dtype.type(nodata if nodata is not None else np.nan if values.dtype == np.float32 else 0)
    filled: NDArray[Any] = np.where(valid[..., None], values, empty)
    return filled
