"""Training from rasters: a scene and its labels on one grid, read by windows when they are asked for.

Nothing is cut to disk. The labels are a raster on the scene's grid, or shapes (shapefile, GeoJSON, GeoPackage) that are
burnt into each window, brought into the scene's CRS first. What nobody labelled is void. The labels are divided into
train and val by blocks of the scene: of a window the one split sees only labels in its own blocks, and training none
within `GAP` pixels of a validation block, so that no validated pixel has a neighbour whose label was learnt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE, ClassTable
from ..errors import UserError, nearest, require
from ..images import Raster, Span, band_indices, open_raster
from .samples import Dataset

GAP = 16
"""Labels within so many pixels of a validation block are void in training."""
BLOCKS = (1024, 512, 256, 128, 64, 32, 16)
"""Sides of the blocks, in pixels: the largest that gives at least `ENOUGH` blocks with labels."""
ENOUGH = 40
WINDOW = 512
"""The side of a sample's window, in pixels; training cuts its random crops out of it."""
SHAPE_SUFFIXES = (".shp", ".geojson", ".json", ".gpkg")


class Labels(Protocol):
    """What is known of a scene's pixels."""

    @property
    def classes(self) -> ClassTable:
        """What the labels mean."""

    def read(self, rows: Span, columns: Span) -> NDArray[np.uint8]:
        """The labels of a window, h×w: class ids, and `IGNORE` where nothing is known."""


class Block(NamedTuple):
    """A part of a scene: its rows and columns, in pixels."""

    rows: Span
    columns: Span


@dataclass(frozen=True, eq=False)
class WindowSample:
    """A window of a scene as a sample.

    Attributes:
        name: "row-column" of the window's first pixel.
        bands: which of the scene's bands the image has, by their places from 0.
        held: the validation blocks that touch the window, with `GAP` pixels around them.
        validates: whether its labels are those in `held` (of the blocks alone), or those outside.
    """

    name: str
    scene: Raster
    labels: Labels
    window: Block
    bands: tuple[int, ...]
    held: Sequence[Block] = field(repr=False)
    validates: bool

    def read_image(self) -> NDArray[Any]:
        """The values h×w×B in the scene's own type.

        Raises:
            UserError: this part of the file is damaged.
        """
        return self.scene.read(*self.window, self.bands)

    def read_mask(self) -> NDArray[np.uint8]:
        """The labels h×w; void too where the scene holds no data.

        Raises:
            UserError: as `read_image`.
        """
        mask = self.labels.read(*self.window)
        valid = self.scene.valid(*self.window)
        if valid is not None:
            mask[~valid] = IGNORE
        inside = np.zeros(mask.shape, bool)
        gap = 0 if self.validates else GAP
        (top, _), (left, _) = self.window
        for (first, last), (begin, end) in self.held:
            rows = slice(max(0, first - gap - top), max(0, last + gap - top))
            inside[rows, max(0, begin - gap - left) : max(0, end + gap - left)] = True
        mask[inside != self.validates] = IGNORE
        return mask


class RasterLabels:
    """Labels from a raster of class ids on the scene's grid.

    Raises:
        UserError: it has several bands, another size or place than the scene, or ids that are no class.
    """

    def __init__(self, raster: Raster, scene: Raster) -> None:
        if len(raster.bands) > 1:
            raise UserError(f"{raster.path} has {len(raster.bands)} bands; a mask has one, of class ids")
        if (raster.height, raster.width) != (scene.height, scene.width) or _elsewhere(raster, scene):
            raise UserError(
                f"{raster.path} ({raster.width}×{raster.height}) is not on the grid of {scene.path}"
                f" ({scene.width}×{scene.height}); bring it there first, as with gdalwarp -r near -tap"
            )
        self._raster = raster
        ids: set[int] = set()
        for block in cut(raster.height, raster.width, BLOCKS[0]):
            values = raster.read(*block)
            if values.dtype == np.float32 and (values != np.rint(values)).any():
                raise UserError(f"{raster.path} holds fractions where class ids are expected; write whole numbers")
            valid = raster.valid(*block)
            ids.update(np.unique(values if valid is None else values[valid]).astype(int).tolist())
        ids -= {IGNORE}
        if not ids or min(ids) < 0 or len(ids) > IGNORE:
            raise UserError(
                f"{raster.path} holds {len(ids)} different values, where 1 to {IGNORE} class ids are expected"
            )
        self._ids = sorted(ids)
        self.classes = ClassTable.of([f"class {value}" for value in self._ids])

    def read(self, rows: Span, columns: Span) -> NDArray[np.uint8]:
        """See `Labels`."""
        values = self._raster.read(rows, columns)[..., 0].astype(np.int64)
        place = np.searchsorted(self._ids, values)
        known = np.take(self._ids, np.minimum(place, len(self._ids) - 1)) == values
        valid = self._raster.valid(rows, columns)
        return np.where(known if valid is None else known & valid, place, IGNORE).astype(np.uint8)


