"""Training from rasters: scenes and their labels, each on one grid, read by windows when they are asked for.

Nothing is cut to disk. What nobody labelled is void. The labels are divided into train and val by blocks of the scene
(`scene_blocks`): of a window the one split sees only labels in its own blocks. Training draws its windows from anywhere
in the scene, half of them so that every class comes equally often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE, ClassTable
from ..errors import UserError
from ..images import Bands, Raster, Span, band_indices, open_raster, read_filled
from .reading import SHARE, Reading
from .samples import Dataset
from .scene_blocks import BLOCKS, ENOUGH, GAP, Block, choose_blocks, cut, near
from .scene_labels import SHAPE_SUFFIXES, Labels, RasterLabels, ShapeLabels

WINDOW = 512
"""The side of the windows in which a scene is looked at and validated, in pixels."""


@dataclass(frozen=True)
class SceneFiles:
    """Where a scene and its labels are.

    Attributes:
        image: a raster, or a pattern with {band} for one file a band.
        labels: a raster of class ids on the scene's grid, or a file of shapes.
        attribute: of the shapes, that says their class; found by looking where it is not given.
    """

    image: Path
    labels: Path
    attribute: str | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene with its labels.

    Attributes:
        raster: the scene.
        labels: on its grid.
        places: of its bands that images have, from 0.
        bands: what the values of these are.
        held: the blocks that validate.
        learnt: how many pixels of each class the other blocks have for training.
    """

    raster: Raster
    labels: Labels
    places: tuple[int, ...]
    bands: Bands
    held: Sequence[Block] = field(repr=False)
    learnt: Mapping[Block, NDArray[np.int64]] = field(repr=False)

    def read_image(self, window: Block) -> NDArray[Any]:
        """The values h×w×B of a window, see `read_filled`.

        Raises:
            UserError: this part of the file is damaged.
        """
        return read_filled(self.raster, *window, self.places, self.bands)

    def read_mask(self, window: Block, validates: bool) -> NDArray[np.uint8]:
        """The labels h×w of a window that are in the blocks that validate, or those that are not near one.

        Raises:
            UserError: as `read_image`.
        """
        mask = self.labels.read(*window)
        valid = self.raster.valid(*window)
        if valid is not None:
            mask[~valid] = IGNORE
        return self._of_split(mask, window, validates)

    def _of_split(self, mask: NDArray[np.uint8], window: Block, validates: bool) -> NDArray[np.uint8]:
        inside = np.zeros(mask.shape, bool)
        gap = 0 if validates else GAP
        (top, _), (left, _) = window
        for block in self.held:
            if near(window, block, gap):
                (first, last), (begin, end) = block
                rows = slice(max(0, first - gap - top), max(0, last + gap - top))
                inside[rows, max(0, begin - gap - left) : max(0, end + gap - left)] = True
        mask[inside != validates] = IGNORE
        return mask

    def draw(self, size: tuple[int, int], below: Callable[[int], int]) -> tuple[int, int]:
        """The first row and column of a random window in which there is something to learn.

        The window holds a pixel that is drawn first: every second time one of all that are labelled for training, else
        one of a class that is drawn before it, so that rare classes are met as often as others.

        Args:
            size: height and width of the window.
            below: draws a whole number from 0 on, below the one it is given.
        """
        blocks, counts = list(self.learnt), np.stack(list(self.learnt.values()))
        known = np.flatnonzero(counts.sum(axis=0))
        label = int(known[below(len(known))]) if below(2) else None
        sums = np.cumsum(counts.sum(axis=1) if label is None else counts[:, label])
        block = blocks[int(np.searchsorted(sums, below(int(sums[-1])), side="right"))]
        mask = self._of_split(self.labels.read(*block), block, False)
        pixels = np.flatnonzero(mask != IGNORE if label is None else mask == label)
        row, column = divmod(int(pixels[below(len(pixels))]), mask.shape[1])
        whole, starts = (self.raster.height, self.raster.width), []
        for place, extent, all_of in zip((block.rows[0] + row, block.columns[0] + column), size, whole, strict=True):
            starts.append(min(max(0, place - below(extent)), all_of - extent))
        return starts[0], starts[1]

    def remapped(self, table: NDArray[np.uint8], classes: ClassTable) -> Scene:
        """The scene with other classes: `table` (256 uint8) holds the new label of each."""
        learnt = {}
        for block, counts in self.learnt.items():
            moved = np.zeros(256, np.int64)
            np.add.at(moved, table[: len(counts)], counts)
            if moved[: len(classes)].any():
                learnt[block] = moved[: len(classes)]
        return replace(self, labels=RemappedLabels(self.labels, table, classes), learnt=learnt)


