"""What a file of an unknown data set looks like: an image, or a mask of few flat values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import MissingExtra, UserError
from .mask_files import ARRAY_SUFFIXES, read_stored

ROWS = 256
"""So many rows of a file are looked at, evenly spaced."""
FEW, SOME, MANY = 16, 64, 256
"""Numbers of different values: a mask has few; with more it is flat too."""
GRADUAL = 2
"""The step from one grey level to the next that most pixels of an image do not exceed."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a file looks like.

    Attributes:
        kind: "mask" for few or flat values, "image" for many, "blank" for one only.
        codes: H'×W' of some rows, one number a value or colour, renumbered from 0; for comparing masks.
        values: what each code stands for, grey levels or RGB.
    """

    kind: Literal["image", "mask", "blank"]
    codes: NDArray[np.int64]
    values: NDArray[np.int64]

    @property
    def is_binary(self) -> bool:
        """Whether it shows two values, or two with soft edges between them."""
        return self.kind != "image" and (len(self.values) <= 2 or _is_soft(self.values, self.codes))

    def foreground(self) -> NDArray[np.bool_]:
        """Where a binary mask shows its brighter value."""
        brightness = self.values.reshape(len(self.values), -1).max(axis=1)
        bright: NDArray[np.bool_] = (brightness > brightness.max(initial=0) / 2)[self.codes]
        return bright


def look_at_file(path: Path) -> Look | None:
    """What a file looks like; None where it cannot be read."""
    try:
        stored = read_stored(path)
    except MissingExtra:
        raise
    except UserError:
        return None
    rows = stored.pixels[:: max(1, len(stored.pixels) // ROWS)]
    if stored.palette is not None:
        rows = stored.palette[np.minimum(rows, len(stored.palette) - 1)]
    if rows.ndim == 3 and Image.fromarray(np.ascontiguousarray(rows)).getcolors(MANY) is None:
        return Look("image", np.zeros((0, 0), np.int64), np.zeros((0, 3), np.int64))
    wide: NDArray[np.int64] = rows.astype(np.int64)
    codes: NDArray[np.int64] = wide if wide.ndim == 2 else wide @ np.array([1 << 16, 1 << 8, 1])
    found, inverse = np.unique(codes, return_inverse=True)
    places: NDArray[np.int64] = inverse.reshape(codes.shape).astype(np.int64)
    values: NDArray[np.int64] = (
        np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1) if rows.ndim == 3 else found
    )
    flat = float((places[:, 1:] == places[:, :-1]).mean()) if places.shape[1] > 1 else 1.0
    count = len(found)
    kind: Literal["image", "mask", "blank"] = "image"
    if count == 1:
        kind = "blank"
    elif path.suffix.lower() in ARRAY_SUFFIXES or count <= FEW or _is_soft(values, places):
        kind = "mask"
    elif (count <= SOME and flat > 0.75) or (count <= MANY and flat > 0.9):
        kind = "image" if _is_gradual(values, places) else "mask"
    return Look(kind, places, values)


def _is_gradual(values: NDArray[np.int64], codes: NDArray[np.int64]) -> bool:
    """Whether grey levels mostly change by little from a pixel to the next, as in a dark image; those of ids jump."""
    if values.ndim == 2:
        if (values != values[:, :1]).any():
            return False
        values = values[:, 0]
    steps = np.abs(np.diff(values[codes], axis=1))
    return bool(np.median(steps[steps > 0]) <= GRADUAL)


def _is_soft(values: NDArray[np.int64], codes: NDArray[np.int64]) -> bool:
    """Whether nearly all pixels are close to black or to white, and fewer between them: edges of objects."""
    if values.ndim == 2:
        if (values != values[:, :1]).any():
            return False
        values = values[:, 0]
    dark, bright = (values <= 40)[codes].mean(), ((values >= 215) & (values <= 255))[codes].mean()
    edges = ((values > 40) & (values < 255)).any()
    return bool(dark + bright > 0.85 and dark > 0 and bright > (1 - dark) / 3 and edges)
