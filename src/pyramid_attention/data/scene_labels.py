"""The labels of a scene: a raster of class ids on its grid, or shapes that are burnt into each window as it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE, ClassTable
from ..errors import UserError, nearest, require
from ..images import Raster, Span
from .scene_blocks import BLOCKS, cut

SHAPE_SUFFIXES = (".shp", ".geojson", ".json", ".gpkg")


class Labels(Protocol):
    """What is known of a scene's pixels."""

    @property
    def classes(self) -> ClassTable:
        """What the labels mean."""

    def read(self, rows: Span, columns: Span) -> NDArray[np.uint8]:
        """The labels of a window, h×w: class ids, and `IGNORE` where nothing is known."""


class RasterLabels:
    """Labels from a raster of class ids on the scene's grid.

    Args:
        raster: of ids.
        scene: whose labels they are.
        names: of the classes by id; by default every id is a class.
        void: ids that are none.

    Raises:
        UserError: it has several bands, another size or place than the scene, or ids that are no class.
    """

    def __init__(
        self, raster: Raster, scene: Raster, names: Mapping[int, str] | None = None, void: Sequence[int] = (IGNORE,)
    ) -> None:
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
        ids -= {*void} - {*(names or ())}
        if names is not None and (unknown := sorted(ids - {*names})):
            raise UserError(
                f"{raster.path} holds ids that are no class: {', '.join(map(str, unknown[:9]))}; give them names, or"
                " list them under ignore"
            )
        if not ids or min(ids) < 0 or len(ids) > IGNORE:
            raise UserError(
                f"{raster.path} holds {len(ids)} different values, where 1 to {IGNORE} class ids are expected"
            )
        self._ids = sorted(names or ids)
        self.classes = ClassTable.of([names[value] if names else f"class {value}" for value in self._ids])

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
    """Labels from polygons, burnt into each window: a pixel has the class of the last one that holds its centre.

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
