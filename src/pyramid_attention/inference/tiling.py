"""Images too large to be segmented at once: overlapping tiles, their scores blended, in bounded memory.

Tiles begin at multiples of 32 pixels, so that the points of their scores are points of the whole image's grid. Where
two tiles overlap, the outer quarter of the overlap counts for nothing (there the tile's border disturbs the scores) and
over the middle half the weight goes from one to the other linearly. The blended scores are turned into labels a band of
tiles at a time: besides image and labels only one band is held, whatever the height.

A network without global pooling whose receptive field reaches no further than a quarter of the overlap gives the scores
of the whole image. One with global pooling, as PAN, sees the tile instead of the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .engines import Engine
from .options import MIN_SIDE, STEP
from .padding import pad
from .upsample import Axis, best_labels, confidence

Span = tuple[int, int]
"""Where a tile begins and ends along a side, in pixels."""


def plan_tiles(length: int, tile: int, overlap: int) -> list[Span]:
    """The tiles along a side, as few as will do, as small as these may be, all but the last equally large.

    Args:
        length: of the side, in pixels.
        tile: the largest tile; a multiple of 32 (the last may be up to 31 pixels larger).
        overlap: of neighbours at least; a multiple of 32, at most half a tile.
    """
    if length <= tile:
        return [(0, length)]
    lap = overlap + STEP  # rounding a beginning down to a multiple may cost as much
    count = -(-(length - tile) // (tile - lap)) + 1
    size = -(-(length + (count - 1) * lap) // count)
    size = min(tile, -(-size // STEP) * STEP)
    begins = [index * (length - size) // (count - 1) // STEP * STEP for index in range(count)]
    return [*((begin, begin + size) for begin in begins[:-1]), (begins[-1], length)]


def blend_weights(begins: list[int], ends: list[int], trim: float, ramp: float) -> list[NDArray[np.float32]]:
    """The weight of each tile at each of its points along a side; the weights of a point add up to one.

    Args:
        begins, ends: of the tiles, in points.
        trim: points at an inner border that count for nothing.
        ramp: points over which the weight then rises to its full.
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
    engine: Engine, image: NDArray[np.uint8], tile: int, overlap: int, with_confidence: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Segment an image by its tiles.

    Args:
        engine: scores each tile.
        image: H×W×3 (uint8).
        tile, overlap: see `plan_tiles`.
        with_confidence: compute the confidence, too.

    Returns:
        labels H×W (uint8) and, if asked for, the softmax probability of each label, H×W (float32).

    Raises:
        UserError: as the engine.
    """
    height, width = image.shape[:2]
    bands, columns = plan_tiles(height, tile, overlap), plan_tiles(width, tile, overlap)

    def score(band: Span, column: Span) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = engine(pad(image[None, slice(*band), slice(*column)], engine.size_divisor))[0]
        return scores

    # Two tiles tell how many points there are: the first how many for a pixel, the last how many at the end.
    ready = {where: score(*where) for where in {(bands[0], columns[0]), (bands[-1], columns[-1])}}
    first, last = ready[bands[0], columns[0]], ready[bands[-1], columns[-1]]
    tops, bottoms = _points(bands, first.shape[1], last.shape[1])
    lefts, rights = _points(columns, first.shape[2], last.shape[2])
    density = first.shape[1] / (bands[0][1] - bands[0][0])
    trim, ramp = overlap / 4 * density, overlap / 2 * density
    down, across = blend_weights(tops, bottoms, trim, ramp), blend_weights(lefts, rights, trim, ramp)
    seen = [max(MIN_SIDE, -(-side // engine.size_divisor) * engine.size_divisor) for side in (height, width)]
    rows = Axis.between(bottoms[-1], seen[0], engine.align_corners).part(0, height)
    sides = Axis.between(rights[-1], seen[1], engine.align_corners).part(0, width)

    labels = np.empty((height, width), np.uint8)
    certain = np.empty((height, width), np.float32) if with_confidence else None
    held = np.zeros((len(first), 0, rights[-1]), np.float32)  # the blended scores from the point `begin` on
    begin = done = 0
    for index, band in enumerate(bands):
        more = np.zeros((len(first), bottoms[index] - begin - held.shape[1], rights[-1]), np.float32)
        held = np.concatenate((held, more), axis=1)
        for number, column in enumerate(columns):
            scores = ready.pop((band, column), None)
            if scores is None:
                scores = score(band, column)
            place = held[:, tops[index] - begin : bottoms[index] - begin, lefts[number] : rights[number]]
            place += scores * (down[index][:, None] * across[number])
        settled = tops[index + 1] if index + 1 < len(bands) else bottoms[-1]
        until = int(np.searchsorted(rows.above, settled))  # rows of pixels between points that no other tile changes
        part = rows.part(done, until, begin)
        labels[done:until] = best_labels(held, part, sides)
        if certain is not None:
            certain[done:until] = confidence(held, part, sides)
        if until < height:
            held, begin = held[:, rows.below[until] - begin :], int(rows.below[until])
        done = until
    return labels, certain


def _points(spans: list[Span], first: int, last: int) -> tuple[list[int], list[int]]:
    """Where tiles begin and end along a side in points, from the number of points of the first and of the last tile."""
    size = spans[0][1] - spans[0][0]
    begins = [begin * first // size for begin, _ in spans]
    return begins, [*(begin + first for begin in begins[:-1]), begins[-1] + last]
