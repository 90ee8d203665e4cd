"""Sheets of pictures: photograph, truth and prediction side by side, one row a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..classes import ClassTable
from .legend import INK, WHITE, font_of, legend, present

COLUMNS = ("photograph", "truth", "prediction")
CELL = 400
"""Width of a picture on the sheet in pixels; its height follows, up to the same number."""


@dataclass(frozen=True)
class Row:
    """One sample of a sheet: a line of text, the photograph (H×W×3), the masks of truth and prediction (H×W)."""

    title: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


def sheet(rows: Sequence[Row], classes: ClassTable) -> NDArray[np.uint8]:
    """Draw rows of photograph | truth | prediction with their titles, and a legend of the classes that occur.

    Each picture is scaled to fit a square of `CELL` pixels a side, label maps without inventing colours (nearest).

    Returns:
        H×W×3 uint8 on white.
    """
    text, gap = 16, 10
    font, line = font_of(text), 26
    width = len(COLUMNS) * (CELL + gap) + gap
    sizes = [_fit(row.image.shape[0], row.image.shape[1]) for row in rows]
    labels = sorted({label for row in rows for label in (*present(row.truth), *present(row.prediction))})
    strip = legend(classes, labels, width, text)
    canvas = Image.new("RGB", (strip.shape[1], line + sum(line + h + gap for h, _ in sizes) + strip.shape[0]), WHITE)
    draw = ImageDraw.Draw(canvas)
    lefts = [gap + column * (CELL + gap) for column in range(len(COLUMNS))]
    for left, name in zip(lefts, COLUMNS, strict=True):
        draw.text((left, line // 2 + 2), name, INK, font=font, anchor="lm")
    top = line
    for row, (height, scaled_width) in zip(rows, sizes, strict=True):
        draw.text((gap, top + line // 2), row.title, INK, font=font, anchor="lm")
        top += line
        pictures = (row.image, classes.colourise(row.truth), classes.colourise(row.prediction))
        for left, picture, how in zip(lefts, pictures, ("LANCZOS", "NEAREST", "NEAREST"), strict=True):
            scaled = Image.fromarray(picture).resize((scaled_width, height), Image.Resampling[how])
            canvas.paste(scaled, (left, top))
        top += height + gap
    canvas.paste(Image.fromarray(strip), (0, top))
    return np.array(canvas)


def _fit(height: int, width: int) -> tuple[int, int]:
    scale = CELL / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))
