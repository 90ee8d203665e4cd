"""Images and masks of one's own in folders, in any arrangement: found by looking (`finding`), or by given patterns.

Folders of splits, or lists (train.txt, val.txt, …), tell the splits; without either all images are `train`. What the
masks mean is found by reading them all (`meaning`), unless `dataset.yaml` or a recipe says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ....errors import NoPairs, UserError
from ...assembly import assemble
from ...class_lists import find_class_lists
from ...finding import Finder, Found
from ...pairing import UNSPLIT, Pair, Report, match_patterns
from ...patterns import Pattern, is_pattern
from ...reading import FOUND, Reading
from ...samples import Dataset
from ...settings import read_settings
from ...split_lists import find_lists, split_by_lists, split_by_table
from ...split_names import WORD, split_name
from ...tree import Tree, collector_paused

LAYOUT = "images and masks in folders, such as images/train/a.jpg with masks/train/a.png"


def detect(tree: Tree) -> bool:
    """Whether there is an image: what else there is, `read` finds or says what is lacking."""
    return bool(tree.images())


def read(tree: Tree, reading: Reading = FOUND) -> Dataset:
    """Read a folder.

    Few files are opened to find images and masks, none where names tell; then all masks to find what they mean, none
    where that is known.

    Raises:
        UserError: images and masks are not found or could be found in two ways; the patterns match nothing; the masks'
            values are no classes; `dataset.yaml` or a list cannot be understood.
    """
    settings = read_settings(tree.root / "dataset.yaml")
    report = Report(tree.loop_notes())
    with collector_paused():
        found = _found(tree, reading.images or settings.images, reading.masks or settings.masks)
        images, masks = Pattern.parse(found.images, "images"), Pattern.parse(found.masks, "masks")
        pairs = match_patterns(tree, images, masks, report)
    if not any(pairs.values()):
        said = report.problems or [f"{tree.root}: no image has a mask by {found}; {' '.join(report.notes)}"]
        raise NoPairs(said[0])
    if "annotator" in masks.names:  # who is no class
        count = 1 if reading.annotators == "first" else None
        pairs = {
            split: [pair._replace(masks=pair.masks[:count], labels=()) for pair in of] for split, of in pairs.items()
        }
    report.notes[:0] = found.notes
    report.problems += found.problems
    reading = replace(reading, images=found.images, masks=found.masks)
    first = next(pair.mask for of in pairs.values() for pair in of)
    lists = find_class_lists(tree, first.relative_to(tree.root).parent.as_posix().removeprefix("."))
    splits = _splits(tree, pairs, report)
    objects = masks.has_many and "class" not in masks.names
    return assemble("folder", tree.root, splits, reading, settings, lists, report, objects)


def _found(tree: Tree, images: str | None, masks: str | None) -> Found:
    """The patterns, given or found."""
    if images is not None and masks is not None and is_pattern(images) and is_pattern(masks):
        return Found(images, masks)
    return Finder(tree, images, masks).choose()


def _splits(tree: Tree, pairs: dict[str, list[Pair]], report: Report) -> dict[str, list[Pair]]:
    """The pairs by split; those in none by the lists that name them, or by the names of the images."""
    loose = pairs.pop(UNSPLIT, [])
    if not loose:
        return pairs
    if lists := _lists(tree, loose):
        return {**pairs, **split_by_lists(loose, lists, report)}
    if table := split_by_table(tree, loose, report):
        return {**pairs, **table}
    named = [WORD.findall(Path(pair.name).name) for pair in loose]
    splits = [split_name(words[0]) if len(words) == 1 else "" for words in named]
    if "" not in splits and "train" in splits and len(set(splits)) > 1:
        report.notes.append(f"the names of the images tell the splits {', '.join(sorted(set(splits)))}")
    else:
        splits = ["train"] * len(loose)
    for split, pair in zip(splits, loose, strict=True):
        pairs.setdefault(split, []).append(pair)
    return pairs


def _lists(tree: Tree, pairs: list[Pair]) -> Mapping[str, Path]:
    """The lists of splits: those beside the folders, or else the first below whose lines name images."""
    if lists := find_lists(tree):
        return lists
    for folder in sorted(
        {file.rpartition("/")[0] for file in tree.below("", {".txt"})} - {""}, key=lambda f: (f.count("/"), f)
    ):
        lists = find_lists(tree, folder)
        if lists and _name_images(lists, pairs):
            return lists
    return {}


def _name_images(lists: Mapping[str, Path], pairs: list[Pair]) -> bool:
    try:
        return any(split_by_lists(pairs, lists, Report()).values())
    except UserError:
        return False
