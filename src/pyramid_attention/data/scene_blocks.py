"""The blocks of a scene, and which of them are for validation.

Labels within `GAP` pixels of a validation block are not learnt, so that no validated pixel has a neighbour whose label
was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..images import Span

GAP = 16
"""Labels within so many pixels of a validation block are void in training."""
BLOCKS = (1024, 512, 256, 128, 64, 32, 16)
"""Sides of the blocks, in pixels: the largest that gives at least `ENOUGH` blocks with labels."""
ENOUGH = 40


class Block(NamedTuple):
    """A part of a scene: its rows and columns, in pixels."""

    rows: Span
    columns: Span


def cut(height: int, width: int, side: int) -> list[Block]:
    """The blocks of an image of H×W pixels, row by row: `side` pixels a side, fewer at the lower and right border."""
    return [
        Block((top, min(top + side, height)), (left, min(left + side, width)))
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def near(one: Block, other: Block, gap: int = 0) -> bool:
    """Whether two blocks touch, or lie less than a gap apart."""
    return all(
        first[0] < second[1] + gap and second[0] < first[1] + gap for first, second in zip(one, other, strict=True)
    )


def choose_blocks(counts: Mapping[Block, NDArray[np.int64]], share: float) -> list[Block]:
    """Blocks to validate on: of every class about `share` of its pixels, as far as whole blocks allow.

    Rarest class first, blocks are added in an order that depends on their place alone, while they bring the class
    nearer to its share and leave every class some block for training that is not beside one of them. The same scene
    gives the same blocks.

    Args:
        counts: pixels a class, of each block; all are of one `cut`, whose side is no less than `GAP`.
        share: 0 … 1.
    """
    order = sorted(counts, key=lambda block: (np.random.default_rng((block.rows[0], block.columns[0])).random(), block))
    total = sum(counts.values(), np.zeros_like(next(iter(counts.values()))))
    held: list[Block] = []
    sums, learnt = np.zeros_like(total), total
    corners = {(block.rows[0], block.columns[0]): block for block in counts}
    side = max(max(block.rows[1] - block.rows[0], block.columns[1] - block.columns[0]) for block in counts)
    beside: set[Block] = set()  # those that are held, and their neighbours
    for label in np.argsort(total, kind="stable").tolist():
        for block in [block for block in order if counts[block][label] and block not in held]:
            missing = share * total[label] - sums[label]
            if abs(missing - counts[block][label]) >= abs(missing):
                continue
            around = (
                (block.rows[0] + down, block.columns[0] + across)
                for down in (-side, 0, side)
                for across in (-side, 0, side)
            )
            more = [corners[corner] for corner in around if corner in corners and corners[corner] not in beside]
            left = learnt - sum((counts[other] for other in more), np.zeros_like(total))
            if (left[total > 0] > 0).all():
                held.append(block)
                beside.update(more)
                sums, learnt = sums + counts[block], left
    return sorted(held)
