"""The data set "shapes": synthetic images drawn on the fly, each from (seed, split, index) alone.

Six kinds of object lie on a background of noise, marble or gradients, among clutter that belongs to the background.
They cover each other, throw soft shadows and stand in uneven light; the image is then blurred a little and given
sensor noise. A kind often has a hue of about its own, but that is only a hint: a classifier of single pixels by their
colour stays under 35 % mIoU. What tells a kind is its outline and its texture (discs are balls of granite, squares
chequered, triangles striped, stars dotted, rings rimmed, crosses hatched, each with random contrast, period and
direction). Discs come in every size from 8 to 200 pixels across, the others from 40 to 150.

Outlines are signed distances in pixels, after Inigo Quilez, "2D distance functions" (iquilezles.org).
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..classes import ClassTable
from ..errors import UserError
from .samples import Dataset

CLASSES = ClassTable(
    names=("background", "disc", "square", "triangle", "star", "ring", "cross"),
    colours=(
        (52, 58, 72),
        (231, 95, 82),
        (72, 143, 222),
        (246, 190, 72),
        (156, 108, 212),
        (62, 178, 142),
        (238, 140, 186),
    ),
)
SPLITS = ("train", "val", "test")

Field = NDArray[Any]
"""float32: one a pixel (H×W), or one a channel and pixel (3×H×W; 3×1×1 is a colour)."""


# Outlines: the signed distance in pixels (negative inside) at (u, v) from the centre


def _disc(u: Field, v: Field, radius: float) -> Field:
    return np.hypot(u, v) - radius


def _square(u: Field, v: Field, radius: float) -> Field:
    return np.maximum(np.abs(u), np.abs(v)) - 0.85 * radius


def _triangle(u: Field, v: Field, radius: float) -> Field:
    return np.maximum(math.sqrt(0.75) * np.abs(u) - 0.5 * v, v) - 0.55 * radius


def _star(u: Field, v: Field, radius: float) -> Field:
    """Five points: the plane is folded onto one half of one point, which has one straight edge."""
    sine, cosine = math.sin(math.pi / 5), math.cos(math.pi / 5)
    across, along = np.abs(u), v
    for side in (cosine, -cosine):
        behind = 2 * np.maximum(side * across - sine * along, 0)
        across, along = across - side * behind, along + sine * behind
    x, y = 0.5 * radius * sine, 0.5 * radius * cosine - radius  # from the tip of the point to the notch beside it
    return ((along - radius) * x - np.abs(across) * y) / math.hypot(x, y)


def _ring(u: Field, v: Field, radius: float) -> Field:
    return np.abs(_disc(u, v, 0.73 * radius)) - 0.27 * radius


def _cross(u: Field, v: Field, radius: float) -> Field:
    across, along = np.abs(u), np.abs(v)
    return np.maximum(np.maximum(across, along) - radius, np.minimum(across, along) - 0.34 * radius)


def _rod(u: Field, v: Field, radius: float) -> Field:
    return np.hypot(np.maximum(np.abs(u) - 0.92 * radius, 0), v) - 0.08 * radius


def _puddle(u: Field, v: Field, radius: float) -> Field:
    bent = 2.2 * v + u * u * (1.4 / radius)
    return (np.sqrt(u * u + bent * bent) - 0.8 * radius) * 0.5


# Textures: how far a pixel is from an object's colour (0) to its darker shade (1)


def _waves(x: Field, y: Field, period: float, angle: float) -> tuple[Field, Field]:
    """Two waves across each other, of -1 to 1."""
    a, b = 2 * math.pi / period * math.cos(angle), 2 * math.pi / period * math.sin(angle)
    return np.sin(a * x + b * y), np.sin(a * y - b * x)


def _step(field: Field, sharpness: float) -> Field:
    """0 where the field is well below 0, 1 where it is well above, a ramp between."""
    return np.clip(0.5 + sharpness * field, 0, 1).astype(np.float32, copy=False)


@dataclass(frozen=True)
class _Surface:
    """What a texture is drawn from: position on the object, distance to its edge, and what was drawn by lot."""

    x: Field
    y: Field
    distance: Field
    radius: float
    period: float
    angle: float
    grain: Field

    def waves(self) -> tuple[Field, Field]:
        return _waves(self.x, self.y, self.period, self.angle)


def _granite_ball(s: _Surface) -> Field:
    lit = (math.cos(s.angle) * s.x + math.sin(s.angle) * s.y) / s.radius
    facing = np.sqrt(np.maximum(1 - (s.x * s.x + s.y * s.y) / s.radius**2, 0))
    dark: Field = np.clip(1.1 - 0.45 * lit - 0.55 * facing + 0.9 * (s.grain - 0.5), 0, 1.2)
    return dark


def _chequers(s: _Surface) -> Field:
    first, second = s.waves()
    return _step(first * second, 0.4 * s.period)


def _stripes(s: _Surface) -> Field:
    return _step(s.waves()[0], 0.2 * s.period)


def _dots(s: _Surface) -> Field:
    first, second = s.waves()
    return _step(first + second - 0.7, 0.2 * s.period)


def _rims(s: _Surface) -> Field:
    return _step(s.distance + max(1.5, 0.11 * s.radius), 0.7)


def _hatching(s: _Surface) -> Field:
    first, second = s.waves()
    return _step(np.maximum(first, second) - 0.75, 0.25 * s.period)


def _plain(s: _Surface) -> Field:
    return s.x * 0


_Outline = Callable[[Field, Field, float], Field]
_Texture = Callable[[_Surface], Field]

KINDS: tuple[tuple[_Outline, _Texture], ...] = (
    (_disc, _granite_ball),
    (_square, _chequers),
    (_triangle, _stripes),
    (_star, _dots),
    (_ring, _rims),
    (_cross, _hatching),
)
"""Outline and texture of the classes 1 … 6."""


VIVID, PALE = (0.35, 0.95), (0.0, 0.4)
"""Ranges of saturation: of things (clutter too), and of the ground."""
HUE_ODDS = 0.65
"""How often a kind has a hue of about its own, evenly spread over the kinds; else it has any."""


# An image


def _colour(hue: float, saturation: float, value: float) -> Field:
    """A colour, 3×1×1 on the scale 0 … 1; the hue goes around from 0 to 1."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), dtype=np.float32).reshape(3, 1, 1)


