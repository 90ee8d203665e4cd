"""A validation split for data that have none: made once, by a hash of each name, and remembered beside the data.

The hash decides for each photograph alone, so that photographs that are added later move no other from one split to the
other. What was decided is remembered in `splits.json`, which may be edited:

    {"train": ["a", "b", "x/c", …], "val": ["d", …]}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ...errors import UserError
from ...files import write_json
from ..samples import Dataset
from .disk import few

FILE = "splits.json"


def make_splits(dataset: Dataset, val_share: float = 0.2) -> Dataset:
    """Set about `val_share` of the photographs aside as "val" where "train" is the only split, and remember which.

    Photographs that `splits.json` names go where it says; the others are decided by hash and added to it. Each split
    gets at least one photograph. A data set with other splits, or with fewer than two photographs, stays as it is.

    Raises:
        UserError: `splits.json` is there and cannot be read or understood.
    """
    if list(dataset.splits) != ["train"] or len(dataset.splits["train"]) < 2:
        return dataset
    samples = dataset.splits["train"]
    file = None if dataset.root is None else dataset.root / FILE
    before = {} if file is None else _remembered(file)
    names = [sample.name for sample in samples]
    places = before | _decided([name for name in names if name not in before], val_share)
    used = {places[name] for name in names}
    if used == {"train"}:  # of few photographs: the nearest to the border changes over
        places[min(names, key=_number)] = "val"
    elif used == {"val"}:
        places[max(names, key=_number)] = "train"
    notes = list(dataset.notes)
    aside = sum(places[name] == "val" for name in names)
    where = "" if file is None else f", see {file}"
    if file is not None and places != before and not dataset.problems:  # which may hide a split
        try:
            write_json(file, {split: sorted(n for n in places if places[n] == split) for split in ("train", "val")})
        except UserError as error:
            where = f"; they are not remembered ({error}) but told by a hash of the names, which is the same every time"
    known = set(names)
    if unknown := [name for name in before if name not in known]:
        notes.append(f"{len(unknown)} names in {file} are of no photograph and count for nothing ({few(unknown)})")
    notes.append(f"no val split: {aside} of {len(names)} photographs were set aside{where}")
    splits = {split: [s for s in samples if places[s.name] == split] for split in ("train", "val")}
    return replace(dataset, splits=splits, notes=tuple(notes))


def _number(name: str) -> float:
    """0 … 1, evenly spread over names, the same for one name everywhere and always."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64


def _decided(names: Iterable[str], val_share: float) -> dict[str, str]:
    return {name: "val" if _number(name) < val_share else "train" for name in names}


def _remembered(file: Path) -> dict[str, str]:
    """The split of each photograph that a `splits.json` names; none where there is no such file."""
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))  # editors on Windows begin with a byte order mark
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not valid JSON ({error}); correct it, or remove it to make new splits") from error
    form = (
        f'{file} does not hold two lists of names, {{"train": [...], "val": [...]}}; correct it, or remove it to make'
    )
    if not isinstance(data, dict) or set(data) != {"train", "val"}:
        raise UserError(f"{form} new splits")
    for listed in data.values():
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise UserError(f"{form} new splits")
    if both := sorted(set(data["train"]) & set(data["val"])):
        raise UserError(f"{file} has {both[0]} in train and in val; remove it from one")
    return {name: split for split, listed in data.items() for name in listed}
