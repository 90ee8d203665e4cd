"""Images too large to be segmented at once: overlapping tiles, their logits blended, in bounded memory.

Tiles begin at multiples of 32 pixels, so that the places of their logits are places of the whole image's grid. Where
two tiles overlap, the outer quarter of the overlap counts for nothing (there the tile's border disturbs the logits) and
over the middle half the weight goes from one to the other linearly. The image is read by windows, and the blended
logits are turned into labels a row of tiles at a time: only the logits of one row of tiles are held, whatever the
height.

A network without global pooling whose receptive field reaches no further than a quarter of the overlap gives the logits
of the whole image. One with global pooling, as PAN, pools over the tile instead of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..images import ImageReader, Span
from .engines import Engine
from .plan import Plan, pad
from .upsample import best_labels, confidence

Value = TypeVar("Value", np.uint8, np.float32)


@dataclass(frozen=True)
class Rows:
    """Some rows of an image, segmented, from the row `top` on.

    Attributes:
        top: number of the first row.
        labels: h×W uint8.
        confidence: h×W float32 where it is asked for: the softmax probability of each label.
    """

    top: int
    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32] | None


def blend_weights(begins: list[int], ends: list[int], trim: float, ramp: float) -> list[NDArray[np.float32]]:
    """The weight of each tile at each place along a side of the grid; the weights of a place add up to one.

    Args:
        begins, ends: of the tiles, in places of the grid.
        trim: places at an inner border that count for nothing.
        ramp: places over which the weight then rises to its full.
    """
    weights = []
    for begin, end in zip(begins, ends, strict=True):
        place = np.arange(begin, end) + 0.5
        before = np.inf if begin == 0 else place - begin
        after = np.inf if end == ends[-1] else end - place
        weights.append(np.clip((np.minimum(before, after) - trim) / ramp, 0, 1) * np.ones(len(place)))
    total = np.zeros(ends[-1])
    for begin, end, weight in zip(begins, ends, weights, strict=True):
        total[begin:end] += weight
    return [
        (weight / total[begin:end]).astype(np.float32) for begin, end, weight in zip(begins, ends, weights, strict=True)
    ]


def segment_tiles(
    engine: Engine, plan: Plan, image: ImageReader, with_confidence: bool = False, begin: int = 0
) -> Iterator[Rows]:
    """Segment an image by the tiles of its plan, and yield its rows from the top as they are done.

    Where the plan resizes the image, each pixel has the label of the nearest one of the resized image.

    Args:
        engine: gives the logits of each tile.
        plan: of the image.
        image: whose windows are read, each tile's once (those of the first and last tile before the others).
        with_confidence: compute the confidence, too.
        begin: rows of tiles that end above this row of pixels are left out.

    Raises:
        UserError: as the engine, or where a window cannot be read.
    """
    image = plan.resize(image)
    height, width = plan.size
    from_rows, from_columns = _nearest(height, plan.resized[0]), _nearest(width, plan.resized[1])
    top = 0
    for rows in _segment(engine, plan, image, with_confidence, begin if plan.resized == plan.size else 0):
        if plan.resized == plan.size:
            yield rows
            continue
        until = int(np.searchsorted(from_rows, rows.top + len(rows.labels)))
        chosen = from_rows[top:until] - rows.top
        yield Rows(
            top,
            _chosen(rows.labels, chosen, from_columns),
            None if rows.confidence is None else _chosen(rows.confidence, chosen, from_columns),
        )
        top = until


def _segment(engine: Engine, plan: Plan, image: ImageReader, with_confidence: bool, first_row: int) -> Iterator[Rows]:
    """`segment_tiles` of the resized image."""

    def logits_of(rows: Span, columns: Span) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = engine(pad(image.read(rows, columns)[None], plan.size_divisor))[0]
        return logits

    # Two tiles show how large the grid is: the first how many places a pixel has, the last how many at the end.
    ends = {(plan.rows[0], plan.columns[0]), (plan.rows[-1], plan.columns[-1])}
    ready = {where: logits_of(*where) for where in ends}
    first, last = ready[plan.rows[0], plan.columns[0]], ready[plan.rows[-1], plan.columns[-1]]
    tops, bottoms = _places(plan.rows, first.shape[1], last.shape[1])
    lefts, rights = _places(plan.columns, first.shape[2], last.shape[2])
    density = first.shape[1] / (plan.rows[0][1] - plan.rows[0][0])
    trim, ramp = plan.overlap / 4 * density, plan.overlap / 2 * density
    down, across = blend_weights(tops, bottoms, trim, ramp), blend_weights(lefts, rights, trim, ramp)
    row_axis, column_axis = plan.axes((bottoms[-1], rights[-1]), plan.resized)

    # By row of tiles, the row of pixels where it ends: those above lie between places that no later tile changes.
    ends_at = [int(np.searchsorted(row_axis.above, final)) for final in (*tops[1:], bottoms[-1])]
    start = int(np.searchsorted(ends_at, first_row, side="right"))
    done = ends_at[start - 1] if start else 0
    needed = int(row_axis.below[done])
    warm = next(index for index, bottom in enumerate(bottoms) if bottom > needed)  # the first that reaches there
    begin = tops[warm]
    held = np.zeros((len(first), 0, rights[-1]), np.float32)  # the blended logits from the grid's row `begin` on
    for index in range(warm, len(plan.rows)):
        grown = np.zeros((len(first), bottoms[index] - begin, rights[-1]), np.float32)
        grown[:, : held.shape[1]] = held
        held = grown
        for number, columns in enumerate(plan.columns):
            logits = ready.pop((plan.rows[index], columns), None)
            if logits is None:
                logits = logits_of(plan.rows[index], columns)
            place = held[:, tops[index] - begin : bottoms[index] - begin, lefts[number] : rights[number]]
            place += logits * (down[index][:, None] * across[number])
        until = ends_at[index]
        if index >= start:
            part = row_axis.part(done, until, begin)
            labels = best_labels(held, part, column_axis)
            yield Rows(done, labels, confidence(held, part, column_axis) if with_confidence else None)
            done = until
        if until < plan.resized[0]:
            kept = max(begin, int(row_axis.below[until]))
            held, begin = held[:, kept - begin :].copy(), kept


def _places(spans: Sequence[Span], first: int, last: int) -> tuple[list[int], list[int]]:
    """Where tiles begin and end along a side of the grid, by how many places the first and the last tile have."""
    size = spans[0][1] - spans[0][0]
    begins = [begin * first // size for begin, _ in spans]
    return begins, [*(begin + first for begin in begins[:-1]), begins[-1] + last]


def _nearest(pixels: int, resized: int) -> NDArray[np.int64]:
    """For each pixel of a side the nearest of the resized side."""
    return (2 * np.arange(pixels) + 1) * resized // (2 * pixels)


def _chosen(values: NDArray[Value], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[Value]:
    result: NDArray[Value] = values.take(rows, axis=0).take(columns, axis=1)
    return result
