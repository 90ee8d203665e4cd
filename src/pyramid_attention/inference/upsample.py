"""From the network's logits, one for every few pixels, to the label and the confidence of every pixel.

A network gives its logits on a grid that is coarser than the image (1/4 of it for PAN); between the places of the grid
they are bilinear. All engines give that grid, and what becomes of it is computed here, once for all of them.

Most pixels need no arithmetic: where one class has the largest logit at all four places around a pixel, it has the
largest at the pixel, too, since every mean with the same weights preserves `≥`. Only the others, along outlines, are
interpolated. The labels are those of a full interpolation.

Where every place of the grid stands for f×f pixels, f a whole number, the f² pixels between four places have the same
weights in every cell of the grid. Then the cells along outlines are interpolated side by side. (By elements: a matrix
product would wake the threads of NumPy's BLAS, which get in the way of the engine's.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 18
"""Interpolated logits that are held at a time, so that they stay in the processor's cache."""
DENSE = 0.4
"""Share of pixels along outlines from which interpolating all of them, row by row, is the faster way."""


@dataclass(frozen=True)
class Axis:
    """Where the pixels of a side lie between the places of the grid: pixel i between `below[i]` and `above[i]`.

    Attributes:
        below, above: indices of places; int64.
        share: how far the pixel is from the one to the other, 0 … 1; float32.
        factor: how many pixels each place stands for, from the first on; None where that is no whole number.
    """

    below: NDArray[np.int64]
    above: NDArray[np.int64]
    share: NDArray[np.float32]
    factor: int | None = None

    @classmethod
    def between(cls, grid: int, pixels: int, align_corners: bool = False, covered: float = 1.0) -> Axis:
        """The side of an image, over a side of the grid.

        Args:
            grid, pixels: how many places and pixels there are.
            align_corners: the first and last places lie on the first and last pixels; otherwise places and pixels are
                squares side by side on the same stretch (`torch.nn.functional.interpolate`'s bilinear, of both kinds).
            covered: the part of the stretch, from its beginning on, on which the pixels lie.
        """
        index = np.arange(pixels)
        if align_corners:
            place = index * ((grid - 1) * covered / max(pixels - 1, 1))
        else:
            place = np.maximum((index + 0.5) * (grid * covered / pixels) - 0.5, 0)
        below = np.minimum(place.astype(np.int64), grid - 1)
        whole = not align_corners and covered == 1 and pixels % grid == 0
        factor = pixels // grid if whole else None
        return cls(below, np.minimum(below + 1, grid - 1), (place - below).astype(np.float32), factor)

    def __len__(self) -> int:
        return len(self.below)

    def part(self, start: int, stop: int, first: int = 0) -> Axis:
        """The pixels from `start` to before `stop`, over a grid of which the places before `first` are left out."""
        chosen = slice(start, stop)
        factor = self.factor if start == first == 0 else None
        return Axis(self.below[chosen] - first, self.above[chosen] - first, self.share[chosen], factor)


