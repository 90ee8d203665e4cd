"""Hypotheses of which files are images and which their masks: families of files whose names match.

The stems of two families match as they are, or without what all of one begin or end with ("_mask", "_leftImg8bit",
"image_"); or the folder of a mask is named for its image; or one folder holds an image and its masks.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

from .families import VARIABLE, Entry, Family, role
from .pairing import without_zeros
from .split_names import split_name

Key = tuple[str, ...]
_WORDED = re.compile(r"[^/{}_ .-]+(?![^{]*\})")
"""The parts of a pattern that are no placeholders."""
_WORD_LAST = re.compile(r"[A-Za-z][^ _.-]*$")
"""What ends in a word; what ends in a number tells one image from another."""


# Families whose names match


@dataclass(frozen=True, eq=False)
class Variant:
    """Files of a family whose stems begin and end alike; the core between may be what an image and its mask share.

    Attributes:
        numbered: whether a number may follow the ending, as in a_mask_1.
        files: each with its core.
        keyed: the files by what they are matched by, kept for the next hypothesis.
    """

    family: Family
    before: str
    after: str
    numbered: bool
    files: list[tuple[Entry, str]]
    keyed: dict[Any, dict[Key, list[str]]] = field(default_factory=dict, repr=False)

    @property
    def length(self) -> int:
        """How much is cut off the stems; the plainest variant is the one with the least."""
        return len(self.before) + len(self.after) + self.numbered

    def text(self, folders: Sequence[str], core: str) -> str:
        """The pattern of the files, with `folders` for what varies in the folders' names, and `core`."""
        names = iter(folders)
        parts = [part.replace(VARIABLE, next(names)) if VARIABLE in part else part for part in self.family.folder]
        suffixes = set(self.family.suffixes)
        if len(suffixes) > 1:
            suffixes = {os.path.splitext(entry.file)[1] for entry, _ in self.files}
        suffix = suffixes.pop() if len(suffixes) == 1 else ".*"
        return "/".join([*parts, f"{self.before}{core}{self.after}{'*' if self.numbered else ''}{suffix}"])


