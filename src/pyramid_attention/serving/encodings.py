"""Masks as runs of equal pixels, in the layouts that others read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Lengths of the runs of a sequence of flags, the first (perhaps of length 0) of those that are not set."""
    changes = np.flatnonzero(np.diff(mask, prepend=False))
    return np.diff(np.concatenate([[0], changes, [mask.size]]))


def coco_rle(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """COCO's uncompressed run-length code of a mask H×W: down the columns, as pycocotools' `frPyObjects` reads it."""
    return {"size": list(mask.shape), "counts": runs(mask.T.ravel()).tolist()}


BRUSH_LENGTHS = (3, 4, 8, 16)
"""Bits in which a run's length minus one is written; a run takes the first that hold it."""
BRUSH_CHANNELS = 4


def brush_rle(mask: NDArray[np.bool_]) -> list[int]:
    """Label Studio's run-length code of a mask H×W, as bytes.

    The pixels row by row, each four times (red, green, blue, alpha), 255 where the mask is set; the code is that of
    https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack: 32 bits with the number of values, 5 with a
    value's bits, 4 times 4 with the bits of lengths (each minus one), then for each run a 1, two bits that say which
    length, the length minus one, and the value.
    """
    head = [f"{mask.size * BRUSH_CHANNELS:032b}", f"{8 - 1:05b}", *(f"{bits - 1:04b}" for bits in BRUSH_LENGTHS)]
    bits = "".join([*head, *_brush_runs(mask)])
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def _brush_runs(mask: NDArray[np.bool_]) -> Iterator[str]:
    longest = 1 << BRUSH_LENGTHS[-1]
    for index, length in enumerate((runs(mask.ravel()) * BRUSH_CHANNELS).tolist()):
        value = "1" * 8 if index % 2 else "0" * 8
        for _ in range((length - 1) // longest):
            yield f"111{longest - 1:016b}{value}"
        rest = (length - 1) % longest
        if length:
            which, bits = next((which, bits) for which, bits in enumerate(BRUSH_LENGTHS) if rest < 1 << bits)
            yield f"1{which:02b}{rest:0{bits}b}{value}"
