"""A street that exists nowhere: drawn from scratch, so that it may be published, with the truth of every pixel.

A pinhole camera stands on a straight road between two rows of houses. Every pixel is a ray that meets the ground, a
wall or the sky; trees, lamps, cars and people are flat figures that stand in their place, the farthest drawn first.
`drive` moves the camera along the road, behind a car.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 960, 720
FOCAL, EYE, HORIZON = 760.0, 1.45, 330.0
"""Of the camera: focal length in pixels, height over the road in metres, row of the horizon."""
MIDDLE = 500.0
ROAD, PAVEMENT, WALL = 3.6, 5.6, 7.0
"""Half widths in metres: of the road, up to the end of the pavement, up to the houses."""
FAR = 120.0
SKY, BUILDING, POLE, GROUND, PATH, TREE, CAR, PERSON = 0, 1, 2, 3, 4, 5, 8, 9
"""Class ids of CamVid's eleven classes."""
Field = NDArray[np.floating[Any]]
Noise = Callable[[int, Field, Field], Field]
"""Values of 0 … 1 for places in metres; the first argument says how finely they vary over an image."""


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Field:
    """Values of 0 … 1 that vary over `cells` places a side."""
    points = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
    return np.asarray(points.resize((width, height), Image.Resampling.BICUBIC))


def mixed(colour: Field, other: tuple[float, float, float], share: Field) -> Field:
    return colour + (np.array(other) - colour) * share[..., None]


def surroundings(
    rng: np.random.Generator,
    position: float = 0.0,
    noise: Noise | None = None,
    grain_rng: np.random.Generator | None = None,
) -> tuple[Field, NDArray[np.uint8]]:
    """Sky, houses, road and pavements from a position in metres on the road: H×W×3, 0 … 255, and class ids H×W."""
    noise = noise or (lambda cells, u, v: smooth_noise(rng, HEIGHT, WIDTH, cells))
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    right, down = (x - MIDDLE) / FOCAL, (y - HORIZON) / FOCAL
    clouds = sum(smooth_noise(rng, HEIGHT, WIDTH, n) / n for n in (4, 8, 16, 32)) / 0.47
    image = np.stack([178 + 20 * (y / HORIZON), 196 + 14 * (y / HORIZON), 216 + 6 * (y / HORIZON)], -1)
    image = mixed(image, (238, 240, 242), np.clip(1.6 * clouds - 0.5, 0, 1))

    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(np.abs(right) > 1e-4, WALL / np.abs(right), FAR)
        ground = np.where(down > 1e-4, EYE / down, FAR)
    side = right > 0
    wall = depth + position + 5 * side  # metres along the houses
    block = np.floor(wall / 11).astype(int)
    shades = rng.integers(0, 6, size=(2, 64))
    walls = np.array([(139, 98, 80), (176, 160, 138), (120, 88, 76), (196, 186, 168), (150, 120, 98), (165, 146, 130)])
    heights = rng.uniform(7.5, 12.5, size=(2, 64))
    chosen = side.astype(int), np.clip(block, 0, 63)
    above = EYE - down * depth  # metres over the road where the ray meets the wall
    along = wall % 11
    house = walls[shades[chosen]].astype(np.float64)
    bricks = ((np.floor(above / 0.09) + np.floor(along / 0.25)) % 2) * 9 - 4
    house += np.where(depth < 25, bricks, 0)[..., None] + 14 * (noise(40, wall, above) - 0.5)[..., None]
    floor, place = above % 2.9, along % 2.2
    window = (floor > 1.0) & (floor < 2.4) & (place > 0.6) & (place < 1.6) & (above > 2.9)
    frame = (floor > 0.9) & (floor < 2.5) & (place > 0.5) & (place < 1.7) & (above > 2.9)
    house[frame] = (222, 218, 210)
    glass = 60 + 45 * noise(50, wall, above)
    house[window] = np.stack([glass * 0.9, glass, glass * 1.1], -1)[window]
    shop = (above < 2.5) & (above > 0.5) & (along % 5.5 > 0.6) & (along % 5.5 < 4.6)
    house[shop] = np.stack([glass * 0.8, glass * 0.85, glass * 0.85], -1)[shop]
    sign = (above > 2.5) & (above < 2.9)
    house[sign] = np.array([(60, 72, 96), (120, 44, 40), (52, 84, 60)])[np.clip(block, 0, 63) % 3][sign]
    house *= np.where(side, 0.82, 1.0)[..., None]
    roof = heights[chosen]
    built = (above < roof) & (depth < FAR) & (depth < ground)
    house[(above > roof - 0.25) & built] *= 0.7
    image = np.where(built[..., None], mixed(house, (190, 200, 210), 1 - np.exp(-depth / 110)), image)

    across = right * ground
    ahead = ground + position
    grain = (grain_rng or rng).normal(0, 5, (HEIGHT, WIDTH)) + 22 * (noise(60, ahead, across) - 0.5)
    asphalt = np.stack([98 + grain, 98 + grain, 101 + grain], -1)
    asphalt *= (1 - 0.1 * np.exp(-((np.abs(np.abs(across) - 1.8) / 0.5) ** 2)))[..., None]  # where wheels run
    line = (np.abs(across) < 0.07) & (ahead % 6 < 3)
    edge = np.abs(np.abs(across) - 3.25) < 0.06
    asphalt[line] = 208
    asphalt[edge] = (190, 170, 70)
    slabs = ((np.abs(across) * 1.6) % 1 < 0.05) | ((ahead * 1.1) % 1 < 0.05)
    stone = np.stack([158 + grain, 152 + grain, 146 + grain], -1) - 26 * slabs[..., None]
    kerb = (np.abs(across) > ROAD) & (np.abs(across) < ROAD + 0.18)
    stone[kerb] = 182
    flat = np.where((np.abs(across) < ROAD)[..., None], asphalt, stone)
    below = (down > 1e-4) & (ground <= depth)
    labels = np.where(built, BUILDING, SKY)
    labels = np.where(below, np.where(np.abs(across) < ROAD, GROUND, PATH), labels).astype(np.uint8)
    return np.where(below[..., None], mixed(flat, (186, 192, 198), 1 - np.exp(-ground / 140)), image), labels


