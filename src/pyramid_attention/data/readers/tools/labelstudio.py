"""Label Studio's exports: JSON with brushes, polygons, rectangles and ellipses; or PNGs of its brushes.

    export.json                                 a list of tasks: {"id": 12, "data": {"image": "…/1a2b3c4d-a.jpg"}, …}
    images/a.jpg                                anywhere below; an image is found by its name, with or without the 8
                                                letters and "-" that an upload gets
    task-12-annotation-3-by-1-tag-cat-0.png     "Brush labels to PNG"; the JSON beside it tells the image of each task

The classes are the sorted labels; class 0 is the background, later regions are drawn over earlier ones. Of several
annotations of a task the first counts that was not cancelled; ellipses that are turned are left out, with a note.

Format: https://labelstud.io/guide/export and label-studio-converter's brush.py.
"""

from __future__ import annotations

import re
from collections import Counter
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from ....errors import UserError
from ...annotated import Annotated, Annotations, Named
from ...outlines import Shape, Stamp, as_points, declared_size
from ...run_lengths import unpack
from ...samples import Dataset
from ...small_files import read_json
from ...tree import Tree, stem

LAYOUT = "a JSON export of Label Studio, a list of tasks with data and annotations, and the images"
PAINTED = re.compile(r"(?:.*/)?task-(\d+)-annotation-(\d+)-by-.*?-tag-(.+?)-(\d+)\.png")
UPLOAD = re.compile(r"[0-9a-f]{8}-")
CORNERS = 64
"""Corners of the polygon that stands for an ellipse."""


def detect(tree: Tree) -> bool:
    """Whether a JSON file in the folder begins as a list of Label Studio's tasks."""
    return _export(tree) is not None


def _export(tree: Tree) -> str | None:
    for name in tree.names():
        if name.lower().endswith(".json"):
            with open(tree.path(name), "rb") as file:
                head = file.read(1 << 16).lstrip()
            if head.startswith(b"[") and b'"annotations"' in head and b'"data"' in head:
                return name
    return None


def read(tree: Tree) -> Dataset:
    """Read the export; no image is opened."""
    export = _export(tree)
    tasks = read_json(tree.path(export)) if export is not None else None
    if not isinstance(tasks, list):
        raise UserError(f"{tree.root} holds no export of Label Studio; expected {LAYOUT}")
    images = {PurePosixPath(file).name: file for file in reversed(tree.images()) if not PAINTED.fullmatch(file)}
    painted: dict[int, list[tuple[int, str, str]]] = {}
    for file in tree.images():
        if match := PAINTED.fullmatch(file):
            painted.setdefault(int(match[1]), []).append((int(match[2]), match[3], file))
    found, left_out = Annotations(), Counter[str]()
    annotated: list[Annotated] = []
    absent, bare = [], []
    for task in (entry for entry in tasks if isinstance(entry, dict)):
        said = [PurePosixPath(str(v).replace("\\", "/")).name for v in (task.get("data") or {}).values()]
        names = [name for one in said for name in (one, UPLOAD.sub("", one, count=1)) if name in images]
        if not names:
            absent.append(f"task {task.get('id')}")
            continue
        drawn = [one for one in task.get("annotations") or () if one.get("result") and not one.get("was_cancelled")]
        brushes = sorted(painted.get(task.get("id", -1), ()))
        if not drawn and not brushes:
            bare.append(names[0])
            continue
        file = images[names[0]]
        regions, size = [], None
        for number, entry in enumerate(drawn[0]["result"] if drawn and not brushes else ()):
            try:
                regions += _regions(entry, left_out)
                size = declared_size(entry.get("original_height"), entry.get("original_width")) or size
            except (ValueError, KeyError, TypeError) as error:
                reason = error if type(error) is ValueError else f"cannot be understood ({error!r})"
                found.problems.append(f"{tree.path(export or '')}: region {number} of {file} {reason}; export it again")
        first = [one for one in brushes if one[0] == brushes[0][0]]
        regions += [Named(tag, Stamp(0, 0, 0, tree.path(png).read_bytes())) for _, tag, png in first]
        annotated.append(Annotated(stem(file), tree.path(file), tree.path(export or ""), size, regions))
    found.left_out(absent, len(tasks), f"of {tree.path(export or '')} are not below {tree.root}")
    found.left_out(bare, len(tasks), f"of {tree.path(export or '')} have no annotation")
    found.notes += [f"{count} regions of the type {kind} are left out" for kind, count in sorted(left_out.items())]
    annotated.sort(key=lambda one: one.name)
    return found.finish("labelstudio", tree, {"train": annotated}, None, str(tree.path(export or "")), LAYOUT)


def _regions(entry: dict[str, Any], left_out: Counter[str]) -> list[Named]:
    """The regions that a result stands for: none for choices and texts, and for kinds that are left out."""
    kind, value = str(entry.get("type", "")), entry.get("value")
    if not isinstance(value, dict) or not (names := value.get(kind)) or not kind.endswith("labels"):
        return []
    height, width = entry["original_height"], entry["original_width"]
    region: Shape | Stamp
    if kind == "brushlabels":
        alpha = unpack(value["rle"]).reshape(height, width, 4)[:, :, 3]
        file = BytesIO()
        Image.fromarray((alpha > 0).astype(np.uint8) * 255).save(file, "PNG")
        region = Stamp(0, 0, 0, file.getvalue())
    elif kind == "polygonlabels":
        region = Shape(0, as_points(value["points"]) * (width / 100, height / 100))
    elif kind in ("rectanglelabels", "ellipselabels") and not value.get("rotation"):
        x, y = value["x"] * width / 100, value["y"] * height / 100
        if kind == "rectanglelabels":
            far = x + value["width"] * width / 100, y + value["height"] * height / 100
            region = Shape(0, as_points([(x, y), far], 2), "rectangle")
        else:
            turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
            radii = value["radiusX"] * width / 100, value["radiusY"] * height / 100
            region = Shape(0, as_points(np.stack([x + radii[0] * np.cos(turn), y + radii[1] * np.sin(turn)], axis=1)))
    else:
        left_out[kind] += 1
        return []
    return [Named(str(name), region) for name in names[:1]]
