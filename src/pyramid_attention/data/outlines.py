"""Shapes drawn into label maps, for formats that outline objects instead of masking them.

Coordinates are pixels, x to the right and y down. The pixel in column x and row y belongs to a polygon if the point
(x, y) lies inside it or an edge runs through the pixel: Pillow's `polygon` with its outline, which is also how labelme
draws its own exports. Later shapes are drawn over earlier ones. What lies outside the image is clipped, and told.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..errors import UserError
from .samples import size_of
from .tree import few

Points = NDArray[np.float64]
"""N×2: x and y of each point."""

Kind = Literal["polygon", "rectangle", "circle"]
Key = TypeVar("Key", bound=Hashable)

FARTHEST = 100_000
"""Coordinates farther out are moved to here: no image is as large, and drawing would take for ever."""

BACKGROUND = ("background", "_background_")


class Shape(NamedTuple):
    """A shape and its label. A rectangle has two opposite corners, a circle its centre and a point of its border.

    `holes` are polygons within a polygon.
    """

    label: int
    points: Points
    kind: Kind = "polygon"
    holes: tuple[Points, ...] = ()


class Stamp(NamedTuple):
    """A painted region and its label: an image in PNG, painted where it is not black or transparent."""

    label: int
    left: int
    top: int
    png: bytes

    def mask(self) -> Image.Image:
        """Where it is painted, as a mask of Pillow.

        Raises:
            ValueError: it is no image.
        """
        try:
            with Image.open(BytesIO(self.png)) as image:
                painted = image.getchannel("A") if "A" in image.getbands() else image.convert("L")
        except Exception as error:  # on damaged bytes a decoder raises whatever it stumbles over
            raise ValueError(f"is painted in no image that can be read ({error})") from None
        return painted.point(lambda value: 255 if value else 0)


def as_points(values: object, at_least: int = 3) -> Points:
    """Points from numbers in a row (x1, y1, x2, y2, …) or from pairs.

    Raises:
        ValueError: they are no numbers, not finite, no pairs, or fewer than `at_least` points; the text says which.
    """
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise ValueError("has coordinates that are no pairs of numbers") from None
    if array.size and array.dtype.kind not in "iuf":
        raise ValueError("has coordinates that are no numbers")
    if array.ndim == 1 and array.size % 2:
        raise ValueError(f"has {array.size} coordinates, an odd number")
    if array.size and not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 2)):
        raise ValueError("has coordinates that are no pairs of numbers")
    points = array.astype(np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("has coordinates that are not finite")
    if len(points) < at_least:
        raise ValueError(f"has {len(points)} points where {at_least} are needed")
    return points


def box(points: Points) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of some points."""
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return left, top, right, bottom


def within_reach(points: Points) -> Points:
    """The points, none of them beyond `FARTHEST`."""
    return np.clip(points, -FARTHEST, FARTHEST)


def draw(size: tuple[int, int], regions: Iterable[Shape | Stamp]) -> NDArray[np.uint8]:
    """A label map of `size` = (height, width), H×W uint8: 0 where no region is, else the label of the last there."""
    canvas = Image.new("L", (size[1], size[0]))
    pen = ImageDraw.Draw(canvas)
    for region in regions:
        if isinstance(region, Stamp):
            painted = region.mask()
            canvas.paste(region.label, (region.left, region.top), painted)
            continue
        label, points, kind, holes = region
        points = within_reach(points)
        if holes:
            canvas.paste(
                label, mask=Image.fromarray(draw(size, [Shape(255, points), *(Shape(0, hole) for hole in holes)]))
            )
        elif kind == "circle":
            canvas.paste(label, mask=_disc(size, points))
        elif kind == "rectangle":
            pen.rectangle([*points.min(axis=0), *points.max(axis=0)], fill=label, outline=label)
        else:
            pen.polygon([(x, y) for x, y in points.tolist()], fill=label, outline=label)
    return np.array(canvas)


def _disc(size: tuple[int, int], points: Points) -> Image.Image:
    """Where the pixels of a circle are; Pillow's own `ellipse` takes a minute for a very large one."""
    (x, y), border = points
    rows, columns = np.ogrid[: size[0], : size[1]]
    return Image.fromarray((columns - x) ** 2 + (rows - y) ** 2 <= ((border - points[0]) ** 2).sum())


@dataclass
class Overhang:
    """Which shapes lie outside their image, gathered while a data set is read, for its notes."""

    clipped: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def see(self, where: str, box: tuple[float, float, float, float], width: float, height: float) -> None:
        """Look at a shape of the image `where` by its box: left, top, right, bottom. A pixel too far is none."""
        left, top, right, bottom = box
        if left >= width or top >= height or right < 0 or bottom < 0:
            self.lost.append(where)
        elif left < -1 or top < -1 or right > width + 1 or bottom > height + 1:
            self.clipped.append(where)

    def notes(self, root: Path) -> list[str]:
        """What there is to say of them."""
        said = []
        if self.clipped:
            said.append(
                f"{len(self.clipped)} shapes in {root} lie partly outside their image and are clipped"
                f" ({few(dict.fromkeys(self.clipped))})"
            )
        if self.lost:
            said.append(
                f"{len(self.lost)} shapes in {root} lie wholly outside their image and are left out"
                f" ({few(dict.fromkeys(self.lost))})"
            )
        return said


def background_first(names: Mapping[Key, str]) -> tuple[list[str], dict[Key, int]]:
    """Class names with the background as class 0, and the label of each key; the others keep their order.

    One that is called background (or labelme's "_background_") takes that place, else it is added.
    """
    known = [key for key, name in names.items() if name.lower() in BACKGROUND][:1]
    others = [key for key in names if key not in known]
    listed = [names[key] for key in known] or ["background"]
    return listed + [names[key] for key in others], dict.fromkeys(known, 0) | {k: i for i, k in enumerate(others, 1)}


def declared_size(height: object, width: object) -> tuple[int, int] | None:
    """The size of an image as its annotations tell it; None where they do not."""
    return (height, width) if type(height) is int and type(width) is int and min(height, width) > 0 else None


def check_declared_size(source: Path, size: tuple[int, int], image: Path) -> None:
    """Check that an image, whose header alone is read, has the (height, width) that its annotations were made for.

    Raises:
        UserError: it has not.
    """
    height, width = size_of(image)
    if size != (height, width):
        raise UserError(
            f"{source} was made for an image of {size[1]}×{size[0]} pixels, but {image} is {width}×{height}; put"
            " the image back that was annotated, or annotate this one"
        )
