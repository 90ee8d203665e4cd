"""Which files of a folder are the images and which their masks, found by evidence.

What speaks for each of the `hypotheses` is added up: how many files match, what the names say, what a few files look
like. The best is taken where it is clearly ahead of every other that gives an image another mask; else none is, and the
two best are shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product, takewhile

from ..errors import UserError
from .agreement import Agreement, compare, is_constant
from .families import MANY, VARIABLE, Grouping
from .hypotheses import Hypothesis, hypotheses, placeholders, variants
from .looks import Look
from .pairing import Report
from .patterns import Pattern, is_pattern
from .tree import Tree, few, suffix_of

SAMPLES = 6
"""Pairs that are looked at for a hypothesis."""
LEAST = 3.0
"""With less evidence a hypothesis is none."""
AHEAD = 1.5
"""By so much one hypothesis is clearly ahead of another."""
CLASS_WORD = re.compile("class|category|categories|kind|type|defect", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """Patterns of images and masks, and what else is to be said."""

    images: str
    masks: str
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return _arguments(self.images, self.masks)


class Finder:
    """Finds the images and the masks of a tree.

    Args:
        tree: the folder.
        images, masks: patterns, or names of folders, that are given; None where they are to be found.
    """

    def __init__(self, tree: Tree, images: str | None = None, masks: str | None = None) -> None:
        self.tree = tree
        for name, folder in (("images", images), ("masks", masks)):
            if folder is not None and not is_pattern(folder) and not _holds(tree, folder):
                top = ", ".join(one for one in tree.folders if one and "/" not in one) or "none"
                raise UserError(
                    f'{tree.root} holds no folder {name}="{folder}" with files; it holds the folders: {top}'
                )
        self.grouping = Grouping(tree)
        matched = [
            one
            for one in self._matched()
            if _is_given(one.masks_of, one.images, images) and _is_given(one.mask_files, one.masks, masks)
        ]
        matched = [one for one in matched if not any(_is_plainer(other, one) for other in matched)]
        self.scores: dict[Hypothesis, float] = {}
        by_name = [one for one in matched if one.named in (("image", "mask"), ("", "mask"), ("image", ""))]
        named = max(by_name, key=lambda one: len(one.matched), default=None)
        if named is not None and all(_is_part(one, named) for one in matched):
            self.hypotheses = [named]  # there is nothing else to choose from, so that no file is opened
        else:
            most = max((len(one.matched) for one in matched), default=1)
            self.scores = {one: self._evidence(one) + len(one.matched) / most for one in matched}
            likely = [one for one in matched if self.scores[one] >= LEAST]
            self.hypotheses = sorted(
                likely, key=lambda one: (-self.scores[one], -len(one.matched), one.images, one.masks)
            )

    def _matched(self) -> Iterable[Hypothesis]:
        families = self.grouping.families
        of_family = [variants(family) for family in families]
        good = set()  # families that fit another well, and so are of one kind themselves
        pairs = sorted(product(range(len(families)), repeat=2), key=lambda pair: pair[0] == pair[1])
        for first, second in pairs:
            shared = first != second and not families[first].files.isdisjoint(families[second].files)
            if families[first].is_array or shared or (first == second and first in good):
                continue
            for one in hypotheses(of_family[first], of_family[second]):
                good |= {first, second} if min(one.coverage) > 0.9 and one.is_whole else set()
                yield one

    # Evidence

    def _looks(self, files: Iterable[str]) -> list[Look]:
        return [look for look in map(self.grouping.look, files) if look is not None]

    def _evidence(self, one: Hypothesis) -> float:
        """What speaks for a hypothesis, added up: about 10 where all of it does."""
        of_masks, of_images = one.coverage
        image_name, mask_name = one.named
        samples = one.samples(SAMPLES)
        images = self._looks(image for image, _ in samples)
        masks = self._looks(first for _, (first, *_) in samples)
        return (
            2 * of_masks
            + of_images
            + {"image": 1.5, "": 0.0, "mask": -3.0, "other": -3.0}[image_name]
            + {"mask": 1.5, "": 0.0, "image": -2.0, "other": -3.0}[mask_name]
            + _mean({"image": 2.0, "mask": -3.0, "blank": -1.0}[look.kind] for look in images)
            + _mean({"image": -3.0, "mask": 2.0, "blank": 0.0}[look.kind] for look in masks)
            - 4.0 * is_constant(masks)
            - 1.5 * (one.way.name == "core")
            + 1.5 * one.is_named_for_images
            - 0.5 * all(suffix_of(first) in (".jpg", ".jpeg") for _, (first, *_) in samples)
        )

    # Choice

    def choose(self) -> Found:
        """The reading that is clearly ahead.

        Raises:
            UserError: there is none, or two are too near to one another; with the lines to choose from.
        """
        if not self.hypotheses:
            raise self._unknown()
        if not self.scores:
            return self._by_class(self.hypotheses[0], [])
        found, problems = self._clearly_ahead(*self.hypotheses)
        return replace(found, problems=tuple(problems))

    def _clearly_ahead(self, best: Hypothesis, *others: Hypothesis) -> tuple[Found, list[str]]:
        related: dict[Agreement, list[Hypothesis]] = {}
        problems: list[str] = []
        for other in others:
            if not _contradict(best, other):
                continue
            if found := self._doubles(best, other):
                problems += found
                continue
            relation = self._relation(best, other)
            fewer = relation == "coarser" and other.masks_of.keys() < best.masks_of.keys()
            needed = {"other": AHEAD, "finer": 2 * AHEAD, "coarser": 0.0 if fewer else 2 * AHEAD}.get(relation, 0.0)
            if self.scores[best] - self.scores[other] < needed:
                raise _ambiguous(self.tree, best, other)
            related.setdefault(relation, []).append(other)
        if "same" in related:  # of ids and their colours the ids
            best = min([best, *related["same"]], key=lambda one: ("colo" in one.masks.lower(), -self.scores[one]))
        notes: list[str] = []
        if passed_over := [other.masks for kind in ("other", "coarser", "finer") for other in related.get(kind, ())]:
            kinds: tuple[Agreement, ...] = ("same", "classes", "annotators")
            read = {best.images, best.masks, *(other.masks for kind in kinds for other in related.get(kind, []))}
            if left := sorted({*passed_over} - read):
                notes.append(f"not read: {few(left)}")
        if "classes" in related:
            masks = _unite([best.masks, *(other.masks for other in related["classes"])], "{class}")
            if masks is None:
                raise _ambiguous(self.tree, best, related["classes"][0])
            return Found(best.images, masks, (*notes, "there is one file a class; the class is its name")), problems
        if "annotators" in related:
            first, *rest = sorted([best, *related["annotators"]], key=lambda one: one.masks)
            united = _unite([first.masks, *(one.masks for one in rest)], "{annotator}")
            how = f"; masks {united} and the annotators' majority would read all" if united else ""
            notes.append(f"of {len(rest) + 1} annotators the first is read{how}")
            return Found(first.images, first.masks, tuple(notes)), problems
        return self._by_class(best, notes), problems

    def _doubles(self, best: Hypothesis, other: Hypothesis) -> list[str]:
        """What is wrong where a few images have a second mask, or masks a second image of the same name."""
        shared = [
            image
            for image in other.masks_of
            if best.masks_of.get(image, other.masks_of[image]) != other.masks_of[image]
        ]
        if shared and 10 * len(other.masks_of) <= len(best.masks_of):
            names = {image: [self.tree.path(of.masks_of[image][0]) for of in (best, other)] for image in shared}
            return [
                f"{self.tree.path(image)} has two masks, {first} and {second}; remove one"
                for image, (first, second) in names.items()
            ]
        twins = {os.path.splitext(image)[0]: image for image in best.masks_of}
        pairs = [(twins.get(os.path.splitext(image)[0]), image) for image in other.masks_of]
        if other.mask_files <= best.mask_files and all(twin not in (None, image) for twin, image in pairs):
            report = Report()
            for twin, image in pairs:
                report.double(self.tree.path(image).parent, os.path.basename(str(twin)), os.path.basename(image))
            return report.problems
        return []

    def _relation(self, best: Hypothesis, other: Hypothesis) -> Agreement:
        """How the masks of two hypotheses differ on the images that they share."""
        shared = [image for image in best.masks_of if image in other.masks_of]
        pairs = []
        for image in shared[:: -(-len(shared) // SAMPLES) or 1]:
            looks = self._looks((best.masks_of[image][0], other.masks_of[image][0]))
            pairs += [(looks[0], looks[1])] if len(looks) == 2 else []
        constant = any(is_constant([pair[side] for pair in pairs]) for side in (0, 1))
        return "other" if constant else compare(pairs)

    def _by_class(self, best: Hypothesis, notes: Sequence[str]) -> Found:
        """The reading with {class} for {part} where the masks show one object and the folders are called as classes.

        Raises:
            UserError: they may be or may not.
        """
        plain = Found(best.images, best.masks, tuple(notes))
        folders = placeholders(best.image)
        levels = [part for part in best.image.family.folder if VARIABLE in part]
        shared = [name for name in folders if name in best.images and name in best.masks]
        called = [name for name in shared if CLASS_WORD.search(levels[folders.index(name)])]
        name = next(iter(called or [name for name in shared if name != "{group}"]), None)
        if name is None:
            return plain
        masks: dict[str, list[str]] = {}
        for entry, _ in best.image.files:
            masks.setdefault(entry.parts[folders.index(name)], []).extend(best.masks_of.get(entry.file, ())[:1])
        if not 1 < len(masks) <= MANY or (not called and any(re.search(r"\d", part) for part in masks)):
            return plain
        looks = {part: self._looks(files[:: -(-len(files) // 3) or 1]) for part, files in masks.items()}
        if not all(look.kind == "blank" or look.is_binary for of_part in looks.values() for look in of_part):
            return plain
        images, of_class = (text.replace(name, "{class}") for text in (best.images, best.masks))
        by_class = Found(
            images,
            of_class,
            (*notes, f"the folder of an image is its class; it is not with {name} in place of {{class}}"),
        )
        without = any(of and all(look.kind == "blank" for look in of) for of in looks.values())
        if without or called:
            return by_class
        raise _ambiguous(self.tree, by_class, plain)

    def _unknown(self) -> UserError:
        """What is said where nothing is found: what is there, what is lacking, and how to say what is meant."""
        root = self.tree.root
        families = sorted(self.grouping.families, key=lambda family: -len(family.entries))[:2]
        there = " and ".join(f"{len(family.entries)} files as {family.entries[0].file}" for family in families)
        if len(families) < 2:
            return UserError(
                f"{root} is in no known format; it holds {there or 'no images'}",
                "  lacking: masks; put that of each image beside it, or into a folder of masks, under the image's name",
                "  or list them in a CSV file with the headings image,mask and give that as DATA",
            )
        families.sort(key=lambda family: [look.kind != "image" for look in self._looks([family.entries[0].file])])
        images, masks = (one.text(placeholders(one), "{id}") for one in (variants(family)[0] for family in families))
        return UserError(
            f"{root} is in no known format; it holds {there}",
            "  lacking: a part of their names that an image and its mask share, or a sign of which is which",
            f"  if there is one, say it by {{id}}, as in: {_arguments(images, masks)}",
            "  else list them in a CSV file with the headings image,mask and give that as DATA",
        )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / max(1, len(listed))


def _is_given(files: Collection[str], text: str, given: str | None) -> bool:
    """Whether files are, or lie in the folder, that is given."""
    if given is None:
        return True
    if is_pattern(given):
        pattern = Pattern.parse(given, "images")
        return all(pattern.match(file) is not None for file in files)
    return text.startswith(f"{given.strip('/')}/") or f"/{given.strip('/')}/" in text


def _is_part(one: Hypothesis, whole: Hypothesis) -> bool:
    """Whether a hypothesis says nothing else than a larger one, or takes its masks for images, its images for masks."""
    images = whole.masks_of.keys()
    return (
        one.masks_of.items() <= whole.masks_of.items()
        or one.masks_of.keys() <= whole.mask_files
        or (one.masks_of.keys() <= images and one.mask_files <= images)
    )


def _is_plainer(one: Hypothesis, other: Hypothesis) -> bool:
    """Whether one hypothesis explains all files of another and more, or by more of their names: that is a chance."""
    more = len(one.matched) > len(other.matched)
    return (
        one.coverage[0] > 0.9
        and (more or (one.coverage[1] > 0.9 and one.image.length < other.image.length))
        and one.masks_of.keys() >= other.masks_of.keys()
        and one.mask_files >= other.mask_files
    )


def _holds(tree: Tree, folder: str) -> bool:
    """Whether there is a folder of a name, or of a path, with files in it."""
    end = f"/{folder.strip('/')}"
    return any(f"/{one}".endswith(end) and tree.below(one) for one in tree.folders)


def _contradict(one: Hypothesis, other: Hypothesis) -> bool:
    """Whether two hypotheses give an image other masks, or are of other images altogether."""
    if one.masks_of.keys() & other.mask_files or other.masks_of.keys() & one.mask_files:
        return True
    shared = one.masks_of.keys() & other.masks_of.keys()
    return not shared or any(one.masks_of[image] != other.masks_of[image] for image in shared)


def _arguments(images: str, masks: str) -> str:
    return f'images="{images}" masks="{masks}"'


def _ambiguous(tree: Tree, *readings: Found | Hypothesis) -> UserError:
    return UserError(
        f"{tree.root} can be read in two ways, and the wrong one would teach a wrong truth; say which by one of these:",
        *(f"  {_arguments(one.images, one.masks)}" for one in readings),
    )


def _unite(patterns: Sequence[str], placeholder: str) -> str | None:
    """One pattern for several that differ in one place before {id}, or behind it, or in both."""
    halves = [pattern.partition("{id}") for pattern in patterns]
    if not all(found for _, found, _ in halves):
        return None
    before = _united([half[0] for half in halves], placeholder)
    return f"{before}{{id}}{_united([half[2] for half in halves], '*' if placeholder in before else placeholder)}"


def _united(texts: Sequence[str], placeholder: str) -> str:
    """One text for several, with a placeholder for the words in which they differ."""
    if len(set(texts)) == 1:
        return texts[0]
    words = [re.findall("[A-Za-z0-9]+|[^A-Za-z0-9]", text) for text in texts]
    start = _alike(words)
    end = _alike([of_text[start:][::-1] for of_text in words])
    return "".join([*words[0][:start], placeholder, *words[0][len(words[0]) - end :]])


def _alike(lists: Sequence[Sequence[str]]) -> int:
    """How many items at their beginning lists share."""
    return sum(1 for _ in takewhile(lambda items: len(set(items)) == 1, zip(*lists, strict=False)))
