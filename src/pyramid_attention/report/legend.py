"""The legend of a segmented image: a colour and a name for each class that occurs in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..classes import IGNORE, ClassTable

WHITE, INK = (255, 255, 255), (30, 30, 30)


def text_size_for(height: int, width: int) -> int:
    """Text size in pixels that can be read beside an image of this size when the whole is looked at."""
    return max(13, round(0.022 * max(height, width)))


def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font (Aileron) at a size in pixels."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def present(labels: NDArray[np.uint8]) -> list[int]:
    """The labels that occur in a label map, in ascending order; void (`IGNORE`) comes last."""
    return np.flatnonzero(np.bincount(labels.ravel(), minlength=IGNORE + 1)).tolist()


def legend(classes: ClassTable, ids: Sequence[int], width: int, text_size: int) -> NDArray[np.uint8]:
    """Draw the colours and names of some classes in as many rows as a width needs.

    Args:
        classes: names and colours.
        ids: labels in the order of the legend; `IGNORE` is void.
        width: pixels; an entry that is wider on its own makes the legend wider.
        text_size: pixels.

    Returns:
        H×W×3 uint8 on white, W ≥ width.
    """
    font = font_of(text_size)
    gap = round(0.5 * text_size)
    entries = []
    for label in ids:
        name = classes.void_name if label == IGNORE else classes.names[label]
        entries.append((label, name, text_size + gap + round(font.getlength(name))))
    width = max(width, *(size + 2 * gap for _, _, size in entries)) if entries else width

    rows: list[list[tuple[int, str, int]]] = [[]]
    left = gap
    for entry in entries:
        if rows[-1] and left + entry[2] + gap > width:
            rows.append([])
            left = gap
        rows[-1].append(entry)
        left += entry[2] + 3 * gap

    row_height = round(1.6 * text_size)
    canvas = Image.new("RGB", (width, len(rows) * row_height + gap), WHITE)
    draw = ImageDraw.Draw(canvas)
    palette = classes.palette()
    for number, row in enumerate(rows):
        left, middle = gap, number * row_height + (row_height + gap) // 2
        for label, name, size in row:
            top = middle - text_size // 2
            red, green, blue = palette[label].tolist()
            draw.rectangle((left, top, left + text_size, top + text_size), (red, green, blue), outline=(128, 128, 128))
            draw.text((left + text_size + gap, middle), name, INK, font=font, anchor="lm")
            left += size + 3 * gap
    return np.array(canvas)
