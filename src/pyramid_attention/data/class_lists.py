"""Files that list the classes of a data set: names, and often the id or the colour of each.

classes.json, label_list.json, id2label.json    a list of names or of objects, or names by id, ids or colours by name
class_names.txt, labels.txt, obj.names, codes.txt   a name a line, alone, behind its id, or beside its colour
class_dict.csv, label_colors.csv                a column of names, and columns of ids or of red, green and blue
classes.yaml, data.yaml                         as JSON, or below `names`
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..classes import Colour
from ..errors import UserError
from .small_files import read_json, read_lines, read_table, read_yaml
from .tree import Tree, suffix_of

NAME = re.compile(
    r"(.*[_-])?(class(es)?|labels?|categor(y|ies)|codes|id2label|label2id|colou?rs?|palette|colou?rmap|legend)"
    r"([_-]?(names?|list|dict|map|id|ids|info|set|colou?rs?))*|.*\.names",
    re.IGNORECASE,
)
"""What such a file is called, without its suffix."""
SUFFIXES = (".json", ".txt", ".names", ".csv", ".yaml", ".yml")
_COLOUR = r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})"


class Listed(NamedTuple):
    """A class that a file lists; `id` and `colour` are None where it does not say."""

    name: str
    id: int | None = None
    colour: Colour | None = None


class ClassList(NamedTuple):
    """What a file lists."""

    path: Path
    classes: list[Listed]


def find_class_lists(tree: Tree, near: str) -> list[ClassList]:
    """The class lists of a tree, those nearest to the folder `near` first; what cannot be understood is passed over."""
    files = [f for f in tree.below("", SUFFIXES) if NAME.fullmatch(PurePosixPath(f).stem) or suffix_of(f) == ".names"]
    found = []
    for file in sorted(files, key=lambda file: (_steps(file.rpartition("/")[0], near), file)):
        try:
            classes = list(dict.fromkeys(_classes(tree.path(file))))
        except UserError:
            continue
        if 1 < len(classes) <= 300 and len({listed.name for listed in classes}) == len(classes):
            found.append(ClassList(tree.path(file), classes))
    return found


def _steps(folder: str, other: str) -> int:
    """How many folders lie between two."""
    ours, theirs = folder.split("/") if folder else [], other.split("/") if other else []
    shared = 0
    while shared < min(len(ours), len(theirs)) and ours[shared] == theirs[shared]:
        shared += 1
    return len(ours) + len(theirs) - 2 * shared


def _classes(path: Path) -> Iterator[Listed]:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        yield from _of_table(path)
    elif suffix in (".json", ".yaml", ".yml"):
        yield from _of_data(read_json(path) if suffix == ".json" else read_yaml(path, "names: [cat, dog]"))
    else:
        for line in read_lines(path):
            if not line.startswith("#") and (listed := _of_line(line)) is not None:
                yield listed


def _of_line(line: str) -> Listed | None:
    """A name; or one with its colour before or behind it, or behind its id."""
    line = line.strip().rstrip(",;").strip("\"'")
    if (match := re.fullmatch(rf"(.+?)\s*[:\s,;]\s*{_COLOUR}\s*:?.*", line)) and not match[1].strip().isdecimal():
        return Listed(match[1].strip(), None, _rgb(match.groups()[1:]))
    if match := re.fullmatch(rf"{_COLOUR}[\s,;:]+(.+)", line):
        return Listed(match[4].strip(), None, _rgb(match.groups()[:3]))
    if match := re.fullmatch(r"(\d{1,3})\s*[:=,;\s]\s*(\D.*)", line):
        return Listed(match[2].strip(), int(match[1]))
    if match := re.fullmatch(r"(.*\D)\s*[:=,;\s]\s*(\d{1,3})", line):
        return Listed(match[1].strip(" :=,;\t"), int(match[2]))
    return Listed(line) if re.search("[^\\W\\d]", line) else None


def _rgb(parts: Any) -> Colour:
    red, green, blue = (int(part) for part in parts)
    return red, green, blue


def _of_table(path: Path) -> Iterator[Listed]:
    headings, rows = read_table(path)

    def column(*names: str) -> int | None:
        return next((place for place, heading in enumerate(headings) if heading in names), None)

    name = column("name", "class", "class_name", "label", "classname", "category", "title")
    ids = column("id", "pixel value", "value", "class_id", "index", "label_id", "idx")
    channels = [column(initial, colour) for initial, colour in (("r", "red"), ("g", "green"), ("b", "blue"))]
    if name is None:
        return
    for row in rows:
        given = [None if place is None or place >= len(row) else row[place] for place in (ids, *channels)]
        numbers = [int(text) if text is not None and text.isdecimal() else None for text in given]
        colour = None if None in numbers[1:] else _rgb(numbers[1:])
        if name < len(row) and row[name]:
            yield Listed(row[name], numbers[0], colour)


def _of_data(data: Any) -> Iterator[Listed]:
    """The classes in data of JSON or YAML."""
    if isinstance(data, dict):
        inner = next(
            (data[key] for key in ("names", "classes", "labels", "categories", "class_names") if key in data), None
        )
        if isinstance(inner, list | dict):
            yield from _of_data(inner)
            return
        for key, value in data.items():
            if isinstance(value, str) and str(key).isdecimal():
                yield Listed(value, int(key))
            elif _colour(value) is not None:
                yield Listed(str(key), None, _colour(value))
            elif type(value) is int:
                yield Listed(str(key), value)
    elif isinstance(data, list):
        for entry in data:
            if isinstance(entry, str):
                yield Listed(entry)
            elif isinstance(entry, dict):
                name = next((entry[key] for key in ("name", "title", "label", "readable") if key in entry), None)
                number = next((entry[key] for key in ("id", "value", "index") if type(entry.get(key)) is int), None)
                colour = next((entry[key] for key in ("color", "colour", "rgb") if key in entry), None)
                if isinstance(name, str):
                    yield Listed(name, number, _colour(colour))


def _colour(value: Any) -> Colour | None:
    """A colour given as "#RRGGBB" or as three numbers."""
    if isinstance(value, str) and re.fullmatch("#?[0-9a-fA-F]{6}", value):
        number = int(value.lstrip("#"), 16)
        return number >> 16, number >> 8 & 255, number & 255
    if isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value):
        return _rgb(value)
    return None
