"""A manifest: a CSV file with the headings image,mask and, if wanted, split and group; paths are relative to it.

Rows of one image and several masks give it all of them: one an object each, united.
"""

from __future__ import annotations

from pathlib import Path

from ....errors import UserError
from ...assembly import assemble
from ...class_lists import find_class_lists
from ...pairing import Pair, Report
from ...reading import FOUND, Reading
from ...samples import Dataset
from ...settings import read_settings
from ...small_files import read_table
from ...split_names import split_name
from ...tree import Tree, few, stem

HEADINGS = ("image", "mask", "split", "group")


def read(path: Path, reading: Reading = FOUND) -> Dataset:
    """Read a manifest; masks are opened to find what they mean, unless `dataset.yaml` beside it or `reading` says so.

    Raises:
        UserError: the file is no such table, or no row has both of its files.
    """
    headings, rows = read_table(path)
    if "image" not in headings or "mask" not in headings:
        raise UserError(
            f"{path} begins with '{','.join(headings)}'; a manifest has the headings image,mask[,split][,group]"
        )
    places = {name: headings.index(name) for name in HEADINGS if name in headings}
    report = Report()
    pairs: dict[tuple[str, str], Pair] = {}
    absent: list[object] = []
    for number, row in enumerate(rows, 2):
        values = {name: row[place] if place < len(row) else "" for name, place in places.items()}
        if not values["image"] or not values["mask"]:
            absent.append(f"line {number}")
            continue
        image, mask = (path.parent / values[name].replace("\\", "/") for name in ("image", "mask"))
        if missing := [file for file in (image, mask) if not file.is_file()]:
            absent.append(missing[0])
            continue
        split = split_name(values.get("split") or "train")
        name = stem(values["image"].replace("\\", "/"))
        pair = pairs.setdefault((split, name), Pair(name, image, mask, (), (), values.get("group", "")))
        if pair.image != image:
            report.double(image.parent, pair.image.name, image.name)
        elif mask not in pair.masks:
            pairs[split, name] = pair._replace(masks=(*pair.masks, mask))
    if absent:
        report.notes.append(f"{len(absent)} of {len(rows)} rows of {path} lack a file and are left out ({few(absent)})")
    if not pairs:
        raise UserError(f"{path} names no image with a mask that is there{report.first()}")
    splits: dict[str, list[Pair]] = {}
    for (split, _), pair in sorted(pairs.items()):
        splits.setdefault(split, []).append(pair)
    settings = read_settings(path.with_name("dataset.yaml"))
    lists = find_class_lists(Tree.scan(path.parent), "")
    return assemble("manifest", path, splits, reading, settings, lists, report)
