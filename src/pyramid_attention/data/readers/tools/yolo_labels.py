"""YOLO's label files: one polygon a line, `class x1 y1 x2 y2 …`, from 0 to 1 of the width and height (see `yolo`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import UserError
from ...outlines import Points, Shape, as_points, draw
from ...samples import ImageFileSample, size_of
from ...small_files import read_text


def read_polygons(path: Path, labels: Mapping[int, int]) -> tuple[list[tuple[int, Points]], list[str]]:
    """The labels and polygons of a label file, from 0 to 1, and what is wrong with its other lines."""
    polygons, faults = [], []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            values = [float(text) for text in fields]
        except ValueError:
            faults.append(f"line {number} holds {line.strip()[:40]!r} where numbers are expected")
            continue
        if values[0] not in labels:
            faults.append(f"line {number} has the class {fields[0]}, which names does not have")
        elif len(values) == 5:
            faults.append(f"line {number} is a box, not a polygon")
        else:
            try:
                points = as_points(values[1:])
            except ValueError as error:
                faults.append(f"line {number} {error}")
                continue
            if points.max() > 2 or points.min() < -1:
                faults.append(f"line {number} has coordinates that are not from 0 to 1")
            else:
                polygons.append((labels[int(values[0])], points))
    return polygons, faults


@dataclass(frozen=True, eq=False)
class YoloSample(ImageFileSample):
    """An image and its label file (None: it shows no object); `labels` gives the classes on disk their labels."""

    source: Path | None
    labels: Mapping[int, int]

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1.

        Raises:
            UserError: the image or the label file is unreadable, or a line of it is wrong.
        """
        height, width = size_of(self.image)
        polygons, faults = read_polygons(self.source, self.labels) if self.source is not None else ([], [])
        if faults:
            raise UserError(f"{self.source}: {faults[0]}; correct or remove it")
        shapes = sorted(
            ((label, points * (width, height)) for label, points in polygons), key=lambda one: -_area(one[1])
        )
        return draw((height, width), [Shape(label, points) for label, points in shapes])


def _area(points: Points) -> float:
    """The area of a polygon (shoelace formula)."""
    x, y = points.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