@dataclass(frozen=True, eq=False)
class RemappedLabels:
    """Labels with other classes: `table` (256 uint8) holds the new label of each."""

    labels: Labels
    table: NDArray[np.uint8]
    classes: ClassTable

    def read(self, rows: Span, columns: Span) -> NDArray[np.uint8]:
        """See `Labels`."""
        return self.table[self.labels.read(rows, columns)]


@dataclass(frozen=True, eq=False)
class WindowSample:
    """A window of a scene as a sample.

    Attributes:
        name: of the scene, where there are several, and "row-column" of the window's first pixel.
        scene: which it is of.
        window: where it lies.
        validates: whether its labels are those of the blocks that validate, or those to learn from.
    """

    name: str
    scene: Scene
    window: Block
    validates: bool

    def read_image(self) -> NDArray[Any]:
        """The values h×w×B in the scene's own type."""
        return self.scene.read_image(self.window)

    def read_mask(self) -> NDArray[np.uint8]:
        """The labels h×w; void too where the scene holds no data."""
        return self.scene.read_mask(self.window, self.validates)


def open_scenes(
    files: Sequence[SceneFiles],
    reading: Reading,
    *,
    block: int | None = None,
    names: Mapping[int, str] | None = None,
    void: Sequence[int] = (IGNORE,),
    root: Path | None = None,
) -> Dataset:
    """Scenes and their labels as a data set of windows.

    Args:
        files: of each scene; all have the same bands.
        reading: of which `bands` (names or numbers from 1; all by default) and `val` count: the share of the labelled
            pixels, of each class as far as whole blocks allow, that is set aside.
        block: the side of the blocks in pixels; by default the largest of `BLOCKS` that leaves enough of them.
        names, void: of rasters of ids, see `RasterLabels`.
        root: of the data set; by default the first scene's folder.

    Raises:
        UserError: a file cannot be read, they do not fit each other, or nothing is labelled.
        MissingExtra: a library is not installed.
    """
    if block is not None and block < GAP:
        raise UserError(f"block is {block}; the side of a block in pixels must be {GAP} or more")
    scenes: list[Scene] = []
    splits: dict[str, list[WindowSample]] = {"train": [], "val": []}
    notes = []
    for one in files:
        raster = open_raster(one.image)
        places = band_indices(reading.bands, raster.bands, raster.path)
        bands = Bands.of(raster, places)
        if scenes and bands != scenes[0].bands:
            raise UserError(
                f"{raster.path} has {bands} and {scenes[0].raster.path} {scenes[0].bands} (nodata {bands.nodata} and"
                f" {scenes[0].bands.nodata}); scenes of one data set have the same bands of one"
                " type: choose them with bands=, or convert the files"
            )
        labels: Labels
        if one.labels.suffix.lower() in SHAPE_SUFFIXES:
            labels = ShapeLabels(one.labels, raster, one.attribute)
        else:
            labels = RasterLabels(open_raster(one.labels, as_ids=True), raster, names, void)
        counts, side = _count_labels(labels, raster, block)
        if not counts:
            raise UserError(f"no pixel of {raster.path} has a label in {one.labels}; check that both are of one region")
        held = choose_blocks(counts, reading.val) if reading.val else []
        scene = Scene(raster, labels, places, bands, held, {})
        learnt = {part: count for part, count in counts.items() if part not in held}
        for part in learnt:
            if any(near(part, other, GAP) for other in held):
                mask = scene._of_split(labels.read(*part), part, False)
                learnt[part] = np.bincount(mask.ravel(), minlength=256)[: len(labels.classes)]
        scenes.append(replace(scene, learnt={part: count for part, count in learnt.items() if count.any()}))
        notes.append(
            f"{raster.path}: of {len(counts)} labelled blocks of {side}×{side} pixels {len(held)} are for validation;"
            f" labels within {GAP} pixels of them are left out of training"
        )
    classes = ClassTable.of(list(dict.fromkeys(name for scene in scenes for name in scene.labels.classes.names)))
    for scene in scenes:
        own = scene.labels.classes.names
        if own != classes.names:
            table = np.full(256, IGNORE, np.uint8)
            table[: len(own)] = [classes.names.index(name) for name in own]
            scene = scene.remapped(table, classes)
        stem = f"{scene.raster.path.name.replace('{band}', 'bands')}/" if len(scenes) > 1 else ""
        for split, blocks in (("train", list(scene.learnt)), ("val", scene.held)):
            splits[split] += [
                WindowSample(f"{stem}{window.rows[0]}-{window.columns[0]}", scene, window, split == "val")
                for window in _windows(scene.raster, blocks)
            ]
    first = scenes[0]
    known = replace(reading, bands=first.bands.names)
    where = root or first.raster.path.parent
    return Dataset("scenes", where, classes, splits, tuple(notes), reading=known, bands=first.bands)


