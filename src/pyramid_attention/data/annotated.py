"""Images with regions that a tool has drawn, before and after it is known which classes there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE, ClassTable
from ..errors import UserError
from .outlines import Overhang, Shape, Stamp, background_first, check_declared_size, draw
from .pairing import Report
from .samples import Dataset, ImageFileSample, size_of
from .tree import Tree, few

VOID = "__ignore__"
"""The name of regions that are void."""


class Named(NamedTuple):
    """A region and the name of its class; the region's own label is not known yet."""

    name: str
    region: Shape | Stamp


@dataclass(frozen=True)
class Annotated:
    """An image and the regions on it.

    Attributes:
        name: of the sample.
        image: None where `source` holds it.
        source: the file that describes the regions.
        size: (height, width) that was annotated; None where the file does not tell.
    """

    name: str
    image: Path | None
    source: Path
    size: tuple[int, int] | None
    regions: Sequence[Named] = ()


@dataclass(frozen=True, eq=False)
class RegionSample(ImageFileSample):
    """An image and the regions that are drawn on it, later ones over earlier ones."""

    source: Path
    size: tuple[int, int] | None
    regions: tuple[Shape | Stamp, ...]

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1, `IGNORE` where void.

        Raises:
            UserError: the image is unreadable, or of another size than was annotated.
        """
        size = self.size or size_of(self.image)
        check_declared_size(self.source, size, self.image)
        try:
            return draw(size, self.regions)
        except ValueError as error:
            raise UserError(f"{self.source}: a region of {self.name} {error}; export it again") from None


@dataclass
class Annotations(Report):
    """What is gathered over the files of a tool."""

    overhang: Overhang = field(default_factory=Overhang)

    def finish(
        self,
        format: str,
        tree: Tree,
        splits: Mapping[str, Sequence[Annotated]],
        declared: Mapping[str, str] | None,
        where: str,
        layout: str,
    ) -> Dataset:
        """The data set, when all regions are known: its classes are the background, then those that are declared.

        Args:
            declared: the names of classes; None for those that regions have, sorted.
            where: what declares them, for messages.
            layout: see `Report.dataset`.

        Raises:
            UserError: the names make no class table, or there is no image.
        """
        used = {named.name for of in splits.values() for one in of for named in one.regions}
        names = {name: name for name in sorted(used - {VOID})} if declared is None else declared
        listed, labels = background_first(names)
        labels |= {VOID: IGNORE} | {name: 0 for name in ("background", "_background_") if name not in labels}
        classes = ClassTable.of(listed, source=f"the labels of {tree.root}")
        for one in (one for of in splits.values() for one in of):
            if unknown := sorted({named.name for named in one.regions} - set(labels)):
                self.problems.append(
                    f"{one.source}: shapes have the labels {few(unknown)}, which {where} does not have; add them"
                    " there or rename the shapes"
                )
        self.notes += self.overhang.notes(tree.root)
        samples = {split: [self.sample(one, labels) for one in of] for split, of in sorted(splits.items())}
        return self.dataset(format, tree, classes, samples, layout)

    def sample(self, one: Annotated, labels: Mapping[str, int]) -> RegionSample:
        """The sample of an annotated image, its classes by their names."""
        assert one.image is not None
        return RegionSample(one.name, one.image, one.source, one.size, labelled(one, labels))


def labelled(one: Annotated, labels: Mapping[str, int]) -> tuple[Shape | Stamp, ...]:
    """The regions of an image with their labels; those of unknown names, which are a problem, have the label 0."""
    return tuple(named.region._replace(label=labels.get(named.name, 0)) for named in one.regions)
