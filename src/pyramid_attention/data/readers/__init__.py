"""Readers of data sets: one module a format (`Reader`); which one a folder needs is found by looking."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any, Protocol

from ...errors import UserError, nearest
from .. import shapes
from ..holdout import make_splits
from ..samples import Dataset
from . import (
    ade20k,
    camvid,
    camvid32,
    cityscapes,
    coco,
    coco_panoptic,
    cvat,
    folder,
    labelme,
    roboflow,
    voc,
    yolo,
)
from .pairs import list_images, subfolders


class Reader(Protocol):
    """What a module of this package offers."""

    @property
    def LAYOUT(self) -> str:
        """What the reader expects to find, in a few words."""

    def detect(self, root: Path) -> bool:
        """Whether `root`, an existing folder, is in this format."""

    def read(self, root: Path) -> Dataset:
        """Read `root`; a `UserError` where it is not in this format."""


READERS: dict[str, Reader] = {
    "cvat": cvat,  # before voc, whose layout it extends
    "voc": voc,
    "cityscapes": cityscapes,
    "coco": coco,
    "coco-panoptic": coco_panoptic,
    "yolo": yolo,
    "roboflow": roboflow,
    "labelme": labelme,
    "ade20k": ade20k,
    "camvid": camvid,
    "camvid32": camvid32,
    "folder": folder,
}
"""By name, in the order in which they are asked."""


def open_dataset(data: str | Path, format: str | None = None, *, make_val: bool = True, **options: Any) -> Dataset:
    """Open a data set: a folder in any format the readers know, or the word "shapes" for the synthetic images.

    Args:
        data: the folder, or "shapes".
        format: the name of a reader; by default the first that recognises the folder.
        make_val: where all that the reader finds is the split "train", set some of it aside as "val" (see `holdout`).
        options: for "shapes" alone, see `shapes.open_shapes`.

    Raises:
        UserError: the folder is missing, empty, unreadable or in no known format; see also the readers.
    """
    if str(data) == "shapes":
        if format not in (None, "shapes"):
            raise UserError(f"shapes are drawn, not read as '{format}'; write ./shapes for a folder of that name")
        known = inspect.signature(shapes.open_shapes).parameters
        for option in options:
            if option not in known:
                raise UserError(f"shapes has no option '{option}'.{nearest(option, known)}")
        return shapes.open_shapes(**options)
    if options:
        raise UserError(f"the options {', '.join(sorted(options))} belong to shapes; {data} takes none")
    if format is not None and format not in READERS:
        raise UserError(f"there is no format '{format}'.{nearest(format, READERS)}")
    if not str(data):
        raise UserError("the data set's folder is an empty name; write . for the folder you are in")
    root = Path(data)
    if not os.path.isdir(root):
        what = "is a file, not a folder" if os.path.exists(root) else "does not exist"
        raise UserError(f"{root} {what}; give the folder of a data set, or the word shapes for synthetic images")
    for name, reader in READERS.items():
        if format == name or (format is None and reader.detect(root)):
            found = reader.read(root)
            return make_splits(found) if make_val else found
    if not list_images(root).files:
        raise UserError(f"{root} holds no images; {_expected()}")
    raise UserError(
        f"{root} is in no known format (it holds the folders: {', '.join(subfolders(root)) or 'none'}); {_expected()}"
    )


def _expected() -> str:
    return "expected " + ", or ".join(f"{reader.LAYOUT} ({name})" for name, reader in READERS.items())