def open_scene(
    image: str | Path,
    labels: str | Path,
    bands: Sequence[str] | None = None,
    *,
    val: float = SHARE,
    block: int | None = None,
    attribute: str | None = None,
) -> Dataset:
    """One scene and its labels as a data set of windows, see `open_scenes`."""
    files = SceneFiles(Path(image), Path(labels), attribute)
    return open_scenes([files], Reading(bands=bands, val=val), block=block)


def _windows(raster: Raster, blocks: Iterable[Block]) -> list[Block]:
    """The windows that blocks lie in, row by row."""
    places = {
        (row, column)
        for (top, bottom), (left, right) in blocks
        for row in range(top // WINDOW, (bottom - 1) // WINDOW + 1)
        for column in range(left // WINDOW, (right - 1) // WINDOW + 1)
    }
    return [
        Block(
            (row * WINDOW, min((row + 1) * WINDOW, raster.height)),
            (column * WINDOW, min((column + 1) * WINDOW, raster.width)),
        )
        for row, column in sorted(places)
    ]


def _count_labels(labels: Labels, scene: Raster, side: int | None) -> tuple[dict[Block, NDArray[np.int64]], int]:
    """How many pixels of each class the blocks have, of those that have any, and the side of these blocks."""
    blocks = cut(scene.height, scene.width, side or BLOCKS[0])
    counts: dict[Block, NDArray[np.int64]] = {}
    for size in BLOCKS if side is None else (side,):
        if counts:  # where a larger block has no label, no smaller one in it has
            blocks = [
                Block(
                    (block.rows[0] + rows[0], block.rows[0] + rows[1]),
                    (block.columns[0] + columns[0], block.columns[0] + columns[1]),
                )
                for block in counts
                for rows, columns in cut(block.rows[1] - block.rows[0], block.columns[1] - block.columns[0], size)
            ]
        counts = {}
        for block in blocks:
            count = np.bincount(labels.read(*block).ravel(), minlength=256)[: len(labels.classes)]
            if count.any():
                counts[block] = count
        if not counts or len(counts) >= ENOUGH:
            break
    return counts, size
