"""From a label map to polygons that leave no gaps: neighbours share their borders, point by point.

The pixels of one class that touch along an edge are a region, and a region is a polygon with holes. The edges between
regions form a graph of arcs: chains of pixel edges from one corner where three or four edges meet to the next (or a
closed chain, around an island). Every arc is found, and simplified, once, and both its neighbours use it, so together
the polygons cover each point of the image exactly once, before simplification and after it.

Simplification is that of Douglas and Peucker (The Canadian Cartographer 10, 1973), arc by arc. It may make two arcs
touch or cross, or move one across an island; arcs that do are simplified less, in the last resort not at all, until the
arrangement is that of the exact borders: no two segments touch but at common corners, the arcs leave each corner in the
same order, and every island lies in the region that surrounds it.

Coordinates are (x, y) in pixels, the image's upper left corner is (0, 0) and y goes down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE, ClassTable

Ring = NDArray[np.int32]
"""The corners of a closed line, N×2 (x, y), the first again as the last."""
RIGHT, DOWN, LEFT, UP = range(4)
BESIDE = ((3, 1), (2, 3), (0, 2), (1, 0))
"""By direction: which of the four pixels around a corner (upper left, upper right, lower left, lower right) lie on the
right and on the left hand of who leaves the corner in that direction."""
OUTSIDE = -1
"""The region around the image."""
BAND = 8
"""Rows of pixels in which segments are compared with each other."""


@dataclass(frozen=True)
class Polygon:
    """A region of one label.

    Attributes:
        label: of its pixels.
        exterior: its outline; the shoelace formula over (x, y) gives a positive area.
        holes: the outlines of what lies inside and does not belong to it; their area is negative.
        pixels: how many it has in the label map.
    """

    label: int
    exterior: Ring
    holes: tuple[Ring, ...]
    pixels: int

    @property
    def area(self) -> float:
        """In square pixels; equal to `pixels` where nothing was simplified."""
        return signed_area(self.exterior) + sum(signed_area(hole) for hole in self.holes)


@dataclass(frozen=True)
class Arc:
    """A border between two regions, from a corner where borders meet to the next, or around an island.

    Attributes:
        corners: N×2 (x, y), where it turns, with both ends.
        right, left: the regions on the right and the left hand of who walks along it on a screen.
        first, last: the directions in which it leaves its beginning and arrives at its end.
    """

    corners: NDArray[np.int32]
    right: int
    left: int
    first: int
    last: int


def signed_area(ring: Ring) -> float:
    """The shoelace formula."""
    x, y = ring.astype(np.int64).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2


def polygons(labels: NDArray[np.uint8], tolerance: float = 0.0) -> list[Polygon]:
    """The regions of a label map as polygons, in the order in which their first pixels are read.

    Args:
        labels: H×W.
        tolerance: how far, in pixels, a border may stray from the pixels' edges; 0 follows them exactly, 1 straightens
            the stairs of slanted borders.

    Raises:
        ValueError: `tolerance` is negative.
    """
    if tolerance < 0:
        raise ValueError(f"tolerance is a distance in pixels, 0 or more, not {tolerance}")
    regions = find_regions(labels)
    arcs = find_arcs(regions)
    lines = [arc.corners for arc in arcs]
    if tolerance:
        lines = _simplified(arcs, regions, tolerance)
    rings: dict[int, list[Ring]] = {}
    for region, ring in _rings(arcs, lines):
        rings.setdefault(region, []).append(ring)
    pixels = np.bincount(regions.ravel())
    own = np.empty(len(pixels), np.uint8)
    own[regions] = labels
    result = []
    for region, (label, count) in enumerate(zip(own.tolist(), pixels.tolist(), strict=True)):
        exterior = max(rings[region], key=signed_area)
        result.append(Polygon(label, exterior, tuple(r for r in rings[region] if r is not exterior), count))
    return result


def properties(shape: Polygon, classes: ClassTable, unit: float = 1.0) -> dict[str, Any]:
    """What is said of a polygon in a file of them; `unit` is the area of a pixel."""
    return {
        "class": shape.label,
        "name": classes.void_name if shape.label == IGNORE else classes.names[shape.label],
        "area": shape.area * unit,
        "pixels": shape.pixels,
    }


def to_geojson(
    shapes: Sequence[Polygon],
    classes: ClassTable,
    unit: float = 1.0,
    placed: Callable[[Ring], NDArray[np.generic]] = np.asarray,
) -> dict[str, Any]:
    """A GeoJSON FeatureCollection (RFC 7946) of polygons, each with its class, name, area and pixels.

    Args:
        shapes: the polygons.
        classes: what their labels mean.
        unit: the area of a pixel.
        placed: brings a ring to where it lies; by default it stays in pixels.
    """
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": properties(shape, classes, unit),
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [placed(ring).tolist() for ring in (shape.exterior, *shape.holes)],
                },
            }
            for shape in shapes
        ],
    }


def find_regions(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number the regions of equal labels, whose pixels touch along edges, in the order of their first pixels: H×W."""
    begins = np.ones(labels.shape, bool)
    begins[:, 1:] = labels[:, 1:] != labels[:, :-1]
    runs = begins.ravel().cumsum().reshape(labels.shape) - 1  # equal pixels side by side
    equal = (labels[1:] == labels[:-1]) & (begins[1:] | begins[:-1])
    numbers = _connected(int(runs[-1, -1]) + 1, runs[:-1][equal], runs[1:][equal])
    return np.asarray(numbers[runs])


