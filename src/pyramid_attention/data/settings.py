"""`dataset.yaml`: what the values in the masks of a folder mean, and where images and masks are.

names: [background, cat, dog]               # or, by id on disk, {0: background, 7: cat, 8: dog}
colours: [[0, 0, 0], [64, 0, 0], [64, 0, 128]]      # optional, given the same way as names
ignore: [255]                               # optional: ids that are void, or colours as [[255, 255, 255]]
images: rgb/{split}/{id}.jpg                # optional: patterns, or the names of folders
masks: semantic/{split}/{id}.png

Or, in place of images and masks, rasters with their labels:

scenes:
  - image: sentinel2/{band}.tiff            # a file, or a pattern for one file a band
    labels: landcover.shp                   # a raster of ids on the same grid, or shapes
    attribute: kind                         # optional: of the shapes, that says their class
block: 128                                  # optional: the side of the blocks that train and val are made of, in pixels
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..classes import IGNORE, ClassTable, Colour
from ..errors import UserError, nearest
from ..images import read_image, read_label_map
from .mask_files import ARRAY_SUFFIXES
from .meaning import Meaning
from .scenes import SceneFiles
from .small_files import read_yaml

FIELDS = ("names", "colours", "ignore", "images", "masks", "scenes", "block")
SCENE_FIELDS = ("image", "labels", "attribute")
LOOKED_AT = 8
"""Masks that are opened to see whether they hold ids or colours, where the file gives both."""


@dataclass(frozen=True)
class Settings:
    """What a `dataset.yaml` says.

    Attributes:
        path: the file.
        names, colours: by id on disk; None where it does not say.
        void: the ids that are void; None where it does not say (then it is 255, unless that is named).
        void_colours: the colours that are.
        images, masks: patterns or names of folders; None where it does not say.
        scenes: rasters with their labels; empty where it names none.
        block: the side of their blocks in pixels; None where it does not say.
    """

    path: Path
    names: dict[int, str] | None = None
    colours: dict[int, Colour] | None = None
    void: list[int] | None = None
    void_colours: list[Colour] = field(default_factory=list)
    images: str | None = None
    masks: str | None = None
    scenes: Sequence[SceneFiles] = ()
    block: int | None = None

    def meaning(self, masks: Sequence[Path]) -> Meaning | None:
        """What the values in `masks` mean; None where the file does not say. Few are opened, none without colours.

        Raises:
            UserError: names and colours are not of the same ids, or make no class table.
        """
        names = self.names or {i: f"class {i}" for i in self.colours or ()}
        if not names:
            return None
        if self.colours is not None and set(self.colours) != set(names):
            raise UserError(
                f"{self.path}: names has the ids {sorted(names)}, colours {sorted(self.colours)}; give each class one"
                " of each"
            )
        order = sorted(names)
        colours = None if self.colours is None else [self.colours[i] for i in order]
        classes = ClassTable.of([names[i] for i in order], colours, self.path)
        void = [IGNORE] if self.void is None else self.void
        if self.colours is None or not self._shows_colours(masks, self.colours, void):
            return Meaning("ids", classes, tuple(order), tuple(void))
        given = [*classes.colours, *self.void_colours]
        if repeated := [colour for colour in given if given.count(colour) > 1]:
            raise UserError(f"{self.path}: the colour {list(repeated[0])} is given twice; give each class its own")
        return Meaning("colours", classes, classes.colours, tuple(self.void_colours))

    def _shows_colours(self, masks: Sequence[Path], colours: Mapping[int, Colour], void: Sequence[int]) -> bool:
        """Whether masks show the colours, rather than hold the ids (with these colours for display)."""
        names = {*(self.names or colours)}
        listed = {*colours.values(), *self.void_colours}
        ids_fit = colours_fit = True
        differ = False
        for mask in masks[:: -(-len(masks) // LOOKED_AT) or 1]:
            if mask.suffix.lower() in ARRAY_SUFFIXES:
                return False
            try:
                shown = _shown_by_id(mask)
            except UserError:  # damaged: reported when it is read
                continue
            if shown is None:
                return True
            ids_fit = ids_fit and shown.keys() <= names | {*void}
            colours_fit = colours_fit and listed.issuperset(shown.values())
            for i, colour in shown.items():
                grey = colour in ((i,) * 3, ((i + 128) // 257,) * 3)  # of 8 or 16 bits: it shows but its id
                if i in names:
                    differ = differ or (colour != colours.get(i) and not grey)
                elif self.void is None:  # 255, which may be drawn in any colour, but white may be the class's own
                    differ = differ or (grey and colour in colours.values())
        return colours_fit and (differ or not ids_fit)


def _shown_by_id(mask: Path) -> dict[int, Colour] | None:
    """The colour in which each id of a mask is shown; None for a mask in colours, which has no ids."""
    shown = read_image(mask).reshape(-1, 3)
    try:
        ids, first = np.unique(read_label_map(mask), return_index=True)
    except UserError:  # not damaged, as it could be read for its colours
        return None
    return {int(i): (int(r), int(g), int(b)) for i, (r, g, b) in zip(ids, shown[first], strict=True)}


def read_settings(path: Path) -> Settings:
    """Read a `dataset.yaml`; where there is none, nothing is said.

    Raises:
        UserError: it cannot be read or understood.
    """
    if not path.exists():
        return Settings(path)
    data = read_yaml(path, "names: [background, cat, dog]") or {}
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no fields; write for example: names: [background, cat, dog]")
    for name in data:
        if name not in FIELDS:
            raise UserError(f"{path} has an unknown field '{name}'.{nearest(str(name), FIELDS)}")
    names, colours = _by_id(path, "names", data.get("names")), _by_id(path, "colours", data.get("colours"))
    for i, name in (names or {}).items():
        if not isinstance(name, str):
            raise UserError(f"{path}: the name of class {i} is {name!r}, which YAML does not take as text; quote it")
    for name in ("images", "masks"):
        if data.get(name) is not None and (not isinstance(data[name], str) or not data[name]):
            raise UserError(
                f"{path}: {name} is {data[name]!r}; write a folder or a pattern, as in {name}: x/{{id}}.png"
            )
    table = None if colours is None else {i: _colour(path, f"class {i}", colour) for i, colour in colours.items()}
    void, void_colours = _void(path, data.get("ignore"), names or {})
    block = data.get("block")
    if block is not None and type(block) is not int:
        raise UserError(f"{path}: block is {block!r}; write the side of a block in pixels, a whole number")
    scenes = _scenes(path, data.get("scenes"))
    if scenes and (data.get("images") or data.get("masks")):
        raise UserError(f"{path} names scenes and images or masks; a data set is of one kind: leave the others out")
    return Settings(path, names, table, void, void_colours, data.get("images"), data.get("masks"), scenes, block)


def _scenes(path: Path, value: Any) -> list[SceneFiles]:
    """The rasters and their labels, whose paths are relative to the file."""
    scenes = []
    for one in [] if value is None else value if isinstance(value, list) else [value]:
        if not isinstance(one, dict) or not {"image", "labels"} <= one.keys():
            raise UserError(
                f"{path}: a scene is {one!r}; write its image and its labels: {{image: a.tif, labels: a.shp}}"
            )
        for name, given in one.items():
            if name not in SCENE_FIELDS:
                raise UserError(f"{path}: a scene has an unknown field '{name}'.{nearest(str(name), SCENE_FIELDS)}")
            if not isinstance(given, str):
                raise UserError(f"{path}: {name} of a scene is {given!r}, which YAML does not take as text; quote it")
        scenes.append(SceneFiles(path.parent / one["image"], path.parent / one["labels"], one.get("attribute")))
    return scenes


def _by_id(path: Path, field: str, value: Any) -> dict[int, Any] | None:
    """A field given as a list (ids 0, 1, …) or a mapping from ids, as a mapping."""
    if value is None:
        return None
    by_id = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(by_id, dict) or not by_id:
        raise UserError(f"{path}: {field} is {value!r}; write a list, [first, second], or ids, {{0: first, 7: second}}")
    _check_ids(path, field, by_id)
    return by_id


def _check_ids(path: Path, field: str, ids: Iterable[Any]) -> None:
    for i in ids:
        if type(i) is not int or not 0 <= i <= 65535:
            raise UserError(f"{path}: {field} has the id {i!r}; an id is a whole number of 0 to 65535")


def _colour(path: Path, of: str, value: Any) -> Colour:
    if not isinstance(value, list) or len(value) != 3:
        raise UserError(f"{path}: the colour of {of} is {value!r}; write three numbers, [red, green, blue]")
    return value[0], value[1], value[2]


def _void(path: Path, value: Any, names: dict[int, str]) -> tuple[list[int] | None, list[Colour]]:
    """The ids and the colours that are void."""
    if value is None:
        return None, []
    given = value if isinstance(value, list) else [value]
    colours = [_colour(path, "ignore", entry) for entry in given if isinstance(entry, list)]
    for colour in colours:
        if not all(type(part) is int and 0 <= part <= 255 for part in colour):
            raise UserError(f"{path}: ignore has the colour {list(colour)}; write three whole numbers of 0 to 255")
    ids = [entry for entry in given if not isinstance(entry, list)]
    _check_ids(path, "ignore", ids)
    if both := sorted(set(ids) & set(names)):
        raise UserError(f"{path}: the ids {both} are in names and in ignore; remove them from one")
    return (None if colours and not ids else ids), colours
