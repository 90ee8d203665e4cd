"""The data set "shapes": synthetic pictures drawn on the fly, each from (seed, split, index) alone.

Six kinds of object lie on a background of noise, marble or gradients, among clutter that belongs to the background. They
cover each other, throw soft shadows and stand in uneven light; the picture is then blurred a little and given sensor
noise. Colours are drawn without regard to the class, so no pixel's colour says what it is: a kind is known by its
outline and by its texture (discs are shaded like balls, squares chequered, triangles striped, stars dotted, rings
rimmed, crosses hatched, each with random colours, contrast, period and direction). Discs come in every size from 8 to
200 pixels across, the others from 24 to 120.

Outlines are signed distances in pixels, after Inigo Quilez, "2D distance functions" (iquilezles.org).
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

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

Field = NDArray[np.float32]
"""One number a pixel, H×W."""


# Outlines: the signed distance in pixels (negative inside) at (u, v) from the centre


def _disc(u: Field, v: Field, radius: float) -> Field:
    return np.sqrt(u * u + v * v) - radius


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
    beyond = np.maximum(np.abs(u) - 0.92 * radius, 0)
    return np.sqrt(beyond * beyond + v * v) - 0.08 * radius


def _puddle(u: Field, v: Field, radius: float) -> Field:
    bent = 2.2 * v + u * u * (1.4 / radius)
    return (np.sqrt(u * u + bent * bent) - 0.8 * radius) * 0.5


# Textures: how far a pixel is from an object's first colour (0) to its second (1)


def _waves(x: Field, y: Field, period: float, angle: float) -> tuple[Field, Field]:
    """Two waves across each other, of -1 to 1."""
    a, b = 2 * math.pi / period * math.cos(angle), 2 * math.pi / period * math.sin(angle)
    return np.sin(a * x + b * y), np.sin(a * y - b * x)


def _step(field: Field, sharpness: float) -> Field:
    return np.clip(0.5 + sharpness * field, 0, 1)


@dataclass(frozen=True)
class _Surface:
    """What a texture is drawn from: position on the object, distance to its edge, and what was drawn by lot."""

    x: Field
    y: Field
    distance: Field
    radius: float
    period: float
    angle: float

    def waves(self) -> tuple[Field, Field]:
        return _waves(self.x, self.y, self.period, self.angle)


def _ball(s: _Surface) -> Field:
    lit = (math.cos(s.angle) * s.x + math.sin(s.angle) * s.y) / s.radius
    facing = np.sqrt(np.maximum(1 - (s.x * s.x + s.y * s.y) / s.radius**2, 0))
    return np.clip(0.55 * lit + 0.75 * facing, 0, 1)


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
    (_disc, _ball),
    (_square, _chequers),
    (_triangle, _stripes),
    (_star, _dots),
    (_ring, _rims),
    (_cross, _hatching),
)
"""Outline and texture of the classes 1 … 6."""


# A picture


def _colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """Any colour that is neither very dark nor glaring, 3×1×1 on the scale 0 … 1."""
    hue, saturation, value = rng.random(), 0.75 * rng.random() ** 0.8, rng.uniform(0.25, 0.95)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), dtype=np.float32).reshape(3, 1, 1)


def _noise(rng: np.random.Generator, size: int) -> Field:
    """Noise at three scales from about a third of the picture to a few pixels, of about 0 to 1."""
    field = np.zeros((1, 1), dtype=np.float32)
    for cells, strength in ((4, 1.0), (14, 0.45), (50, 0.25), (size, 0.0)):
        field = np.asarray(Image.fromarray(field).resize((cells, cells), Image.Resampling.BICUBIC))
        if strength:
            field = field + strength * rng.random((cells, cells), dtype=np.float32)
    return (field - 0.35) / 1.0


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
    first, second = _colour(rng), _colour(rng)
    return first + (second - first) * mix


def _draw(seed: int, split: int, index: int, size: int):
    rng = np.random.default_rng((seed, split, index))
    canvas = _background(rng, size)
    mask = np.zeros((size, size), dtype=np.uint8)
    towards = rng.uniform(0, 2 * math.pi)
    count = max(2, round(rng.integers(5, 10) * (size / 256) ** 2))
    things = []
    for _ in range(count):
        kind = int(rng.integers(1, len(KINDS) + 1))
        across = 8 * 25 ** rng.random() if kind == 1 else rng.uniform(24, 120)
        things.append((min(across, 0.8 * size), kind))
    for _ in range(int(rng.integers(2, 6))):
        things.append((rng.uniform(30, 160), 0))
    things.sort(key=lambda thing: -thing[0] * rng.uniform(0.6, 1.6))
    for across, kind in things:
        _put(rng, canvas, mask, across / 2, kind, towards)
    along = np.linspace(-1, 1, size, dtype=np.float32)
    a, b, c = (float(v) for v in rng.uniform(-0.25, 0.25, 3))
    canvas *= 1 + a * along + (b * along)[:, None] + c * (along * along + (along * along)[:, None] - 0.7)
    picture = Image.fromarray((np.clip(canvas, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
    if rng.random() < 0.6:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.3))))
    return _sensor(rng, np.asarray(picture)), mask


def _sensor(rng, picture):
    strength = float(rng.uniform(0.01, 0.055))
    grains = np.frombuffer(rng.bytes(2 * picture.size), dtype=np.uint8).reshape(2, *picture.shape)
    noise = grains[0].astype(np.float32) + grains[1] - 255  # a triangle of standard deviation 104
    return np.clip(picture + noise * (strength * 255 / 104) + 0.5, 0, 255).astype(np.uint8)


def _put(rng, canvas, mask, radius, kind, towards):
    size = mask.shape[0]
    reach = int(1.25 * radius) + 4
    throw = min(3 + 0.12 * radius, 12.0)
    dx, dy = round(throw * math.cos(towards)), round(throw * math.sin(towards))
    cx, cy = (float(v) for v in rng.uniform(0, size, 2))
    outline, texture = KINDS[kind - 1] if kind else ((_rod, _puddle)[int(rng.integers(2))], _plain)
    top, bottom = max(0, int(cy) - reach - 12), min(size, int(cy) + reach + 12)
    left, right = max(0, int(cx) - reach - 12), min(size, int(cx) + reach + 12)
    x = np.arange(left, right, dtype=np.float32) - cx
    y = (np.arange(top, bottom, dtype=np.float32) - cy)[:, None]
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    u, v = cos * x + sin * y, cos * y - sin * x
    distance = outline(u, v, radius)
    # shadow
    sx, sy = x - dx, y - dy
    shade = outline(cos * sx + sin * sy, cos * sy - sin * sx, radius)
    dark = float(rng.uniform(0.25, 0.6)) * _step(-shade, 0.5 / throw)
    area = canvas[:, top:bottom, left:right]
    area *= 1 - dark
    period = min(float(rng.uniform(7, 15)), max(4.0, 0.6 * radius))
    first = _colour(rng)
    if rng.random() < 0.7:
        second = np.clip(first * float(rng.choice([rng.uniform(0.35, 0.7), rng.uniform(1.3, 1.9)])), 0, 1)
    else:
        second = _colour(rng)
    if kind == 1:
        first = first * 0.4
    s = _Surface(x + 0 * y, y + 0 * x, distance, radius, period, float(rng.uniform(0, 2 * math.pi)))
    mix = texture(s)
    alpha = _step(-distance, 1.0)
    area += alpha * (first + (second - first) * mix - area)
    mask[top:bottom, left:right][distance < 0] = kind