class Canvas:
    """Draws flat figures of one class by metres: `x` to the right of the camera, `up` over the road, at a distance."""

    def __init__(self, image: Image.Image, labels: Image.Image, distance: float, label: int) -> None:
        self.draw, self.distance = ImageDraw.Draw(image), distance
        self.truth, self.label = ImageDraw.Draw(labels), label

    def at(self, x: float, up: float) -> tuple[float, float]:
        scale = FOCAL / self.distance
        return MIDDLE + x * scale, HORIZON + (EYE - up) * scale

    def polygon(self, points: list[tuple[float, float]], colour: tuple[int, int, int], is_shadow: bool = False) -> None:
        share = 1 - np.exp(-self.distance / 120)
        hazy = tuple(round(c + (h - c) * share) for c, h in zip(colour, (190, 198, 205), strict=True))
        self.draw.polygon([self.at(*point) for point in points], fill=hazy)
        if not is_shadow:
            self.truth.polygon([self.at(*point) for point in points], fill=self.label)

    def box(self, x0: float, up0: float, x1: float, up1: float, colour: tuple[int, int, int]) -> None:
        self.polygon([(x0, up0), (x1, up0), (x1, up1), (x0, up1)], colour)

    def disc(
        self, x: float, up: float, rx: float, ry: float, colour: tuple[int, int, int], is_shadow: bool = False
    ) -> None:
        turn = np.linspace(0, 2 * np.pi, 24)
        self.polygon([(x + rx * np.cos(a), up + ry * np.sin(a)) for a in turn], colour, is_shadow)


def shade(colour: tuple[int, int, int], by: float) -> tuple[int, int, int]:
    red, green, blue = (int(min(255, max(0, part * by))) for part in colour)
    return red, green, blue