def _elsewhere(one: Raster, other: Raster) -> bool:
    """Whether two rasters of one size, both with a place, lie more than a tenth of a pixel apart."""
    if one.place is None or other.place is None:
        return False
    tolerance = min(other.place.resolution()) / 10
    return not np.allclose(one.place.transform, other.place.transform, rtol=0, atol=tolerance)


class ShapeLabels:
    """Labels from polygons, burnt into each window: a pixel has the class of the last polygon that holds its centre.

    Args:
        path: a shapefile, GeoJSON or GeoPackage.
        scene: where they are burnt in.
        attribute: which attribute says the class; by default the one that looks like it (text first).

    Raises:
        UserError: the file is damaged or has no polygons, the scene has no place, no polygon touches it, there is no
            such attribute, or none that could be a class.
    """

    def __init__(self, path: Path, scene: Raster, attribute: str | None = None) -> None:
        require(f"reading {path.name}", "pyogrio", "shapely", "rasterio")
        import pyogrio.raw
        import shapely
        from rasterio.warp import transform_geom

        if scene.place is None:
            raise UserError(f"{scene.path} does not say where on earth it lies, so {path} cannot be laid over it")
        try:
            meta, _, geometries, columns = pyogrio.raw.read(path)
        except UnicodeDecodeError:  # the file names an encoding that does not exist, or not the one it has
            meta, _, geometries, columns = pyogrio.raw.read(path, encoding="ISO-8859-1")
        except Exception as error:  # pyogrio's errors have no base of their own
            raise UserError(f"{path} cannot be read as shapes ({str(error).splitlines()[0]})") from error
        values, names = _classes_of(dict(zip(meta["fields"], columns, strict=True)), attribute, path)
        self.classes = ClassTable.of(names)
        shapes = shapely.from_wkb(geometries)
        self._place = scene.place
        self._shapes: list[tuple[dict[str, Any], int]] = []
        self._bounds: list[tuple[float, float, float, float]] = []
        for shape, value in zip(shapes, values, strict=True):
            if shape is None or shape.is_empty or value < 0:
                continue
            geometry = shapely.geometry.mapping(shape)
            if meta["crs"]:
                geometry = transform_geom(meta["crs"], scene.place.crs, geometry)
            self._shapes.append((geometry, value))
            self._bounds.append(_pixel_bounds(shapely.geometry.shape(geometry).bounds, scene))
        touching = [
            box for box in self._bounds if box[2] > 0 and box[3] > 0 and box[0] < scene.height and box[1] < scene.width
        ]
        if not touching:
            raise UserError(
                f"none of the {len(self._shapes)} shapes in {path} touches {scene.path}; check that both are of one"
                " region and that each names its CRS rightly"
            )

    def read(self, rows: Span, columns: Span) -> NDArray[np.uint8]:
        """See `Labels`."""
        from rasterio.features import rasterize
        from rasterio.transform import Affine

        size = rows[1] - rows[0], columns[1] - columns[0]
        here = [
            shape
            for shape, (top, left, bottom, right) in zip(self._shapes, self._bounds, strict=True)
            if top < rows[1] and bottom > rows[0] and left < columns[1] and right > columns[0]
        ]
        if not here:
            return np.full(size, IGNORE, np.uint8)
        transform = Affine(*self._place.transform) @ Affine.translation(columns[0], rows[0])
        burnt: NDArray[np.uint8] = rasterize(here, size, fill=IGNORE, transform=transform, dtype=np.uint8)
        return burnt


def _pixel_bounds(bounds: tuple[float, float, float, float], scene: Raster) -> tuple[float, float, float, float]:
    """Top, left, bottom and right, in pixels, of a box in the scene's CRS."""
    assert scene.place is not None
    a, b, c, d, e, f = scene.place.transform
    inverse = np.linalg.inv(np.array([[a, b], [d, e]]))
    corners = np.array([(x - c, y - f) for x in bounds[::2] for y in bounds[1::2]]) @ inverse.T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(top), float(left), float(bottom), float(right)


def _classes_of(columns: Mapping[str, NDArray[Any]], attribute: str | None, path: Path) -> tuple[list[int], list[str]]:
    """The class of each shape (-1 for none), and the names of the classes.

    The classes are in the order of a whole-number attribute that stands for the same ones, else of their names.
    """

    def distinct(name: str) -> list[Any]:
        return sorted({value for value in columns[name].tolist() if value is not None and value == value}, key=str)

    texts = [name for name, values in columns.items() if values.dtype == object and 1 < len(distinct(name)) <= IGNORE]
    wholes = [
        name
        for name, values in columns.items()
        if np.issubdtype(values.dtype, np.integer) and 1 < len(distinct(name)) <= IGNORE
    ]
    if attribute is None:
        repeated = [name for name in (*texts, *wholes) if len(distinct(name)) < len(columns[name])]
        if not repeated:
            raise UserError(
                f"no attribute of {path} says a class ({', '.join(columns) or 'it has none'}): each has one value, or"
                " another for every shape; name the one that does"
            )
        attribute = repeated[0]
    elif attribute not in columns:
        raise UserError(f"{path} has no attribute '{attribute}'.{nearest(attribute, columns)}")
    values = columns[attribute].tolist()
    names = distinct(attribute)
    for other in wholes:
        pairs = set(zip(columns[other].tolist(), values, strict=True))
        if len(pairs) == len(names) == len(distinct(other)):
            order = {name: number for number, name in pairs}
            names = sorted(names, key=order.__getitem__)
            break
    places = {name: place for place, name in enumerate(names)}
    return [places.get(value, -1) for value in values], [str(name) for name in names]


