"""Images of `train` held out for validation: the same ones on every machine, and remembered beside the data.

The hash of its name decides for each image alone, so that images that are added later move no others from one
split to the other. What was decided is remembered in `splits.json`, which may be edited:

    {"train": ["a", "b", "x/c", …], "val": ["d", …]}

Frames of one video must stay together. Videos are few and long, so there the hash only gives the order in which they
are tried, and the share decides.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import UserError
from ..files import write_json
from .samples import Dataset

SHARE = 0.2
"""What is held out where nothing else is asked for."""
FILE = "splits.json"


def make_splits(dataset: Dataset) -> Dataset:
    """Set about a fifth of the images aside as "val" where "train" is the only split, and remember which.

    Images that `splits.json` names go where it says; the others are decided by hash and added to it. A data set
    with other splits, or with fewer than two images, stays as it is.

    Raises:
        UserError: `splits.json` is there and cannot be read or understood.
    """
    if list(dataset.splits) != ["train"] or len(dataset.splits["train"]) < 2:
        return dataset
    samples = dataset.splits["train"]
    before = remembered(dataset.root)
    held = hold_out([sample.name for sample in samples], SHARE, before)
    places = before | {sample.name: _split(out) for sample, out in zip(samples, held, strict=True)}
    where = ""
    if dataset.root is not None:
        file = dataset.root / FILE
        where = f", see {file}"
        try:
            if places != before and not dataset.problems:  # which may hide a split
                write_json(file, {split: sorted(n for n in places if places[n] == split) for split in ("train", "val")})
        except UserError as error:
            where = f"; they are not remembered ({error}) but told by a hash of the names, which is the same every time"
    notes = [f"no val split: {sum(held)} of {len(held)} images were set aside{where}"]
    known = {sample.name for sample in samples}
    if unknown := [name for name in before if name not in known]:
        some = ", ".join(unknown[:3]) + (", …" if len(unknown) > 3 else "")
        notes.append(f"{len(unknown)} names in {FILE} are of no image and count for nothing ({some})")
    splits = {split: [s for s in samples if places[s.name] == split] for split in ("train", "val")}
    return replace(dataset, splits=splits, notes=(*dataset.notes, *notes))


def remembered(root: Path | None) -> dict[str, str]:
    """The split of each image that the `splits.json` of a data set names; none where there is no such file.

    Raises:
        UserError: the file cannot be read or understood.
    """
    if root is None:
        return {}
    file = root / FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))  # editors on Windows begin with a byte order mark
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not valid JSON ({error}); correct it, or remove it to make new splits") from error
    lists = list(data.values()) if isinstance(data, dict) and set(data) == {"train", "val"} else [None]
    if not all(isinstance(listed, list) and all(isinstance(name, str) for name in listed) for listed in lists):
        raise UserError(
            f'{file} does not hold two lists of names, {{"train": [...], "val": [...]}}; correct it, or remove it to'
            " make new splits"
        )
    if both := sorted(set(data["train"]) & set(data["val"])):
        raise UserError(f"{file} has {both[0]} in train and in val; remove it from one")
    return {name: split for split, listed in data.items() for name in listed}


def hold_out(names: Sequence[str], share: float, before: Mapping[str, str]) -> list[bool]:
    """Which images to hold out: about `share` of them, each as `before` has it or else by the hash of its name.

    At least one is held out and one is not: where all fall on one side, the nearest to the border changes over.

    Args:
        names: of two images or more.
        share: 0 to 1.
        before: the splits of images that are decided, "train" or "val".
    """
    held = [before.get(name, _split(_number(name) < share)) == "val" for name in names]
    if not any(held) or all(held):
        nearest = min(names, key=_number) if not any(held) else max(names, key=_number)
        held[names.index(nearest)] = not held[0]
    return held


def hold_out_groups(groups: Sequence[str], share: float) -> list[bool]:
    """Which images to hold out in whole groups; the same names are always divided alike.

    In the order of the hash of their names, each group is taken that brings the count nearer to the share; where none
    does, for all are large, the smallest is. At least one group is held out and one is not.

    Args:
        groups: the group of each image.
        share: of the images, 0 to 1, both excluded.

    Raises:
        UserError: there is a single group.
    """
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise UserError(
            f"all {len(groups)} images are in one group ('{groups[0]}'), so that none can be held out for"
            " validation; group them by something finer, or give --val 0"
        )
    order = sorted(sizes, key=_number)
    wanted, count = share * len(groups), 0
    held = set[str]()
    for group in order[:-1]:  # the last stays, whatever the share
        if abs(count + sizes[group] - wanted) < abs(count - wanted):
            held.add(group)
            count += sizes[group]
    held = held or {min(order, key=lambda group: sizes[group])}
    return [group in held for group in groups]


def group_names(names: Sequence[str], pattern: str) -> list[str]:
    """The group of each image: what the first parenthesis of `pattern` matches in its name, or all it matches.

    Raises:
        UserError: `pattern` is no regular expression, or does not match every name.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--group '{pattern}' is no regular expression: {error}; for example '^[^_]+'") from None
    matches = [expression.search(name) for name in names]
    groups = [None if match is None else match[1 if expression.groups else 0] for match in matches]
    without = [name for name, group in zip(names, groups, strict=True) if not group]
    if without:
        raise UserError(
            f"--group '{pattern}' finds no group in {len(without)} of {len(names)} names, such as '{without[0]}'; write"
            " an expression that fits all of them"
        )
    return [group for group in groups if group]


def _split(held: bool) -> str:
    return "val" if held else "train"


def _number(name: str) -> float:
    """0 … 1, evenly spread over names, the same for one name everywhere and always."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