def _two_shades(rng: np.random.Generator, kind: int) -> tuple[Field, Field]:
    """The colour of a thing and a darker one for its pattern; the hue is often about the kind's own (`HUE_ODDS`)."""
    by_kind = kind and rng.random() < HUE_ODDS
    hue = float(rng.normal((kind - 1) / len(KINDS), 0.06)) if by_kind else float(rng.random())
    bright = _colour(hue, float(rng.uniform(*VIVID)), float(rng.uniform(0.5, 0.95)))
    return bright, bright * float(rng.uniform(0.25, 0.55))


def _noise(rng: np.random.Generator, size: int) -> Field:
    """Noise at three scales from about a third of the image to a few pixels, of about 0 to 1."""
    field = np.zeros((1, 1), dtype=np.float32)
    for cells, strength in ((4, 1.0), (14, 0.45), (50, 0.25), (size, 0.0)):
        field = np.asarray(Image.fromarray(field).resize((cells, cells), Image.Resampling.BICUBIC))
        if strength:
            field = field + strength * rng.random((cells, cells), dtype=np.float32)
    return field - 0.35


def _background(rng: np.random.Generator, size: int) -> Field:
    """The ground, 3×H×W on the scale 0 … 1: clouds, marble, or a gradient, with some grain."""
    along = np.linspace(-1, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    slope = math.cos(angle) * along + (math.sin(angle) * along)[:, None]
    noise = _noise(rng, size)
    style = rng.integers(3)
    if style == 0:
        mix = noise
    elif style == 1:
        mix = 0.5 + 0.5 * np.sin(float(rng.uniform(3, 8)) * slope + float(rng.uniform(4, 9)) * noise)
    else:
        mix = 0.5 + 0.4 * slope + 0.3 * (noise - 0.5)
    hues, pale, values = rng.random(2), rng.uniform(*PALE, 2), rng.uniform(0.3, 0.95, 2)
    first, second = (_colour(float(h), float(s), float(v)) for h, s, v in zip(hues, pale, values, strict=True))
    ground: Field = first + (second - first) * mix
    return ground


@dataclass(frozen=True)
class _Thing:
    """One object, or a piece of clutter, on its way into an image: which kind (0 is clutter), and its outer radius."""

    kind: int
    radius: float


def _things(rng: np.random.Generator, size: int) -> list[_Thing]:
    """What lies in an image, roughly the largest first, so that small things are not lost under large ones."""
    things = []
    for _ in range(max(2, round(int(rng.integers(4, 8)) * (size / 256) ** 2))):
        kind = int(rng.integers(1, len(KINDS) + 1))
        across = 8 * 25 ** rng.random() if KINDS[kind - 1][0] is _disc else rng.uniform(40, 150)
        things.append(_Thing(kind, min(across, 0.8 * size) / 2))
    things += [_Thing(0, rng.uniform(15, 80)) for _ in range(int(rng.integers(1, 4)))]
    return sorted(things, key=lambda thing: -thing.radius * rng.uniform(0.6, 1.6))


def _lay(rng: np.random.Generator, canvas: Field, mask: NDArray[np.uint8], thing: _Thing, light: float) -> None:
    """Draw a thing at a random place and angle, with its shadow, into a canvas (3×H×W) and its mask (H×W)."""
    size, radius = mask.shape[0], thing.radius
    outline, texture = KINDS[thing.kind - 1] if thing.kind else ((_rod, _puddle)[int(rng.integers(2))], _plain)
    throw = min(3 + 0.12 * radius, 12.0)
    centre_x, centre_y = (float(v) for v in rng.uniform(0, size, 2))
    reach = int(1.25 * radius + throw) + 5
    top, bottom = max(0, int(centre_y) - reach), min(size, int(centre_y) + reach)
    left, right = max(0, int(centre_x) - reach), min(size, int(centre_x) + reach)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    y, x = y - centre_y, x - centre_x
    angle = float(rng.uniform(0, 2 * math.pi))

    def distance_at(x: Field, y: Field) -> Field:
        return outline(math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x, radius)

    area = canvas[:, top:bottom, left:right]
    shade = distance_at(x - throw * math.cos(light), y - throw * math.sin(light))
    area *= 1 - float(rng.uniform(0.25, 0.6)) * _step(-shade, 0.5 / throw)

    first, second = _two_shades(rng, thing.kind)
    distance = distance_at(x, y)
    period = min(float(rng.uniform(9, 15)), max(4.0, 0.6 * radius))
    grain = rng.random((len(y) // 2 + 1, len(x[0]) // 2 + 1), dtype=np.float32).repeat(2, axis=0).repeat(2, axis=1)
    grain = grain[: len(y), : len(x[0])]
    surface = _Surface(x, y, distance, radius, period, float(rng.uniform(0, 2 * math.pi)), grain)
    area += _step(-distance, 1.0) * (first + (second - first) * texture(surface) - area)
    mask[top:bottom, left:right][distance < 0] = thing.kind


def _sensed(rng: np.random.Generator, canvas: Field) -> NDArray[np.uint8]:
    """What a camera makes of a canvas (3×H×W of 0 … 1): often a little blur, always noise. H×W×3 uint8."""
    image = Image.fromarray((np.clip(canvas, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
    if rng.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.0))))
    pixels = np.asarray(image)
    grains = np.frombuffer(rng.bytes(2 * pixels.size), dtype=np.uint8).reshape(2, *pixels.shape)
    noise = (grains[0].astype(np.float32) + grains[1] - 255) / 104  # two dice: a triangle of standard deviation 1
    strength = 255 * float(rng.uniform(0.01, 0.035))
    noisy: NDArray[np.uint8] = np.clip(pixels + strength * noise + 0.5, 0, 255).astype(np.uint8)
    return noisy


@lru_cache(maxsize=4)
def draw(seed: int, split: int, index: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One image and its mask: size×size×3 and size×size, uint8, read-only. The last few are remembered."""
    rng = np.random.default_rng((seed, split, index))
    canvas = _background(rng, size)
    mask = np.zeros((size, size), dtype=np.uint8)
    light = float(rng.uniform(0, 2 * math.pi))
    for thing in _things(rng, size):
        _lay(rng, canvas, mask, thing, light)
    along = np.linspace(-1, 1, size, dtype=np.float32)
    across, down, bowl = (float(v) for v in rng.uniform(-0.25, 0.25, 3))
    squared = along * along
    canvas *= 1 + across * along + (down * along)[:, None] + bowl * (squared + squared[:, None] - 0.7)
    image = _sensed(rng, canvas)
    image.setflags(write=False)
    mask.setflags(write=False)
    return image, mask


# The data set


@dataclass(frozen=True)
class ShapesSample:
    """An image that is drawn when it is read."""

    name: str
    seed: int
    split: int
    index: int
    size: int

    def read_image(self) -> NDArray[np.uint8]:
        """The image, size×size×3 uint8."""
        return draw(self.seed, self.split, self.index, self.size)[0].copy()

    def read_mask(self) -> NDArray[np.uint8]:
        """Its mask, size×size uint8; no pixel is void."""
        return draw(self.seed, self.split, self.index, self.size)[1].copy()


def open_shapes(seed: int = 0, train: int = 1000, val: int = 100, test: int = 100, size: int = 256) -> Dataset:
    """The data set of synthetic images.

    Args:
        seed: other seeds give other images.
        train, val, test: how many images each split has; no image is in two.
        size: their height and width in pixels.

    Raises:
        UserError: a number that is not whole, negative, or a size outside 32 … 4096.
    """
    counts = dict(zip(SPLITS, (train, val, test), strict=True))
    for name, value in {"seed": seed, **counts, "size": size}.items():
        if type(value) is not int or value < 0:
            raise UserError(f"shapes: {name} is a whole number of 0 or more, not {value!r}")
    if not 32 <= size <= 4096:
        raise UserError(f"shapes: size is 32 to 4096 pixels, not {size}")
    splits = {
        name: [ShapesSample(f"{name}-{index:05}", seed, split, index, size) for index in range(count)]
        for split, (name, count) in enumerate(counts.items())
    }
    return Dataset("shapes", None, CLASSES, splits)
