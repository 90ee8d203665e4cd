"""Sheets of images with a legend: image, truth and prediction side by side, or overlays of what masks say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..classes import ClassTable
from .legend import INK, WHITE, font_of, legend, present

COLUMNS = ("image", "truth", "prediction")
CELL = 400
"""Width of an image on the sheet in pixels; its height follows, up to the same number."""
TEXT, LINE, GAP = 16, 26, 10
"""The size of letters, the height of a line and the space between images, in pixels."""
SMOOTH, EXACT = Image.Resampling.LANCZOS, Image.Resampling.NEAREST


@dataclass(frozen=True)
class Row:
    """One sample of a sheet: a line of text, the image (H×W×3), the mask and the label map (H×W)."""

    title: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


def sheet(rows: Sequence[Row], classes: ClassTable) -> NDArray[np.uint8]:
    """Draw rows of image | truth | prediction with their titles, and a legend of the classes that occur.

    Each image is scaled to fit a square of `CELL` pixels a side, label maps without inventing colours (nearest).

    Returns:
        H×W×3 uint8 on white.
    """
    strips = [
        _strip(
            row.title,
            [(row.image, SMOOTH), *((classes.colourise(mask), EXACT) for mask in (row.truth, row.prediction))],
        )
        for row in rows
    ]
    head = Image.new("RGB", (len(COLUMNS) * (CELL + GAP) + GAP, LINE), WHITE)
    for column, name in enumerate(COLUMNS):
        ImageDraw.Draw(head).text(
            (GAP + column * (CELL + GAP), LINE // 2 + 2), name, INK, font=font_of(TEXT), anchor="lm"
        )
    return _stack([head, *strips], [mask for row in rows for mask in (row.truth, row.prediction)], classes)


@dataclass(frozen=True)
class Shown:
    """A sample of a sheet of overlays: a line of text, the image (H×W×3), its mask (H×W)."""

    title: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def overlay_sheet(samples: Sequence[Shown], classes: ClassTable) -> NDArray[np.uint8]:
    """Draw images beside themselves under the colours of their classes, two samples a row, and a legend.

    Returns:
        H×W×3 uint8 on white.
    """
    strips = []
    for one in samples:
        colours = Image.fromarray(classes.colourise(one.mask))
        overlay = np.array(Image.blend(Image.fromarray(one.image), colours, 0.5))
        strips.append(_strip(one.title, [(one.image, SMOOTH), (overlay, SMOOTH)]))
    rows = []
    for first in range(0, len(strips), 2):
        pair = strips[first : first + 2]
        row = Image.new("RGB", (4 * (CELL + GAP) + GAP, max(strip.height for strip in pair)), WHITE)
        for place, strip in enumerate(pair):
            row.paste(strip, (place * 2 * (CELL + GAP), 0))
        rows.append(row)
    return _stack(rows, [one.mask for one in samples], classes)


def _strip(title: str, images: Sequence[tuple[NDArray[np.uint8], Image.Resampling]]) -> Image.Image:
    """Images of one size side by side under a title, each scaled, in its way, to fit a cell."""
    shape = images[0][0].shape[:2]
    scale = CELL / max(shape)
    height, width = (max(1, round(side * scale)) for side in shape)
    canvas = Image.new("RGB", (len(images) * (CELL + GAP) + GAP, LINE + height + GAP), WHITE)
    ImageDraw.Draw(canvas).text((GAP, LINE // 2), title, INK, font=font_of(TEXT), anchor="lm")
    for column, (image, how) in enumerate(images):
        canvas.paste(Image.fromarray(image).resize((width, height), how), (GAP + column * (CELL + GAP), LINE))
    return canvas


def _stack(rows: Sequence[Image.Image], masks: Sequence[NDArray[np.uint8]], classes: ClassTable) -> NDArray[np.uint8]:
    """Rows of one width, and below them the legend of what the masks show."""
    labels = sorted({label for mask in masks for label in present(mask)})
    parts = [*rows, Image.fromarray(legend(classes, labels, rows[0].width, TEXT))]
    canvas = Image.new("RGB", (parts[-1].width, sum(part.height for part in parts)), WHITE)
    top = 0
    for part in parts:
        canvas.paste(part, (0, top))
        top += part.height
    return np.array(canvas)