def car(canvas: Canvas, x: float, colour: tuple[int, int, int]) -> None:
    """Seen from behind, its side towards the middle of the road."""
    canvas.disc(x, 0.02, 1.05, 0.1, (52, 52, 54), is_shadow=True)
    for wheel in (-0.68, 0.68):
        canvas.box(x + wheel - 0.12, 0.0, x + wheel + 0.12, 0.4, (24, 24, 26))
    canvas.polygon(
        [(x - 0.88, 0.3), (x + 0.88, 0.3), (x + 0.9, 0.75), (x + 0.82, 0.95), (x - 0.82, 0.95), (x - 0.9, 0.75)], colour
    )
    canvas.polygon([(x - 0.8, 0.95), (x + 0.8, 0.95), (x + 0.62, 1.45), (x - 0.62, 1.45)], shade(colour, 0.92))
    canvas.polygon([(x - 0.68, 0.98), (x + 0.68, 0.98), (x + 0.54, 1.38), (x - 0.54, 1.38)], (38, 44, 52))
    canvas.polygon([(x - 0.6, 1.2), (x + 0.1, 1.2), (x + 0.0, 1.36), (x - 0.52, 1.36)], (84, 94, 104))
    canvas.box(x - 0.9, 0.3, x + 0.9, 0.42, shade(colour, 0.55))
    canvas.box(x - 0.26, 0.5, x + 0.26, 0.62, (214, 204, 120))
    for light in (-0.78, 0.6):
        canvas.box(x + light, 0.66, x + light + 0.18, 0.86, (158, 26, 24))


def person(canvas: Canvas, x: float, coat: tuple[int, int, int], step: float) -> None:
    canvas.disc(x, 0.02, 0.3, 0.05, (112, 108, 106), is_shadow=True)
    canvas.polygon([(x - 0.14, 0.85), (x + 0.02, 0.85), (x - step, 0.0), (x - step - 0.13, 0.0)], (42, 44, 58))
    canvas.polygon([(x - 0.02, 0.85), (x + 0.15, 0.85), (x + step + 0.13, 0.0), (x + step, 0.0)], (36, 38, 50))
    canvas.polygon([(x - 0.24, 0.82), (x + 0.24, 0.82), (x + 0.22, 1.46), (x - 0.22, 1.46)], coat)
    canvas.polygon([(x - 0.3, 0.9), (x - 0.2, 0.88), (x - 0.18, 1.42), (x - 0.25, 1.4)], shade(coat, 0.8))
    canvas.disc(x, 1.62, 0.1, 0.13, (196, 156, 132))
    canvas.polygon([(x - 0.11, 1.62), (x + 0.11, 1.62), (x + 0.09, 1.77), (x - 0.09, 1.77)], (52, 38, 30))


def lamp(canvas: Canvas, x: float) -> None:
    canvas.box(x - 0.055, 0, x + 0.055, 5.6, (82, 86, 88))
    inwards = -1.1 if x > 0 else 1.1
    canvas.polygon([(x, 5.5), (x, 5.62), (x + inwards, 5.78), (x + inwards, 5.68)], (82, 86, 88))
    canvas.box(
        min(x + inwards * 0.8, x + inwards * 1.25), 5.6, max(x + inwards * 0.8, x + inwards * 1.25), 5.76, (60, 62, 64)
    )


def tree(canvas: Canvas, x: float, rng: np.random.Generator) -> None:
    canvas.polygon([(x - 0.16, 0), (x + 0.16, 0), (x + 0.1, 3.0), (x - 0.1, 3.0)], (74, 60, 48))
    for layer in range(420):
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        across, up = 1.9 * reach * np.cos(angle), 4.6 + 1.9 * reach * np.sin(angle)
        light = 0.62 + 0.3 * (up - 2.7) / 3.8 + rng.uniform(-0.12, 0.12)
        size = rng.uniform(0.12, 0.34)
        canvas.disc(x + across, up, size, size * 0.8, shade((86, 112, 52), light if layer > 140 else light * 0.7))


COLOURS = [(132, 28, 30), (40, 58, 104), (176, 178, 180), (48, 50, 52), (214, 214, 210), (70, 88, 74)]
PEOPLE = (
    (9.0, -4.6, (126, 40, 46)),
    (15.0, 4.7, (52, 58, 92)),
    (17.0, -5.0, (70, 70, 74)),
    (24.0, 4.5, (146, 128, 96)),
    (30.0, -4.5, (44, 74, 66)),
)
Thing = tuple[float, int, Callable[[Canvas], None]]
"""A figure: how far along the road it stands, its class, and what draws it."""


