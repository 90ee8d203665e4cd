"""What the values in masks mean: ids, colours, or bright on dark; a recipe keeps it for masks that are read later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..classes import ClassTable, Colour

Value = int | Colour


@dataclass(frozen=True)
class Meaning:
    """What the values in masks mean.

    Attributes:
        kind: "ids" for numbers; "colours"; "bright" for masks that are dark but for one class.
        classes: the class table.
        values: the id or the colour of each class; none where `kind` is "bright".
        void: those that are void.
        threshold: the grey level from which a pixel is bright.
        paths: whether the mask's path says which class is bright; else it is class 1.
    """

    kind: Literal["ids", "colours", "bright"]
    classes: ClassTable
    values: tuple[Value, ...] = ()
    void: tuple[Value, ...] = ()
    threshold: int = 128
    paths: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for a recipe."""
        return {
            "kind": self.kind,
            "classes": self.classes.to_dict(),
            "values": [list(v) if isinstance(v, tuple) else v for v in self.values],
            "void": [list(v) if isinstance(v, tuple) else v for v in self.void],
            "threshold": self.threshold,
            "paths": self.paths,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Meaning:
        """The inverse of `to_dict`."""

        def values(listed: Sequence[Any]) -> tuple[Value, ...]:
            return tuple(v if isinstance(v, int) else (v[0], v[1], v[2]) for v in listed)

        return cls(
            data["kind"],
            ClassTable.from_dict(data["classes"]),
            values(data["values"]),
            values(data["void"]),
            data["threshold"],
            data["paths"],
        )