def variants(family: Family) -> list[Variant]:
    """The ways to see a family's stems, the plainest first."""
    entries = family.entries
    found = [Variant(family, "", "", False, [(entry, entry.stem) for entry in entries])]
    sample = [entry.stem for entry in entries[:: -(-len(entries) // 1000)]]
    least = 1 if len(sample) < 3 else max(2, len(sample) // 20)
    endings = _frequent((end for stem in sample for end in _endings(stem)), least)
    beginnings = _frequent((start for stem in sample for start in _beginnings(stem)), least)
    for after in endings:
        ended = re.compile(rf"(.+?){re.escape(after)}([ _-]?\(?\d+\)?)?", re.DOTALL)
        cut = [(entry, match) for entry in entries if (match := ended.fullmatch(entry.stem)) is not None]
        plain = [(entry, match[1]) for entry, match in cut if match[2] is None]
        found.append(Variant(family, "", after, False, plain))
        longer = tuple(other for other in endings if other.endswith(after) and other != after)
        if (
            longer
            and (alone := [(e, core) for e, core in plain if not e.stem.endswith(longer)])
            and len(alone) < len(plain)
        ):
            found.append(Variant(family, "", after, False, alone))
        if len(plain) < len(cut):
            found.append(Variant(family, "", after, True, [(entry, match[1]) for entry, match in cut]))
    for before in beginnings:
        started = [
            (e, e.stem[len(before) :]) for e in entries if e.stem.startswith(before) and len(e.stem) > len(before)
        ]
        found.append(Variant(family, before, "", False, started))
        found += [
            Variant(family, before, after, False, [(e, c.removesuffix(after)) for e, c in started if c.endswith(after)])
            for after in endings
        ]
    stems = {entry.stem for entry in entries}
    constant = [name for name in stems if _WORD_LAST.search(name)]
    derived = {id(e) for v in found[1:] for e, core in v.files if core in stems}
    if 0 < len(derived) < len(entries):
        found.append(Variant(family, "", "", False, [(e, e.stem) for e in entries if id(e) not in derived]))
    if any(entry.parts for entry in entries) and len(constant) < min(9, len(entries)):
        found += [Variant(family, name, "", False, [(e, "") for e in entries if e.stem == name]) for name in constant]
    return sorted((variant for variant in found if variant.files), key=lambda variant: variant.length)


def _frequent(texts: Iterator[str], least: int) -> list[str]:
    counts = Counter(texts)
    kept = [text for text, count in counts.items() if count >= least or role(text)]
    return sorted(kept, key=lambda text: (-counts[text], len(text)))[:10]


def _endings(stem: str) -> Iterator[str]:
    """What a stem may end in beside its core, a number behind that left out: "_mask" of a_mask_1."""
    plain = re.sub(r"[ _-]?\(?\d+\)?$", "", stem)
    for text in dict.fromkeys((stem, plain)):
        starts = [match.start() for match in re.finditer(r"(?<=[^ _.-])[ _.-]|(?<=\d)(?=[A-Za-z])", text)]
        yield from (text[start:] for start in starts[-3:] if _WORD_LAST.search(text[start:]))


def _beginnings(stem: str) -> Iterator[str]:
    """What a stem may begin with beside its core."""
    ends = [match.end() for match in re.finditer(r"[ _.-](?=[^ _.-])|(?<=[A-Za-z])(?=\d)", stem)]
    yield from (stem[:end] for end in ends[:2] if re.search("[A-Za-z]", stem[:end]))


@dataclass(frozen=True)
class Way:
    """By what the paths of images and masks are matched.

    Attributes:
        of_image, of_mask: what both share, of an entry and its core.
        many: whether an image may have several masks.
    """

    name: str
    of_image: Callable[[Entry, str], Key]
    of_mask: Callable[[Entry, str], Key]
    many: bool = False


def _all_of(entry: Entry, core: str) -> Key:
    return (*entry.parts, core)


def _core(entry: Entry, core: str) -> Key:
    return (core,)


def _folders(entry: Entry, core: str) -> Key:
    return entry.parts


def _padded(entry: Entry, core: str) -> Key:
    return tuple(map(without_zeros, _all_of(entry, core)))


WAYS = (
    Way("alike", _all_of, _all_of),
    Way("padded", _padded, _padded),
    Way("core", _core, _core),
    Way("folder", _folders, _folders, many=True),
    Way("named folder", _all_of, _folders, many=True),
    Way("folder of one", _folders, _all_of),
)


def _fits(way: Way, images: Variant, masks: Variant) -> bool:
    """Whether the folders of two families can be matched in a way."""
    ours, theirs = len(images.files[0][0].parts), len(masks.files[0][0].parts)
    return {
        "alike": ours == theirs,
        "padded": ours == theirs,
        "core": ours != theirs,
        "folder": ours == theirs > 0 and (images.length, masks.length) == (0, 0),
        "named folder": theirs == ours + 1 and masks.length == 0,
        "folder of one": ours == theirs + 1 and images.length == 0,
    }[way.name]


@dataclass(eq=False)
class Hypothesis:
    """That files of one variant are the images and those of another their masks.

    Attributes:
        matched: by key the image and its masks.
        images, masks: the patterns.
        score: the evidence.
    """

    image: Variant
    mask: Variant
    way: Way
    matched: dict[Key, tuple[str, list[str]]]
    images: str
    masks: str
    coverage: tuple[float, float]
    score: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether all files of both families are in it."""
        return all(len(of.files) == len(of.family.entries) for of in (self.image, self.mask))

    @cached_property
    def masks_of(self) -> dict[str, list[str]]:
        """The masks of each image."""
        return dict(self.matched.values())

    @cached_property
    def mask_files(self) -> frozenset[str]:
        """All masks."""
        return frozenset(mask for _, masks in self.matched.values() for mask in masks)

    def samples(self, count: int) -> list[tuple[str, list[str]]]:
        """A few images with their masks, evenly spaced."""
        pairs = list(self.matched.values())
        return pairs[:: -(-len(pairs) // count)]

    @cached_property
    def named(self) -> tuple[str, str]:
        """What the names that the two patterns do not share say of the images and of the masks, see `role`."""
        ours, theirs = (_WORDED.findall(os.path.splitext(text)[0]) for text in (self.images, self.masks))
        return role(" ".join(set(ours) - set(theirs))), role(" ".join(set(theirs) - set(ours)))

    @cached_property
    def is_named_for_images(self) -> bool:
        """Whether a folder of masks is called as that of the images and more, as left_gt beside left."""
        parts = zip(self.images.split("/")[:-1], self.masks.split("/")[:-1], strict=False)
        words = [(set(_WORDED.findall(ours)), set(_WORDED.findall(theirs))) for ours, theirs in parts]
        return any(ours and ours < theirs for ours, theirs in words)


def _keyed(variant: Variant, key: Callable[[Entry, str], Key], by_split: bool) -> dict[Key, list[str]]:
    if (key, by_split) not in variant.keyed:
        found: dict[Key, list[str]] = {}
        names = {entry.split: (split_name(entry.split),) if by_split else () for entry, _ in variant.files}
        for entry, core in variant.files:
            found.setdefault((*names[entry.split], *key(entry, core)), []).append(entry.file)
        variant.keyed[key, by_split] = found
    return variant.keyed[key, by_split]


def _match(images: Variant, masks: Variant, way: Way) -> Hypothesis | None:
    """The hypothesis that two variants make in a way; None where their names do not match."""
    if masks.numbered:
        way = replace(way, many=True)
    if images.numbered or not _fits(way, images, masks):
        return None
    by_split = all(variant.files[0][0].split for variant in (images, masks))
    of_masks = _keyed(masks, way.of_mask, by_split)
    of_images = _keyed(images, way.of_image, by_split)
    if way.name == "padded" and _keyed(images, _all_of, by_split).keys() & _keyed(masks, _all_of, by_split).keys():
        return None
    shared = [key for key in of_images if key in of_masks]
    single = [key for key in shared if len(of_images[key]) == 1 and (way.many or len(of_masks[key]) == 1)]
    if not shared or 2 * len(shared) < min(len(of_masks), len(of_images)) or len(single) < 0.9 * len(shared):
        return None
    matched = {key: (of_images[key][0], of_masks[key]) for key in single}
    tested = {key for key in of_images if not by_split or key[0] != "test" or key in of_masks}
    coverage = len(shared) / len(of_masks), len(shared) / max(1, len(tested))
    return Hypothesis(images, masks, way, matched, *_texts(images, masks, way), coverage)


def _texts(images: Variant, masks: Variant, way: Way) -> tuple[str, str]:
    """The patterns of a hypothesis."""
    if way.name == "named folder":
        folders = placeholders(images)
        return images.text(folders, "{id}"), masks.text([*folders, "{id}"], "*")
    if way.name == "folder of one":
        folders = placeholders(masks)
        return images.text([*folders, "{id}"], "*"), masks.text(folders, "{id}")
    folders = placeholders(images)
    constant = way.name == "alike" and not images.files[0][1]
    if way.name == "folder" or constant:
        own = all(entry.stem == entry.parts[-1] for entry, _ in images.files)
        stems = ("", "") if constant else ("{id}" if own else "*", "*")
        folders = [*folders[:-1], "{id}"]
        return images.text(folders, stems[0]), masks.text(folders, stems[1])
    if way.name == "core" and folders:  # the folders of masks are others
        return images.text(folders, "{id}"), masks.text(["*"] * len(masks.files[0][0].parts), "{id}")
    return images.text(folders, "{id}"), masks.text(folders or placeholders(masks), "{id}")


def placeholders(variant: Variant) -> list[str]:
    """A placeholder for each part of the folders that varies: a group where names are numbered and hold many files."""
    names: list[str] = []
    for place in range(len(variant.files[0][0].parts)):
        values = Counter(entry.parts[place] for entry, _ in variant.files)
        grouped = all(re.search(r"\d", value) for value in values) and 2 * len(values) <= len(variant.files)
        wanted = ("{group}", "{part}", "{part2}") if grouped else ("{part}", "{part2}", "{group}")
        names.append(next(name for name in wanted if name not in names))
    return names


def hypotheses(images: Sequence[Variant], masks: Sequence[Variant]) -> list[Hypothesis]:
    """The hypotheses that two families make, the plainest first; of those with the same files one."""
    found: list[Hypothesis] = []
    pairs = sorted(product(images, masks), key=lambda two: two[0].length + two[1].length)
    for image, mask in pairs:
        if image is mask:
            continue
        for way in WAYS:
            one = _match(image, mask, way)
            if one is None or one.mask_files & set(one.masks_of):
                continue
            twin = next((other for other in found if other.masks_of == one.masks_of), None)
            if twin is not None and twin.coverage >= one.coverage:
                continue
            found = [other for other in found if other is not twin] + [one]
            if min(one.coverage) > 0.9 and one.is_whole:
                return found
    return found
