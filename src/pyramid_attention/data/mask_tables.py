"""What masks in VOC's layout mean: samples in ids or colours, and the tables that annotation tools write.

    JPEGImages/a.jpg  …
    SegmentationClass/a.png  …              or SegmentationClassPNG, in older versions of labelme
    class_names.txt                         labelme2voc: a name a line, the first has the id 0
    labelmap.txt                            CVAT, Datumaro: a line a class, name:red,green,blue:parts:actions
    ImageSets/Segmentation/default.txt      optional: lists, by split

Sources: labelme's examples/semantic_segmentation/labelme2voc.py (ids in an indexed PNG with VOC's colours, 255 for
`__ignore__`) and https://docs.cvat.ai/docs/dataset_management/formats/format-smask (colours of labelmap.txt, or one
channel with the number of the line).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE, ClassTable, Colour, voc_colours
from ..errors import UserError
from ..images import pixel_type
from .pairing import Pair
from .samples import ColourSample, FileSample, MaskFileSample, id_lookup
from .small_files import read_lines

LABELMAP_LINE = re.compile(r"(.+?):(?:\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(?::.*)?|:[^:]*:[^:]*)")
"""A name (in which there may be colons), and a colour or none; parts and actions are not read."""
VOID_NAMES = ("__ignore__", "ignored", "ignore", "void")
"""What tools call the class that is none."""


@dataclass(frozen=True, eq=False)
class MaskTable:
    """What the ids and the colours of the masks mean.

    Attributes:
        lookup: the label of each id (see `id_lookup`).
        labels: the label of each colour.
        by_palette: whether an indexed mask is read by its palette's colours and not by its ids.
    """

    classes: ClassTable
    lookup: NDArray[np.int16]
    labels: Mapping[Colour, int]
    by_palette: bool

    @classmethod
    def of(cls, names: Sequence[str], colours: Sequence[Colour], by_palette: bool, source: object = None) -> MaskTable:
        """The table where the ids are places in `names`; the classes with one of `VOID_NAMES` are void.

        Raises:
            UserError: two classes have one name, or `ClassTable` refuses something else.
        """
        ids = [i for i, name in enumerate(names) if name.lower() not in VOID_NAMES]
        classes = ClassTable.of([names[i] for i in ids], [colours[i] for i in ids], source)
        classes = replace(classes, void_colour=voc_colours(256)[IGNORE])
        labels = {classes.void_colour: IGNORE, **dict.fromkeys(colours, IGNORE)}
        labels.update((colours[i], label) for label, i in enumerate(ids))
        void = [IGNORE, *(i for i in range(len(names)) if i not in ids)]
        return cls(classes, id_lookup(ids, void), labels, by_palette)

    def sample(self, pair: Pair) -> MaskSample:
        """An image and its mask in these classes."""
        return MaskSample(pair.name, pair.image, pair.mask, self)


@dataclass(frozen=True, eq=False)
class MaskSample(MaskFileSample):
    """An image and a mask that shows its classes in colours or as ids: what it is, its header says."""

    table: MaskTable

    def read_labels(self) -> NDArray[np.uint8]:
        """See `FileSample` and `ColourSample`."""
        table = self.table
        if pixel_type(self.mask) in (("RGB", "RGBA", "P") if table.by_palette else ("RGB", "RGBA")):
            return ColourSample(self.name, self.image, self.mask, table.labels).read_labels()
        return FileSample(self.name, self.image, self.mask, table.lookup).read_labels()


def read_table(folder: Path) -> MaskTable | None:
    """What labelmap.txt says, or else class_names.txt; None where there is neither.

    Raises:
        UserError: the file cannot be read, a line is no class, or two classes have one name or colour.
    """
    if os.path.exists(folder / "labelmap.txt"):
        path = folder / "labelmap.txt"
        names, colours = _labelmap(path)
    elif os.path.exists(folder / "class_names.txt"):
        path = folder / "class_names.txt"
        names = read_lines(path)
        if names[:1] == ["__ignore__"]:  # the list labelme was given, where the first line has the id -1
            names = names[1:]
        colours = list(voc_colours(len(names)))
    else:
        return None
    return MaskTable.of(names, colours, by_palette=path.name == "labelmap.txt", source=path)


def _labelmap(path: Path) -> tuple[list[str], list[Colour]]:
    """Names and colours in the order of the lines; VOC's colours where no line has one."""
    names: list[str] = []
    colours: list[Colour | None] = []
    for line in read_lines(path):
        if line.startswith("#"):
            continue
        found = LABELMAP_LINE.fullmatch(line)
        if found is None:
            raise UserError(f"{path}: the line '{line}' is no class; write name:red,green,blue::, as in cat:64,0,0::")
        colour = None if found[2] is None else (int(found[2]), int(found[3]), int(found[4]))
        if colour is not None and colour in colours:
            twin = names[colours.index(colour)]
            raise UserError(
                f"{path} gives {twin} and {found[1]} one colour, {colour}; give each its own and export anew"
            )
        names.append(found[1].strip())
        colours.append(colour)
    given = [colour for colour in colours if colour is not None]
    if given and None in colours:
        raise UserError(f"{path}: '{names[colours.index(None)]}' has no colour and others have; give each class one")
    return names, given or list(voc_colours(len(names)))