def cut(height: int, width: int, side: int) -> list[Block]:
    """The blocks of an image of H×W pixels, row by row: `side` pixels a side, fewer at the lower and right border."""
    return [
        Block((top, min(top + side, height)), (left, min(left + side, width)))
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def open_scene(
    image: str | Path,
    labels: str | Path,
    bands: Sequence[str | int] | None = None,
    *,
    val: float = 0.2,
    block: int | None = None,
    attribute: str | None = None,
) -> Dataset:
    """A scene and its labels as a data set of windows.

    Args:
        image: a raster, or a pattern with {band} for one file a band.
        labels: a raster of class ids on the scene's grid, or a file of shapes.
        bands: names or numbers (from 1); all by default.
        val: the share of the labelled pixels, of each class as far as whole blocks allow, that is set aside.
        block: the side of the blocks in pixels; by default the largest of `BLOCKS` that leaves enough of them.
        attribute: of the shapes, that says their class.

    Raises:
        UserError: either cannot be read, they do not fit each other, or nothing is labelled.
        MissingExtra: a library is not installed.
    """
    scene, labels = open_raster(Path(image)), Path(labels)
    chosen = band_indices(bands, scene.bands, scene.path)
    known: Labels
    if labels.suffix.lower() in SHAPE_SUFFIXES:
        known = ShapeLabels(labels, scene, attribute)
    else:
        known = RasterLabels(open_raster(labels, as_ids=True), scene)
    for side in BLOCKS if block is None else (block,):
        counts = _label_counts(known, cut(scene.height, scene.width, side), len(known.classes))
        if len(counts) >= ENOUGH:
            break
    if not counts:
        raise UserError(f"no pixel of {scene.path} has a label in {labels}; check that both are of one region")
    held = choose_blocks(counts, val)

    def samples(blocks: Sequence[Block], validates: bool) -> list[WindowSample]:
        return [
            WindowSample(
                f"{window.rows[0]}-{window.columns[0]}",
                scene,
                known,
                window,
                chosen,
                [other for other in held if _near(window, other, 0 if validates else GAP)],
                validates,
            )
            for window in cut(scene.height, scene.width, WINDOW)
            if any(_near(window, one) for one in blocks)
        ]

    note = (
        f"{scene.path}: of {len(counts)} labelled blocks of {side}×{side} pixels {len(held)} are for validation; labels"
        f" within {GAP} pixels of them are left out of training"
    )
    splits = {"train": samples([one for one in counts if one not in held], False), "val": samples(held, True)}
    return Dataset("scene", scene.path.parent, known.classes, splits, (note,))


def _near(one: Block, other: Block, gap: int = 0) -> bool:
    return all(
        first[0] < second[1] + gap and second[0] < first[1] + gap for first, second in zip(one, other, strict=True)
    )


def _label_counts(labels: Labels, blocks: Iterable[Block], classes: int) -> dict[Block, NDArray[np.int64]]:
    """How many pixels of each class the blocks have, of those that have any."""
    found = {}
    for block in blocks:
        count = np.bincount(labels.read(*block).ravel(), minlength=256)[:classes]
        if count.any():
            found[block] = count
    return found


def choose_blocks(counts: Mapping[Block, NDArray[np.int64]], share: float) -> list[Block]:
    """Blocks to validate on: of every class about `share` of its pixels, as far as whole blocks allow.

    Rarest class first, blocks are added in an order that depends on their place alone, while they bring the class
    nearer to its share and leave every class some block for training that is not beside one of them. The same scene
    gives the same blocks.

    Args:
        counts: pixels a class, of each block.
        share: 0 … 1.
    """
    order = sorted(counts, key=lambda block: (np.random.default_rng((block.rows[0], block.columns[0])).random(), block))
    total = sum(counts.values(), np.zeros_like(next(iter(counts.values()))))
    held: list[Block] = []
    sums = np.zeros_like(total)
    for label in np.argsort(total, kind="stable").tolist():
        having = [block for block in order if counts[block][label]]
        for block in having:
            missing = share * total[label] - sums[label]
            nearer = abs(missing - counts[block][label]) < abs(missing)
            if block not in held and nearer and _every_class_stays(counts, [*held, block]):
                held.append(block)
                sums = sums + counts[block]
    return sorted(held)


def _every_class_stays(counts: Mapping[Block, NDArray[np.int64]], held: Sequence[Block]) -> bool:
    """Whether blocks beside which nothing is held have every class."""
    kept = [count for block, count in counts.items() if not any(_near(block, other, GAP) for other in held)]
    return bool(kept) and bool(
        (sum(kept, np.zeros_like(kept[0])) > 0)[sum(counts.values(), np.zeros_like(kept[0])) > 0].all()
    )
