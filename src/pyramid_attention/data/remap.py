"""Other classes than the data set's own: some merged under a new name, the others void."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE, ClassTable
from ..errors import UserError, nearest
from .samples import Dataset, Sample


@dataclass(frozen=True, eq=False)
class RemappedSample:
    """A sample with other labels: `table` (256 uint8) holds the new label of each."""

    sample: Sample
    table: NDArray[np.uint8]

    @property
    def name(self) -> str:
        """That of the sample."""
        return self.sample.name

    def read_image(self) -> NDArray[np.uint8]:
        """The photograph, H×W×3 uint8 RGB."""
        return self.sample.read_image()

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask in the new classes, H×W uint8, `IGNORE` where void."""
        return self.table[self.sample.read_mask()]


def remap_classes(dataset: Dataset, mapping: Mapping[str, Sequence[str]]) -> Dataset:
    """The data set with new classes: each of `mapping` is made of those that it lists; what no one lists is void.

    Args:
        dataset: its class table gives the old names; a new class has the colour of the first in its list.
        mapping: old names by new name, the new ids in its order.

    Raises:
        UserError: a name that is no class of the data set, a class that is listed twice, or a list that is empty.
    """
    old = dataset.classes
    table = np.full(256, IGNORE, dtype=np.uint8)
    taken: dict[str, str] = {}
    for label, (new, names) in enumerate(mapping.items()):
        if not names:
            raise UserError(f"data.classes makes '{new}' of no class; list the data set's classes it is to hold")
        for name in names:
            if name not in old.names:
                raise UserError(
                    f"data.classes names '{name}', which is no class of {dataset.root or dataset.format}."
                    f"{nearest(name, old.names)}"
                )
            if name in taken:
                raise UserError(
                    f"data.classes has '{name}' twice, in '{taken[name]}' and in '{new}'; remove it from one"
                )
            taken[name] = new
            table[old.names.index(name)] = label
    colours = tuple(old.colours[old.names.index(names[0])] for names in mapping.values())
    classes = ClassTable(tuple(mapping), colours, old.void_name, old.void_colour)
    dropped = [name for name in old.names if name not in taken]
    notes = (f"void, as data.classes does not name them: {', '.join(dropped)}",) if dropped else ()
    splits = {split: [RemappedSample(s, table) for s in samples] for split, samples in dataset.splits.items()}
    return replace(dataset, classes=classes, splits=splits, notes=(*dataset.notes, *notes))
