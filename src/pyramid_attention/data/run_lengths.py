"""Masks as run lengths: COCO's text, the pairs of Kaggle's tables, and the packed bits of Label Studio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def coco_counts(text: str) -> list[int]:
    """The run lengths in COCO's text form: five bits a character from "0" on, the sixth says that more follow.

    From the fourth on a run is the difference to the last but one (`rleFrString` of cocoapi's maskApi.c).
    """
    runs: list[int] = []
    value = shift = 0
    for character in text.encode():
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    return runs


def kaggle_pairs(text: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask H×W that pairs of start and length give: pixels are counted from 1, down the columns.

    Raises:
        ValueError: they are no pairs of numbers, or lie outside the image.
    """
    try:
        numbers = np.array([int(word) for word in text.split()], np.int64)
    except ValueError:
        raise ValueError("has run lengths that are no numbers") from None
    if len(numbers) % 2:
        raise ValueError(f"has {len(numbers)} numbers of run lengths, which are pairs")
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    height, width = size
    if len(numbers) and (starts.min() < 0 or lengths.min() < 1 or (starts + lengths).max() > height * width):
        raise ValueError(f"has run lengths outside its {width}×{height} pixels")
    edges = np.zeros(height * width + 1, np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + lengths, -1)
    return (np.cumsum(edges[:-1]) > 0).reshape(width, height).T


def unpack(packed: Sequence[int]) -> NDArray[np.uint8]:
    """The values of rle-pack (https://thi.ng/rle-pack), in which Label Studio keeps the four channels of a brush.

    Bits, the first of a byte first: the number of values (32 bits), their width less one (5), four widths of run
    lengths less one (4 each); then runs: whether one value is repeated (1), which width its length has (2), the length
    less one, and the value or values.

    Raises:
        ValueError: the bits end too early.
    """
    bits = np.unpackbits(np.array(packed, np.uint8))
    place = 0

    def read(width: int) -> int:
        nonlocal place
        if place + width > len(bits):
            raise ValueError("has run lengths that end too early")
        place += width
        return int("".join(map(str, bits[place - width : place])), 2)

    count, width = read(32), read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    start = 0
    while start < count:
        repeated = read(1)
        end = min(count, start + 1 + read(widths[read(2)]))
        if repeated:
            values[start:end] = read(width)
        else:
            values[start:end] = [read(width) for _ in range(end - start)]
        start = end
    return values
