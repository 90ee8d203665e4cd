"""A part of the samples held out for validation: always the same, and frames of one video never on both sides."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from ..errors import UserError


def group_names(names: Sequence[str], pattern: str) -> list[str]:
    """The group of each sample: what the first parenthesis of `pattern` matches in its name, or all that it matches.

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


def hold_out(groups: Sequence[str], share: float) -> list[bool]:
    """Which samples to hold out, in whole groups; the same names are always divided alike.

    In the order of a hash of their names, each group is taken that brings the count nearer to the share; where none
    does, for all are large, the smallest is. At least one group is held out and one is not.

    Args:
        groups: the group of each sample.
        share: of the samples, 0 to 1, both excluded.

    Raises:
        UserError: there is a single group.
    """
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise UserError(
            f"all {len(groups)} photographs are in one group ('{groups[0]}'), so that none can be held out for"
            " validation; group them by something finer, or give --val 0"
        )
    order = sorted(sizes, key=lambda group: hashlib.sha256(group.encode("utf-8", "surrogateescape")).digest())
    wanted, count = share * len(groups), 0
    held = set[str]()
    for group in order[:-1]:  # the last stays, whatever the share
        if abs(count + sizes[group] - wanted) < abs(count - wanted):
            held.add(group)
            count += sizes[group]
    held = held or {min(order, key=lambda group: sizes[group])}
    return [group in held for group in groups]
