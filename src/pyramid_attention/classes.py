"""The class table: what the numbers in a label map mean and which colours they are drawn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import UserError

IGNORE = 255
"""The label of pixels that count nowhere: not in the loss, not in any metric. Every reader maps its void to it."""

Colour = tuple[int, int, int]


@cache
def voc_colours(count: int) -> tuple[Colour, ...]:
    """The PASCAL VOC colour map: `count` RGB colours, far apart, by spreading the bits of the index (VOC devkit)."""
    index = np.arange(count)
    colours = np.zeros((count, 3), dtype=np.int64)
    for shift in range(8):
        for channel in range(3):
            colours[:, channel] |= ((index >> (3 * shift + channel)) & 1) << (7 - shift)
    return tuple((int(r), int(g), int(b)) for r, g, b in colours)


@dataclass(frozen=True)
class ClassTable:
    """Names and RGB colours of the classes 0 … len-1; the label `IGNORE` (255) is void.

    Raises:
        UserError: on no class, more than 255, a repeated name, or a colour that is not three values of 0 … 255.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    void_name: str = "void"
    void_colour: Colour = (0, 0, 0)

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= IGNORE:
            raise UserError(f"a class table has 1 to {IGNORE} classes, this one has {len(self.names)}")
        if len(self.colours) != len(self.names):
            raise UserError(f"{len(self.names)} class names but {len(self.colours)} colours; give one colour a class")
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise UserError(f"class names are used twice: {', '.join(repeated)}")
        for name, colour in zip((*self.names, self.void_name), (*self.colours, self.void_colour), strict=True):
            if len(colour) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in colour):
                raise UserError(f"the colour of class '{name}' must be three whole numbers of 0 to 255, not {colour}")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(
        cls, names: Sequence[str] | int, colours: Sequence[Sequence[int]] | None = None, source: object = None
    ) -> ClassTable:
        """A table from names (or only their number), with VOC's colours where none are given.

        Args:
            source: what names the classes, a file, which an error begins with.
        """
        if isinstance(names, int):
            names = [f"class {i}" for i in range(names)]
        table = voc_colours(len(names)) if colours is None else tuple((c[0], c[1], c[2]) for c in colours)
        try:
            return cls(tuple(str(name) for name in names), table)
        except UserError as error:
            raise error if source is None else UserError(f"{source}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and strings, for JSON and YAML."""
        return {
            "names": list(self.names),
            "colours": [list(colour) for colour in self.colours],
            "void_name": self.void_name,
            "void_colour": list(self.void_colour),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ClassTable:
        """The inverse of `to_dict`."""
        return cls(
            tuple(data["names"]),
            tuple((c[0], c[1], c[2]) for c in data["colours"]),
            data["void_name"],
            (data["void_colour"][0], data["void_colour"][1], data["void_colour"][2]),
        )

    def palette(self) -> NDArray[np.uint8]:
        """RGB of each of the 256 label values (256×3 uint8): the classes, then VOC's colours, `IGNORE` as void."""
        palette = np.array(voc_colours(256), dtype=np.uint8)
        palette[: len(self)] = self.colours
        palette[IGNORE] = self.void_colour
        return palette

    def colourise(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A label map (H×W uint8) drawn in the classes' colours (H×W×3 uint8)."""
        return self.palette()[labels]
