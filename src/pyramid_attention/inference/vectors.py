"""Label maps as polygons in files that maps are made with: GeoJSON, and GeoPackage (extra `geo`)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE, ClassTable
from ..errors import UserError, require
from ..files import whole_file
from ..images import Place
from .polygons import Polygon, Ring, merge_small, polygons, properties, to_geojson

SUFFIXES = (".geojson", ".json", ".gpkg")


def write_polygons(
    path: Path,
    labels: NDArray[np.uint8],
    classes: ClassTable,
    place: Place | None = None,
    *,
    min_area: float = 0.0,
    tolerance: float = 1.0,
) -> None:
    """Write the regions of a label map, each with its class, its name and its area; neighbours share their borders.

    Void is left out. GeoJSON of what lies on earth is in longitude and latitude (RFC 7946), GeoPackage in the raster's
    own CRS; without a place both are in pixels, x to the right and y down.

    Args:
        path: `.geojson`, `.json` or `.gpkg`.
        labels: H×W.
        classes: names of the labels.
        place: where the label map lies on earth.
        min_area: smaller regions go to the neighbour they touch most, so that no gap is left; in the square of the
            CRS's unit, or pixels.
        tolerance: how far borders may stray from the pixels' edges, in pixels.

    Raises:
        UserError: another suffix, a negative area, or a file that cannot be written.
        MissingExtra: the libraries for the format or the CRS are not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"polygons are written as {', '.join(SUFFIXES)}, not as {path.name}")
    if not 0 <= min_area < np.inf:
        raise UserError(f"min_area={min_area} is an area, 0 or more")
    unit = (
        1.0 if place is None else abs(place.transform[0] * place.transform[4] - place.transform[1] * place.transform[3])
    )
    if min_area > unit:
        labels = merge_small(labels, int(np.ceil(min_area / unit)))
    shapes = [shape for shape in polygons(labels, tolerance) if shape.label != IGNORE]
    if path.suffix.lower() == ".gpkg":
        _write_geopackage(path, shapes, classes, place, unit)
        return
    if place is None:
        content = to_geojson(shapes, classes)
    else:
        require("polygons on earth", "rasterio")
        content = to_geojson(shapes, classes, unit, partial(_on_earth, place=place))
    with whole_file(path) as file:
        file.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _placed(ring: Ring, place: Place) -> NDArray[np.float64]:
    a, b, c, d, e, f = place.transform
    x, y = ring.astype(np.float64).T
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


def _on_earth(ring: Ring, place: Place) -> NDArray[np.float64]:
    """A ring in longitude and latitude, to a millimetre; exteriors go counterclockwise, as RFC 7946 wants them."""
    from rasterio.warp import transform

    a, b, _, d, e, _ = place.transform
    x, y = transform(place.crs, "EPSG:4326", *_placed(ring, place).T.tolist())
    return np.round(np.stack([x, y], axis=1), 8)[:: 1 if a * e > b * d else -1]  # on a screen they go clockwise


def _write_geopackage(
    path: Path, shapes: Sequence[Polygon], classes: ClassTable, place: Place | None, unit: float
) -> None:
    require(f"writing {path.name}", "pyogrio", "shapely")
    import pyogrio.raw
    import shapely

    rows = [properties(shape, classes, unit) for shape in shapes]
    geometries = []
    for shape in shapes:
        rings = (shape.exterior, *shape.holes)
        exterior, *holes = rings if place is None else (_placed(ring, place) for ring in rings)
        geometries.append(shapely.Polygon(exterior, holes))
    types: dict[str, Any] = {"class": np.int32, "name": object, "area": np.float64, "pixels": np.int64}
    with whole_file(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # pixels have none
        try:
            pyogrio.raw.write(
                file,
                shapely.to_wkb(np.array(geometries, object)),
                [np.array([row[name] for row in rows], dtype) for name, dtype in types.items()],
                list(types),
                geometry_type="Polygon",
                crs=None if place is None else place.crs,
                layer="segmentation",
                driver="GPKG",
            )
        except RuntimeError as error:  # the errors of pyogrio, whose base it shares with others
            raise UserError(f"cannot write {path} ({error}); check its folder and the disk") from error
