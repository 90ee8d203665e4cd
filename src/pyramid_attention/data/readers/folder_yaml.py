"""`dataset.yaml`: what the values in the masks of the `folder` format mean, and which folders are meant.

names: [background, cat, dog]               # or, by id on disk, {0: background, 7: cat, 8: dog}
colours: [[0, 0, 0], [64, 0, 0], [64, 0, 128]]      # optional, given the same way as names
ignore: [255]                               # optional: ids that are void, or colours as [[255, 255, 255]]
images: rgb                                 # optional, both or neither: the folders, where their names do not tell
masks: semantic
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ...classes import IGNORE, ClassTable, Colour
from ...errors import UserError, nearest

FIELDS = ("names", "colours", "ignore", "images", "masks")


@dataclass(frozen=True)
class Settings:
    """What a `dataset.yaml` says.

    Attributes:
        path: the file.
        names, colours: by id on disk; None where it does not say.
        void: the ids that are void; None where it does not say (then it is 255, unless that is named).
        void_colours: the colours that are.
        folders: the names of the folders of images and of masks; None where it does not say.
    """

    path: Path
    names: dict[int, str] | None = None
    colours: dict[int, Colour] | None = None
    void: list[int] | None = None
    void_colours: list[Colour] = field(default_factory=list)
    folders: tuple[str, str] | None = None

    @property
    def void_ids(self) -> list[int]:
        """The ids that are void."""
        return [IGNORE] if self.void is None else self.void

    def class_table(self, names: dict[int, str]) -> ClassTable:
        """The classes in the order of their ids.

        Raises:
            UserError: the ids of names and colours differ, or they make no class table.
        """
        if self.colours is not None and set(self.colours) != set(names):
            raise UserError(
                f"{self.path}: names has the ids {sorted(names)}, colours {sorted(self.colours)}; give each class one"
                " of each"
            )
        order = sorted(names)
        colours = None if self.colours is None else [self.colours[i] for i in order]
        try:
            return ClassTable.of([names[i] for i in order], colours)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from None


def read_settings(path: Path) -> Settings:
    """Read a `dataset.yaml`; where there is none, nothing is said.

    Raises:
        UserError: it cannot be read or understood.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no text, or a date that is none
        raise UserError(f"{path} is not valid YAML ({error}); write as in: names: [background, cat, dog]") from error
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no fields; write for example: names: [background, cat, dog]")
    for name in data:
        if name not in FIELDS:
            raise UserError(f"{path} has an unknown field '{name}'.{nearest(str(name), FIELDS)}")

    names, colours = _by_id(path, "names", data.get("names")), _by_id(path, "colours", data.get("colours"))
    for i, name in (names or {}).items():
        if not isinstance(name, str):
            raise UserError(f"{path}: the name of class {i} is {name!r}, which YAML does not take as text; quote it")
    table = None if colours is None else {i: _colour(path, f"class {i}", colour) for i, colour in colours.items()}
    void, void_colours = _void(path, data.get("ignore"), names or {})
    return Settings(path, names, table, void, void_colours, _folders(path, data.get("images"), data.get("masks")))


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


def _folders(path: Path, images: Any, masks: Any) -> tuple[str, str] | None:
    if images is None and masks is None:
        return None
    for name in (images, masks):
        if not isinstance(name, str) or not name:
            raise UserError(f"{path}: images and masks name one folder each, as in images: rgb, masks: semantic")
    return images, masks
