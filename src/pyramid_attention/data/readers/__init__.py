"""Readers of data sets, by family: one module a format (`Reader`); which one is needed is found by looking."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ...errors import UserError, nearest
from ...storage import local_path
from .. import shapes
from ..holdout import make_splits
from ..image_bands import find_bands
from ..reading import FOUND, Reading
from ..samples import Dataset
from ..tree import Tree
from .benchmarks import ade20k, camvid, camvid32, cityscapes, voc
from .coco import instances, panoptic
from .folders import folder, manifest, scenes
from .tables import huggingface, run_length_csv, webdataset
from .tools import cvat, labelme, labelstudio, roboflow, supervisely, yolo


class Reader(Protocol):
    """What a module of this package offers."""

    @property
    def LAYOUT(self) -> str:
        """What the reader expects to find, in a few words."""

    def detect(self, tree: Tree) -> bool:
        """Whether a folder is in this format."""

    def read(self, tree: Tree) -> Dataset:
        """Read a folder, all but images and masks themselves, which samples read when they are asked to.

        Raises:
            UserError: it is not in this format, a file of it cannot be understood, or no image has a mask.
            MissingExtra: a package is needed that is not installed.
        """


READERS: dict[str, Reader] = {
    "cvat": cvat,  # before voc, whose layout it extends
    "voc": voc,
    "cityscapes": cityscapes,
    "coco": instances,
    "coco-panoptic": panoptic,
    "yolo": yolo,
    "roboflow": roboflow,
    "labelme": labelme,
    "labelstudio": labelstudio,
    "supervisely": supervisely,
    "huggingface": huggingface,
    "rle-csv": run_length_csv,
    "webdataset": webdataset,
    "ade20k": ade20k,
    "camvid": camvid,
    "camvid32": camvid32,
    "folder": folder,
}
"""By name, in the order in which they are asked."""


def open_dataset(
    data: str | Path,
    format: str | None = None,
    *,
    reading: Reading = FOUND,
    make_val: bool = True,
    **options: Any,
) -> Dataset:
    """Open a data set: a folder in any arrangement, a manifest, scenes, or the word "shapes" for the synthetic images.

    Args:
        data: the folder; the CSV file of a manifest (see `manifest`); a raster, or the YAML file of scenes (see
            `folders.scenes`); or "shapes". Folders and files may be at an address, see `storage.local_copy`.
        format: the name of a reader; by default the first that recognises the folder.
        reading: what is known of the data set: patterns, what masks mean, how it is divided.
        make_val: where there is no split "val", set some of "train" aside as such (see `holdout`).
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
    if format not in (None, "manifest", "scenes", *READERS):
        raise UserError(f"there is no format '{format}'.{nearest(str(format), [*READERS, 'scenes'])}")
    if not str(data):
        raise UserError("the data set's folder is an empty name; write . for the folder you are in")
    found = _read(local_path(data), format, reading)
    if found.format == "scenes":
        return found
    found = find_bands(found)
    return make_splits(found) if make_val else found


def _read(path: Path, format: str | None, reading: Reading) -> Dataset:
    if path.suffix.lower() == ".csv" and path.is_file():
        return manifest.read(path, reading)
    if format in (None, "scenes") and (found := scenes.read(path, reading)) is not None:
        return found
    if format == "scenes":
        raise UserError(f"{path} is {scenes.NOTHING}")
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise UserError(f"{path} {what}; give the folder of a data set, or the word shapes for synthetic images")
    tree = Tree.scan(path)
    given = reading.images is not None or reading.masks is not None
    if given and format not in (None, "folder"):
        raise UserError(f'images= and masks= are patterns of a folder; leave format="{format}" out')
    for name, reader in READERS.items():
        if name != "folder" and not given and (format == name or (format is None and reader.detect(tree))):
            tree.refuse_loops()
            return replace(reader.read(tree), reading=reading)
    return folder.read(tree, reading)