def _connected(count: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups of `count` things of which each `one` is connected with its `other`, in order: count (0 …)."""
    lowest = np.arange(count)  # of those a thing is known to be connected with
    while True:
        before = lowest.copy()
        reached = np.minimum(before[one], before[other])
        np.minimum.at(lowest, before[one], reached)
        np.minimum.at(lowest, before[other], reached)
        while (lowest != lowest[lowest]).any():
            lowest = lowest[lowest]
        if (lowest == before).all():
            numbers: NDArray[np.int64] = np.unique(lowest, return_inverse=True)[1]
            return numbers


def find_arcs(regions: NDArray[np.int64]) -> list[Arc]:
    """The borders between regions (H×W, 0 …) and around the image."""
    height, width = regions.shape
    framed = np.pad(regions, 1, constant_values=OUTSIDE)
    across = framed[:-1, 1:-1] != framed[1:, 1:-1]  # (H+1)×W: an edge from (x, y) to the right
    down = framed[1:-1, :-1] != framed[1:-1, 1:]  # H×(W+1): an edge from (x, y) downwards
    leaves = np.zeros((4, height + 1, width + 1), bool)
    leaves[RIGHT, :, :-1] = leaves[LEFT, :, 1:] = across
    leaves[DOWN, :-1] = leaves[UP, 1:] = down
    meets = leaves.sum(axis=0) > 2
    meets[[0, 0, -1, -1], [0, -1, 0, -1]] = True  # the image keeps its corners
    is_end = meets.tobytes()
    onward = _onward(leaves)
    stride = width + 1
    offsets = (1, stride, -1, -stride)
    done = bytearray(4 * len(is_end))  # by corner and direction

    def follow(begin: int, first: int) -> Arc:
        place, way, corners = begin, first, [begin]
        while True:
            done[4 * place + way] = True
            place += offsets[way]
            done[4 * place + opposite(way)] = True
            if is_end[place] or place == begin:
                break
            turn = onward[opposite(way)][place]
            if turn != way:
                corners.append(place)
                way = turn
        y, x = np.divmod(np.array([*corners, place], np.int32), stride)
        here = framed[y[0] : y[0] + 2, x[0] : x[0] + 2].ravel()
        right, left = here[list(BESIDE[first])].tolist()
        return Arc(np.stack([x, y], axis=1), right, left, first, way)

    arcs = []
    ends = np.argwhere(leaves.reshape(4, -1).T & meets.reshape(-1, 1))
    islands = np.flatnonzero(leaves[RIGHT] & leaves[DOWN] & ~meets)  # every closed arc has an upper left corner
    for place, way in [*ends.tolist(), *((place, RIGHT) for place in islands.tolist())]:
        if not done[4 * place + way]:
            arcs.append(follow(place, way))
    return arcs


def opposite(way: int) -> int:
    """The direction back."""
    return (way + 2) % 4


def _onward(leaves: NDArray[np.bool_]) -> list[bytes]:
    """By the direction back to where one comes from, and by corner: the direction in which a border goes on."""
    ways = []
    for back in range(4):
        others = leaves * np.arange(4, dtype=np.uint8)[:, None, None]
        others[back] = 0
        ways.append(others.sum(axis=0, dtype=np.uint8).tobytes())  # of two edges the one that is not `back`
    return ways


def _rings(arcs: Sequence[Arc], lines: Sequence[Ring]) -> Iterator[tuple[int, Ring]]:
    """The outlines of the regions, put together from the arcs; each has its region on its right hand."""
    halves: dict[tuple[int, int, int], tuple[Ring, int, int]] = {}
    for arc, line in zip(arcs, lines, strict=True):
        (x, y), (end_x, end_y) = line[[0, -1]].tolist()
        halves[x, y, arc.first] = line, arc.last, arc.right
        halves[end_x, end_y, opposite(arc.last)] = line[::-1], opposite(arc.first), arc.left
    while halves:
        begin = key = next(iter(halves))
        region = halves[key][2]
        parts: list[Ring] = []
        while key != begin or not parts:
            line, way, _ = halves.pop(key) if parts else halves[key]
            parts.append(line[:-1])
            x, y = line[-1].tolist()
            # Where four borders meet, the first one from the left: two outlines that touch there stay two.
            turns = [(x, y, (way + turn) % 4) for turn in (3, 0, 1)]
            key = next(turn for turn in turns if turn in halves and halves[turn][2] == region)
        del halves[begin]
        if region != OUTSIDE:
            yield region, np.concatenate([*parts, parts[0][:1]])


def _simplified(arcs: Sequence[Arc], regions: NDArray[np.int64], tolerance: float) -> list[Ring]:
    """The arcs with fewer corners, in the same arrangement."""
    tolerances = np.full(len(arcs), tolerance)
    while True:
        lines = douglas_peucker([arc.corners for arc in arcs], tolerances)
        conflicts = _crossing(lines) | _out_of_order(arcs, lines) | _astray(arcs, lines, regions, tolerances)
        if not conflicts:
            return lines
        for number in conflicts:
            tolerances[number] = tolerances[number] / 2 if tolerances[number] > 1 else 0


def douglas_peucker(lines: Sequence[Ring], tolerances: NDArray[np.float64]) -> list[Ring]:
    """Leave out corners of lines, so that no corner is farther from what is left than the line's tolerance.

    Both ends of a line stay; of a closed one also the corner that is farthest from them.
    """
    sizes = np.array([len(line) for line in lines])
    corners = np.concatenate(lines).astype(np.float64)
    stops = sizes.cumsum()
    kept = np.zeros(len(corners), bool)
    begin, end, limit = stops - sizes, stops - 1, tolerances
    kept[begin] = kept[end] = True
    while len(begin):
        inner = end - begin > 1
        begin, end, limit = begin[inner], end[inner], limit[inner]
        counts = end - begin - 1
        chord = np.repeat(np.arange(len(begin)), counts)
        starts = counts.cumsum() - counts
        places = np.arange(len(chord)) - starts[chord] + begin[chord] + 1
        along = (corners[end] - corners[begin])[chord]
        offset = corners[places] - corners[begin][chord]
        length = (along**2).sum(axis=1)
        share = np.clip((offset * along).sum(axis=1) / np.where(length, length, 1), 0, 1)
        distance = np.hypot(*(offset - share[:, None] * along).T)
        farthest = np.maximum.reduceat(distance, starts) if len(starts) else distance
        hits = np.flatnonzero(distance == farthest[chord])
        middle = places[hits[np.searchsorted(chord[hits], np.arange(len(begin)))]]
        split = (farthest > limit) | (corners[begin] == corners[end]).all(axis=1)
        begin, end, middle, limit = begin[split], end[split], middle[split], limit[split]
        kept[middle] = True
        begin, end, limit = np.concatenate([begin, middle]), np.concatenate([middle, end]), np.tile(limit, 2)
    return [line[kept[stop - len(line) : stop]] for line, stop in zip(lines, stops.tolist(), strict=True)]


def _segments(lines: Sequence[Ring]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The straight pieces of lines: beginnings N×2, ends N×2, and of which line each is."""
    owner = np.repeat(np.arange(len(lines)), [len(line) - 1 for line in lines])
    begins = np.concatenate([line[:-1] for line in lines]).astype(np.int64)
    return begins, np.concatenate([line[1:] for line in lines]).astype(np.int64), owner


def _expanded(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every member of groups of so many members: its group, and its place in there."""
    group = np.repeat(np.arange(len(counts)), counts)
    return group, np.arange(len(group)) - (counts.cumsum() - counts)[group]


class _Bands:
    """Segments cut where they pass from one band of `BAND` rows to the next, ordered by band and then from the left."""

    def __init__(self, begins: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        low, high = np.minimum(begins[:, 1], ends[:, 1]), np.maximum(begins[:, 1], ends[:, 1])
        piece, number = _expanded(high // BAND - low // BAND + 1)
        band = (low // BAND)[piece] + number
        rise = (ends - begins)[piece, 1]
        slope = (ends - begins)[piece, 0] / np.where(rise, rise, 1)
        x, y = begins[piece].T
        at = [x + (np.clip(row, low[piece], high[piece]) - y) * slope for row in (band * BAND, band * BAND + BAND)]
        at[1] = np.where(rise, at[1], ends[piece, 0])
        # A little wider than they are, for the sake of rounding.
        left, right = (
            np.floor(np.minimum(*at) - 0.01).astype(np.int64),
            np.ceil(np.maximum(*at) + 0.01).astype(np.int64),
        )
        self.stride = int(right.max()) + 3
        key = band * self.stride + left + 1
        order = np.argsort(key, kind="stable")
        self.segment = piece[order]
        self.left = key[order]
        self.right = (band * self.stride + right + 1)[order]

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Segments that may touch: the numbers of the ones, and of the others."""
        index = np.arange(len(self.left))
        one, number = _expanded(np.searchsorted(self.left, self.right, side="right") - index - 1)
        return self.segment[one], self.segment[one + number + 1]

    def left_of(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Segments that may lie left of corners, at their height: the numbers of the corners, and of the segments."""
        band = y // BAND * self.stride
        first = np.searchsorted(self.left, band)
        corner, number = _expanded(np.searchsorted(self.left, band + x + 1, side="right") - first)
        return corner, self.segment[first[corner] + number]


def _crossing(lines: Sequence[Ring]) -> set[int]:
    """The lines that cross or touch others, or themselves, elsewhere than at common ends of segments."""
    begins, ends, owner = _segments(lines)
    one, other = _Bands(begins, ends).pairs()
    p, q, r, s = begins[one], ends[one], begins[other], ends[other]

    def same(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray((a == b).all(axis=1))

    def on(of: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
        within = ((np.minimum(a, b) <= of) & (of <= np.maximum(a, b))).all(axis=1)
        return np.asarray((_side(of, a, b) == 0) & within & ~same(of, a) & ~same(of, b))

    bad = (_side(r, p, q) * _side(s, p, q) < 0) & (_side(p, r, s) * _side(q, r, s) < 0)
    bad |= on(r, p, q) | on(s, p, q) | on(p, r, s) | on(q, r, s)
    bad |= (same(p, r) & same(q, s)) | (same(p, s) & same(q, r))
    return set(owner[np.concatenate([one[bad], other[bad]])].tolist())


def _out_of_order(arcs: Sequence[Arc], lines: Sequence[Ring]) -> set[int]:
    """The arcs at corners that their lines do not leave in the order in which they did."""
    ends = np.array([line[index] for line in lines for index in (0, -1)])
    nexts = np.array([line[index] for line in lines for index in (1, -2)])
    ways = np.array([way for arc in arcs for way in (arc.first, opposite(arc.last))])
    owner = np.repeat(np.arange(len(arcs)), 2)
    order = np.lexsort([ways, ends[:, 0], ends[:, 1]])
    ends, owner = ends[order], owner[order]
    angles = np.arctan2(*(nexts[order] - ends).T[::-1])
    begins = np.flatnonzero(np.append(True, (ends[1:] != ends[:-1]).any(axis=1)))
    corner = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(ends))))
    following = np.arange(1, len(ends) + 1)
    following[np.append(begins[1:], len(ends)) - 1] = begins
    turned = np.add.reduceat((angles[following] - angles) % (2 * np.pi), begins)
    return set(owner[abs(turned - 2 * np.pi)[corner] > 1].tolist())


def _astray(
    arcs: Sequence[Arc], lines: Sequence[Ring], regions: NDArray[np.int64], tolerances: NDArray[np.float64]
) -> set[int]:
    """The arcs of islands whose lines no longer lie in the region around them, and arcs of that region close by.

    An island is what is connected with itself alone, not with the image's border. The region around it is that of the
    pixel left of its leftmost corner; that region's outline, without the island's own, must wind around its corners.
    """
    sizes = [len(arc.corners) for arc in arcs]
    ends = np.array([arc.corners[[0, -1]] for arc in arcs])
    corners, connected = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    connected = connected.reshape(-1, 2)
    island = _connected(len(corners), *connected.T)[connected[:, 0]]  # of each arc; 0 holds the corner (0, 0)
    if not island.any():
        return set()
    every, group = np.concatenate([arc.corners for arc in arcs]), np.repeat(island, sizes)
    order = np.lexsort([every[:, 0], group])
    leftmost = every[order][np.searchsorted(group[order], np.arange(1, island.max() + 1))]
    around = regions[leftmost[:, 1], leftmost[:, 0] - 1]
    first = np.unique(island, return_index=True)[1][1:]
    places = np.array([lines[index][0] for index in first.tolist()], np.int64)

    begins, stops, owner = _segments(lines)
    number, segment = _Bands(begins, stops).left_of(*places.T)
    a, b, place, arc = begins[segment], stops[segment], places[number], owner[segment]
    goes_up = b[:, 1] < a[:, 1]
    passes = (a[:, 1] <= place[:, 1]) != (b[:, 1] <= place[:, 1])
    passes &= (_side(place, a, b) > 0) == goes_up  # left of the place
    passes &= island[arc] != number + 1
    sides = np.array([(arc.right, arc.left) for arc in arcs])[arc] == around[number][:, None]
    turns = np.where(goes_up, 1, -1) * (sides[:, 0].astype(int) - sides[:, 1])
    winding = np.bincount(number[passes], weights=turns[passes], minlength=len(places))
    bounds = np.cumsum([0, *sizes[:-1]])
    low, high = np.minimum.reduceat(every, bounds), np.maximum.reduceat(every, bounds)
    found: set[int] = set()
    for index in np.flatnonzero(winding != 1).tolist():
        inside = (low - tolerances[:, None] <= places[index]) & (places[index] <= high + tolerances[:, None])
        found.update(np.flatnonzero(inside.all(axis=1) | (island == index + 1)).tolist())
    return found


def _side(of: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where corners lie from the lines a to b: 1 on the right hand, −1 on the left, 0 on the line."""
    along, offset = b - a, of - a
    return np.asarray(np.sign(along[:, 0] * offset[:, 1] - along[:, 1] * offset[:, 0]))


def merge_small(labels: NDArray[np.uint8], least: int) -> NDArray[np.uint8]:
    """A label map in which every region of fewer than `least` pixels has the label of the neighbour it touches most.

    The smallest regions are merged first, so that several small ones beside each other become one larger one. Void
    (`IGNORE`) is neither merged nor merged into.
    """
    labels = labels.copy()
    while True:
        regions = find_regions(labels)
        sizes = np.bincount(regions.ravel())
        owners = np.zeros(len(sizes), np.uint8)
        owners[regions] = labels
        small = (sizes < least) & (owners != IGNORE)
        pairs = np.concatenate(
            [
                np.stack([one[different], other[different]], axis=1)
                for one, other in ((regions[:, :-1], regions[:, 1:]), (regions[:-1], regions[1:]))
                for different in [one != other]
            ]
        )
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        pairs = pairs[small[pairs[:, 0]] & (owners[pairs[:, 1]] != IGNORE)]
        if not len(pairs):
            return labels
        # Only what is no larger than any small neighbour: so no two regions change labels with each other.
        borders, lengths = np.unique(pairs, axis=0, return_counts=True)
        rank = np.argsort(np.argsort(sizes, kind="stable"))
        smallest = np.full(len(sizes), len(sizes))
        beside = small[borders[:, 1]]
        np.minimum.at(smallest, borders[beside, 0], rank[borders[beside, 1]])
        order = np.lexsort((borders[:, 1], -lengths, borders[:, 0]))
        firsts = order[np.unique(borders[order, 0], return_index=True)[1]]
        chosen = firsts[rank[borders[firsts, 0]] < smallest[borders[firsts, 0]]]
        owners[borders[chosen, 0]] = owners[borders[chosen, 1]]
        labels = owners[regions]