def best_labels(logits: NDArray[np.float32], rows: Axis, columns: Axis) -> NDArray[np.uint8]:
    """The class with the largest interpolated logit at every pixel; of equal ones the first.

    Args:
        logits: C×h×w (float32).
        rows, columns: of the H×W pixels over the grid.

    Returns:
        H×W (uint8).
    """
    if rows.factor is not None and columns.factor is not None:
        return _labels_by_cell(logits, (len(rows), len(columns)), (rows.factor, columns.factor))
    winners = _argmax(logits)
    below, right = _next(winners, 0), _next(winners, 1)
    mixed = (winners != below) | (winners != right) | (winners != _next(below, 1))
    labels: NDArray[np.uint8] = winners.take(rows.below, 0).take(columns.below, 1)
    places = np.flatnonzero(mixed.take(rows.below, 0).take(columns.below, 1))
    if len(places) > DENSE * labels.size:
        for top, chunk in _interpolated(logits, rows, columns):
            labels[top : top + chunk.shape[1]] = _argmax(chunk)
        return labels
    count, _, width = logits.shape
    by_place = np.ascontiguousarray(logits.reshape(count, -1).T)  # h·w × C: all logits of a place side by side
    flat = labels.reshape(-1)
    step = max(1, CHUNK // (4 * count))
    for start in range(0, len(places), step):
        pixels = places[start : start + step]
        y, x = np.divmod(pixels, len(columns))
        upper, lower = rows.below[y] * width, rows.above[y] * width
        left, right_ = columns.below[x], columns.above[x]
        across, down = columns.share[x, None], rows.share[y, None]
        over = _lerp(by_place[upper + left], by_place[upper + right_], across)
        under = _lerp(by_place[lower + left], by_place[lower + right_], across)
        flat[pixels] = _lerp(over, under, down).argmax(axis=1)
    return labels


def _labels_by_cell(logits: NDArray[np.float32], size: tuple[int, int], factors: tuple[int, int]) -> NDArray[np.uint8]:
    """`best_labels` of H×W = `size` pixels, `factors` of which each place stands for in height and width."""
    count, (down, across) = len(logits), factors
    padded = np.pad(logits, ((0, 0), (1, 1), (1, 1)), mode="edge")  # beyond the outermost places nothing changes
    winners = _argmax(padded)
    first = winners[:-1, :-1]
    mixed = (first != winners[1:, :-1]) | (first != winners[:-1, 1:]) | (first != winners[1:, 1:])
    height, width = first.shape
    labels = np.empty((height, down, width, across), np.uint8)  # each cell: the pixels from one place to the next
    labels[:] = first[:, None, :, None]
    shares = [_shares(factor)[:, None, None] for factor in factors]
    flat = padded.reshape(count, -1)
    y, x = np.nonzero(mixed)
    corner = y * (width + 1) + x
    step = max(1, CHUNK // (down * across * count))
    for start in range(0, len(y), step):
        chosen = slice(start, start + step)
        left, right = (
            _lerp(flat.take(upper, axis=1), np.repeat(flat.take(upper + width + 1, axis=1)[None], down, 0), shares[0])
            for upper in (corner[chosen], corner[chosen] + 1)
        )  # down×C×n
        between = _lerp(left[:, None], np.repeat(right[:, None], across, 1), shares[1])
        labels[y[chosen], :, x[chosen]] = _argmax(between.transpose(2, 0, 1, 3)).transpose(2, 0, 1)
    skip = down - down // 2, across - across // 2  # the outermost cells stand out over the image
    whole = labels.reshape(height * down, width * across)
    return np.ascontiguousarray(whole[skip[0] : skip[0] + size[0], skip[1] : skip[1] + size[1]])


def _shares(factor: int) -> NDArray[np.float32]:
    """How far each of the `factor` pixels from one place to the next is on its way."""
    return ((np.arange(factor) + (0.5 if factor % 2 == 0 else 0)) / factor).astype(np.float32)


def _argmax(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The first of the largest along the first axis (NumPy's own is several times slower along it): C×… → … (uint8)."""
    best = logits[0].copy()
    labels = np.zeros(best.shape, np.uint8)
    for label in range(1, len(logits)):
        np.putmask(labels, logits[label] > best, label)
        np.maximum(best, logits[label], out=best)
    return labels


def confidence(logits: NDArray[np.float32], rows: Axis, columns: Axis) -> NDArray[np.float32]:
    """The softmax probability of the best class at every pixel, 0 … 1: exp(max − logsumexp) of interpolated logits.

    Args:
        logits: C×h×w (float32).
        rows, columns: of the H×W pixels over the grid.

    Returns:
        H×W (float32).
    """
    result = np.empty((len(rows), len(columns)), np.float32)
    for top, chunk in _interpolated(logits, rows, columns):
        chunk -= chunk.max(axis=0)
        np.exp(chunk, out=chunk)
        result[top : top + chunk.shape[1]] = 1 / chunk.sum(axis=0)
    return result


def interpolate(logits: NDArray[np.float32], rows: Axis, columns: Axis) -> NDArray[np.float32]:
    """The interpolated logits at every pixel: C×h×w → C×H×W (float32)."""
    down = _lerp(logits[:, rows.below], logits[:, rows.above], rows.share[:, None])
    return _lerp(down[:, :, columns.below], down[:, :, columns.above], columns.share)


def _interpolated(logits: NDArray[np.float32], rows: Axis, columns: Axis) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The interpolated logits C×r×W of some rows at a time, with the first row's number."""
    step = max(1, CHUNK // (len(logits) * len(columns)))
    for top in range(0, len(rows), step):
        yield top, interpolate(logits, rows.part(top, top + step), columns)


def _lerp(start: NDArray[np.float32], end: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """`start` + (`end` − `start`) × `share`, in the memory of `end`."""
    end -= start
    end *= share
    end += start
    return end


def _next(values: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Each place's neighbour along an axis; the last is its own."""
    last = values.shape[axis] - 1
    neighbours: NDArray[np.uint8] = values.take(np.minimum(np.arange(1, last + 2), last), axis)
    return neighbours
