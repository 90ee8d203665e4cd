"""Images of `train` held out for validation, decided by a hash: the same ones on every machine, and written nowhere.

Each name has a number of 0 to 1 by its hash, and what is below a border is held out. The border is the share that is
asked for, moved no more than brings the count within one of it; a run's recipe keeps it, so that images that are added
later move none from one side to the other. Images that look alike are as one, by the first of them. Videos, scenes and
patients stay whole: they are few and large, so there the hash only gives the order in which they are tried, and the
recipe keeps which were taken.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ..errors import UserError
from ..images import Bands
from .duplicates import Look, group_alike
from .reading import AUTO, SHARE
from .samples import Dataset, Sample


def make_splits(dataset: Dataset) -> Dataset:
    """Set some of "train" aside as "val" where there is none, as `dataset.reading` says.

    A data set that has "val", or fewer than two images of "train", stays as it is. Where there is no "train" but
    "trainval", this is divided.

    Raises:
        UserError: its groups cannot be made.
    """
    splits = dict(dataset.splits)
    if "trainval" in splits and not splits.get("train") and not splits.get("val"):
        others = {name: of for name, of in splits.items() if name not in ("train", "trainval")}
        splits = {"train": splits["trainval"], **others}
    train = splits.get("train", ())
    reading = dataset.reading
    if splits.get("val") and (reading.group is not None or reading.val != SHARE):
        note = "the data set has the split 'val', so that val= and group= divide nothing"
        return replace(dataset, notes=(*dataset.notes, note))
    if splits.get("val") or len(train) < 2 or reading.val == 0:
        return dataset
    alike = reading.group == AUTO
    names = heads_of(train, dataset.bands) if alike else [sample.name for sample in train]
    groups = None if alike else find_groups(names, reading.group, dataset.groups)
    held_out = reading.held_out
    if groups is None:
        border = held_out if isinstance(held_out, float) else find_border(sorted(set(names)), reading.val)
        held = [name in held_out for name in names] if isinstance(held_out, tuple) else below(names, border)
        held_out = held_out or border
        how = f"; {len(names) - len(set(names))} that look like another are on its side" if alike else ""
    else:
        if not isinstance(held_out, tuple):
            held_out = tuple(sorted(choose_groups(groups, reading.val)))
        held = [group in held_out for group in groups]
        how = f", whole groups of {len(set(groups))}"
    parts = {
        "train": [sample for sample, out in zip(train, held, strict=True) if not out],
        "val": [sample for sample, out in zip(train, held, strict=True) if out],
    }
    note = f"no val split: {sum(held)} of {len(held)} images are held out for it, by a hash of their names{how}"
    others = {name: of for name, of in splits.items() if name not in parts}
    return replace(
        dataset, splits={**parts, **others}, notes=(*dataset.notes, note), reading=replace(reading, held_out=held_out)
    )


def heads_of(samples: Sequence[Sample], bands: Bands) -> list[str]:
    """The name of the first image that looks like each one, see `group_alike`; every image is decoded.

    Raises:
        UserError: an image cannot be read.
    """
    with ThreadPoolExecutor(max_workers=4) as pool:
        looks = list(pool.map(lambda sample: Look.of(bands.to_rgb(sample.read_image())), samples))
    return [samples[head].name for head in group_alike(looks)]


def find_groups(names: Sequence[str], pattern: str | None, known: Mapping[str, str]) -> list[str] | None:
    """The group of each image, by a regular expression or else as it is known; None where none is.

    Raises:
        UserError: `pattern` is no regular expression, or does not match every name.
    """
    if pattern is not None:
        return group_names(names, pattern)
    groups = [known.get(name, name) for name in names]
    return groups if known and len(set(groups)) > 1 else None


def find_border(names: Sequence[str], share: float) -> float:
    """The number below which the hashes of about `share` of the names are, within one of it; some are, and not all."""
    numbers = sorted(number(name) for name in names)
    wanted = min(max(share * len(names), 1), len(names) - 1)
    least, most = max(1, math.ceil(wanted - 1)), min(len(names) - 1, math.floor(wanted + 1))
    count = min(max(sum(one < share for one in numbers), least), most)
    before, after = numbers[count - 1], numbers[count]
    return share if before < share <= after else (before + after) / 2


def below(names: Sequence[str], border: float) -> list[bool]:
    """Which names have a hash below a border."""
    return [number(name) < border for name in names]


def choose_groups(groups: Sequence[str], share: float) -> set[str]:
    """The groups to hold out; the same names are always divided alike.

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
            " validation; group them by something finer, or hold none out (val=0)"
        )
    order = sorted(sizes, key=number)
    wanted, count = share * len(groups), 0
    held = set[str]()
    for group in order[:-1]:  # the last stays, whatever the share
        if abs(count + sizes[group] - wanted) < abs(count - wanted):
            held.add(group)
            count += sizes[group]
    return held or {min(order, key=lambda group: sizes[group])}


def group_names(names: Sequence[str], pattern: str) -> list[str]:
    """The group of each image: what the first parenthesis of `pattern` matches in its name, or all it matches.

    Raises:
        UserError: `pattern` is no regular expression, or does not match every name.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f'group="{pattern}" is no regular expression: {error}; for example "^[^_]+"') from None
    matches = [expression.search(name) for name in names]
    groups = [None if match is None else match[1 if expression.groups else 0] for match in matches]
    without = [name for name, group in zip(names, groups, strict=True) if not group]
    if without:
        raise UserError(
            f"group=\"{pattern}\" finds no group in {len(without)} of {len(names)} names, such as '{without[0]}'; write"
            " an expression that fits all of them"
        )
    return [group for group in groups if group]


def number(name: str) -> float:
    """0 … 1, evenly spread over names, the same for one name everywhere and always."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