def standing(rng: np.random.Generator, end: float, *, own_rng: bool = False) -> list[Thing]:
    """Trees, lamps and parked cars along the road up to `end` metres.

    Args:
        own_rng: each tree keeps its leaves, however often it is drawn.
    """

    def planted(x: float, seed: int) -> Callable[[Canvas], None]:
        return lambda c: tree(c, x, np.random.default_rng(seed) if own_rng else rng)

    things: list[Thing] = []
    for number, place in enumerate(np.arange(13, end, 15.0)):
        things.append((place, TREE, planted(-4.9, 2 * number)))
        things.append((place + 6, TREE, planted(5.0, 2 * number + 1)))
        things.append((place + 2.5, POLE, lambda c: lamp(c, 4.1)))
        things.append((place + 9.5, POLE, lambda c: lamp(c, -4.1)))
    for place in np.arange(11, end - 20, 6.3):
        paint = COLOURS[int(rng.integers(len(COLOURS)))]
        things.append((place, CAR, lambda c, paint=paint: car(c, 2.65, paint)))
        if rng.random() < 0.6:
            paint = COLOURS[int(rng.integers(len(COLOURS)))]
            things.append((place + 3, CAR, lambda c, paint=paint: car(c, -2.65, paint)))
    return things


def seen(
    flat: Field, truth: NDArray[np.uint8], things: list[Thing], rng: np.random.Generator
) -> tuple[Image.Image, NDArray[np.uint8]]:
    """What a camera makes of surroundings and things at their distances, 960×720 RGB, and the class ids."""
    image, labels = Image.fromarray(np.clip(flat, 0, 255).astype(np.uint8)), Image.fromarray(truth)
    for distance, label, figure in sorted(things, key=lambda thing: -thing[0]):
        figure(Canvas(image, labels, distance, label))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(0.8)), np.float64)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    soft *= (1 - 0.16 * (x**2 + y**2))[..., None] * 0.94
    soft += rng.normal(0, 2.5, soft.shape)
    return Image.fromarray(np.clip(soft, 0, 255).astype(np.uint8)), np.array(labels)


def scene(seed: int = 7) -> Image.Image:
    """The street, 960×720 RGB."""
    rng = np.random.default_rng(seed)
    flat, truth = surroundings(rng)
    things = standing(rng, 90)
    things.append((19.0, CAR, lambda c: car(c, -0.9, (44, 66, 120))))
    for place, x, coat in PEOPLE:
        things.append((place, PERSON, lambda c, x=x, coat=coat: person(c, x, coat, rng.uniform(0.05, 0.22))))
    return seen(flat, truth, things, rng)[0]


def drive(frames: int, seed: int = 7, metres: float = 0.6) -> Iterator[tuple[Image.Image, NDArray[np.uint8]]]:
    """A drive along the street: the frames 480×360 RGB, `metres` apart, with their class ids 360×480.

    What is painted on walls and ground moves with them; people walk; a car drives ahead, faster and slower.
    """
    pattern = smooth_noise(np.random.default_rng(seed), 512, 512, 256)

    def noise(cells: int, u: Field, v: Field) -> Field:
        return pattern[(v * 6).astype(int) % 512, (u * 6).astype(int) % 512]

    lasting = standing(np.random.default_rng(seed), 90 + frames * metres, own_rng=True)
    for index in range(frames):
        position, rng = index * metres, np.random.default_rng((seed, index))
        flat, truth = surroundings(np.random.default_rng(seed), position, noise, rng)
        things = [(place - position, *rest) for place, *rest in lasting if 1.5 < place - position < 90]
        things.append((16 + 4 * np.sin(index / 15), CAR, lambda c: car(c, -0.9, (44, 66, 120))))
        for place, x, coat in PEOPLE:
            distance = (place - position * 0.9) % 60 + 2
            stride = 0.05 + 0.15 * abs(np.sin(index * 0.7 + place))
            things.append((distance, PERSON, lambda c, x=x, coat=coat, s=stride: person(c, x, coat, s)))
        image, labels = seen(flat, truth, things, rng)
        yield image.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BOX), np.ascontiguousarray(labels[::2, ::2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    scene(arguments.seed).save(arguments.file, quality=92)


if __name__ == "__main__":
    main()
