"""Finds what the values in masks mean by reading them, and makes the samples of what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..classes import IGNORE, ClassTable, Colour
from ..errors import MissingExtra, UserError
from ..images import MaskValues
from .class_lists import ClassList, Listed
from .meaning import Meaning
from .pairing import Pair
from .samples import BrightSample, ColourSample, CombinedSample, FileSample, MaskFileSample, id_lookup
from .tree import few

Mask = TypeVar("Mask", bound=Hashable)

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
MANY = 256
"""More colours than this are no classes: they come of smoothing or of JPEG."""
DARK, BRIGHT = 40, 215
"""Grey levels up to the one and from the other on count as black and white where masks have soft edges."""
READ = 512
"""So many masks are read of those that show one object each: more would tell nothing new."""
VOID_NAMES = ("void", "unlabeled", "unlabelled", "ignore", "ignored", "__ignore__", "unknown", "nodata", "no data")
"""What the class that is none is called."""
RARE = 1e-3
"""Black of a smaller share of the pixels, beside three colours or more, is what was left unpainted."""


@dataclass(frozen=True)
class _Survey:
    """What a mask holds: pixels by grey level or id, or by colour; and the palette's colour of each id.

    `inside` counts the pixels of medium grey that have the same value around them.
    """

    ids: Counter[int] | None
    colours: Counter[Colour] | None
    palette: Mapping[int, Colour]
    lossy: bool
    inside: int


def _survey(read: Callable[[], MaskValues]) -> _Survey | UserError:
    """What a mask holds; the error where it cannot be read, and a survey of no colours where it has too many."""
    try:
        pixels, palette, lossy = read()
    except MissingExtra:
        raise
    except UserError as error:
        return error
    if pixels.ndim == 3:
        counted = Image.fromarray(pixels).getcolors(MANY)
        colours = Counter[Colour]({colour: count for count, colour in counted or ()})  # type: ignore[misc]
        return _Survey(None, colours, {}, lossy, 0)
    if pixels.dtype == np.uint8:
        counts = np.bincount(pixels.ravel(), minlength=256)
        found = np.flatnonzero(counts)
        ids = Counter(dict(zip(found.tolist(), counts[found].tolist(), strict=True)))
    else:
        ids = Counter(dict(zip(*(array.tolist() for array in np.unique(pixels, return_counts=True)), strict=True)))
    shown = {} if palette is None else {i: _triple(palette[min(i, len(palette) - 1)]) for i in ids}
    return _Survey(ids, None, shown, lossy, _inside(pixels))


def _triple(colour: NDArray[np.uint8]) -> Colour:
    red, green, blue = colour.tolist()
    return red, green, blue


def _inside(pixels: NDArray[np.integer]) -> int:
    middle = pixels[1:-1, 1:-1]
    alike = (middle == pixels[:-2, 1:-1]) & (middle == pixels[2:, 1:-1])
    alike &= (middle == pixels[1:-1, :-2]) & (middle == pixels[1:-1, 2:])
    return int((alike & (middle > DARK) & (middle < BRIGHT)).sum())


class Masks(Generic[Mask]):
    """The masks of a data set as read: which values they hold.

    Args:
        root: the data set's folder or manifest, for messages.
        masks: files, or whatever else holds a mask; of more than `READ` that show one object each only some are read.
        read: reads one.
        objects: whether they show one object each.

    Raises:
        UserError: none can be read. (One of many that cannot is passed over here, and reported when it is read.)
    """

    def __init__(
        self,
        root: Path,
        masks: Sequence[Mask],
        read: Callable[[Mask], MaskValues],
        objects: bool = False,
    ) -> None:
        self.root = root if root.is_dir() else root.parent
        self.files = masks[:: -(-len(masks) // READ)] if objects else masks
        with ThreadPoolExecutor(max_workers=4) as pool:
            surveys = pool.map(lambda mask: _survey(partial(read, mask)), self.files)
            found = dict(zip(self.files, surveys, strict=True))
        self.surveys = {mask: one for mask, one in found.items() if isinstance(one, _Survey)}
        if not self.surveys:
            raise next(one for one in found.values() if isinstance(one, UserError))
        self.ids = sum((one.ids for one in self.surveys.values() if one.ids is not None), Counter[int]())
        self.notes: list[str] = []

    @property
    def in_colours(self) -> list[Mask]:
        """The masks that show colours, or ids whose palettes contradict one another."""
        meant: dict[int, Colour] = {}
        for one in self.surveys.values():
            for i, colour in one.palette.items():
                if meant.setdefault(i, colour) != colour:
                    return [mask for mask, other in self.surveys.items() if other.palette or other.colours is not None]
        return [mask for mask, one in self.surveys.items() if one.colours is not None]

    def find(
        self,
        lists: Sequence[ClassList],
        labels: Mapping[Mask, str] | None = None,
        void: Sequence[int] | None = None,
    ) -> Meaning:
        """What the values mean.

        Args:
            lists: class lists, the nearest first.
            labels: the class that the path of each mask names; None where paths name none.
            void: the ids that are void; None for 255 where the others are numbered through.

        Raises:
            UserError: the values are no classes, or do not say how many there are.
        """
        if labels:
            return self._by_path(labels)
        if self.in_colours:
            return self._of_colours(lists)
        lossy = [mask for mask, one in self.surveys.items() if one.lossy]
        threshold = self._threshold(bool(lossy))
        if threshold is not None and void is None:
            two = next((tuple(listed.name for listed in one.classes) for one in lists if len(one.classes) == 2), None)
            classes = ClassTable.of(two or ("background", "object"))
            if not self.notes:  # nothing but black and white, and so it must be
                return Meaning("colours", classes, (BLACK, WHITE))
            return Meaning("bright", classes, threshold=threshold)
        if lossy:
            raise UserError(f"{lossy[0]} is a JPEG, whose compression changes the ids of a mask; save the masks as PNG")
        return self._of_ids(lists, void)

    def _threshold(self, lossy: bool) -> int | None:
        """The grey level from which a pixel is bright, where the masks are black and white; None where they are not."""
        shown = Counter[int]()
        for one in self.surveys.values():
            for i, count in (one.ids or {}).items():
                red, green, blue = one.palette.get(i, (i, i, i))
                if not red == green == blue or not 0 <= red <= 255:
                    return None
                shown[red] += count
        if set(shown) == {0, 255}:
            return 128
        total = shown.total()
        dark = sum(count for grey, count in shown.items() if grey <= DARK)
        bright = sum(count for grey, count in shown.items() if grey >= BRIGHT)
        soft = {grey for grey in shown if DARK < grey < 255}
        if not dark or not bright or not soft or dark + bright < 0.7 * total:
            return None
        between = total - dark - bright
        if not lossy and sum(one.inside for one in self.surveys.values()) > 0.3 * between:
            return None
        self.notes.append(
            f"the masks have soft edges: from grey 128 on a pixel is object ({between / total:.2%} of the pixels lie"
            " between black and white)"
        )
        return 128

    # By path, ids, colours

    def _by_path(self, labels: Mapping[Mask, str]) -> Meaning:
        threshold = self._threshold(True)
        if self.in_colours or (threshold is None and len(self.ids) > 2):
            raise UserError(
                f"the masks in {self.root} hold more than one class ({few(sorted(self.ids))}), though their paths name"
                " classes; give the pattern with {part} for {class}"
            )
        threshold = threshold or max(1, max(self.ids) // 2 + 1)
        shown = {
            labels[mask]
            for mask, one in self.surveys.items()
            if any(max(one.palette.get(i, (i,))) >= threshold for i in one.ids or ())
        }
        if without := sorted(set(labels.values()) - shown):
            self.notes.append(f"no mask of {', '.join(without)} shows anything, so that it is background")
        return Meaning("bright", ClassTable.of(["background", *sorted(shown)]), threshold=threshold, paths=True)

    def _of_ids(self, lists: Sequence[ClassList], given: Sequence[int] | None) -> Meaning:
        others = set(self.ids) - {IGNORE}
        counted = _counts_on(others) or any(i + 1 in others for i in others)  # and no grey levels far from one another
        default = [IGNORE] if IGNORE in self.ids and counted else []
        void = default if given is None else list(given)
        ids = sorted(set(self.ids) - set(void))
        if len(ids) < 2 or len(ids) > IGNORE or ids[0] < 0:
            raise UserError(
                f"the masks in {self.root} hold the ids {few(sorted(self.ids))}, which do not say how many classes"
                f" there are; name them in {self.root / 'dataset.yaml'}, for example: names: {{0: background,"
                f" {max(ids, default=0) or 1}: object}}"
            )
        colours = {i: colour for one in self.surveys.values() for i, colour in one.palette.items()}
        listed = self._listed(lists, ids, colours)
        if listed:
            ids = sorted({*ids, *listed})
        elif _counts_on(set(ids)):
            ids = list(range(min(ids[0], 1), ids[-1] + 1))
        void += [i for i in ids if i in listed and listed[i].name.lower() in VOID_NAMES]
        kept = [i for i in ids if i not in void]
        shown = [colour for i in kept if i in listed and (colour := listed[i].colour) is not None]
        names = [listed[i].name if i in listed else f"class {i}" for i in kept]
        classes = ClassTable.of(names, shown if len(shown) == len(kept) else None)
        if given is None and IGNORE not in kept:
            void.append(IGNORE)
        return Meaning("ids", classes, tuple(kept), tuple(dict.fromkeys(void)))

    def _listed(
        self, lists: Sequence[ClassList], ids: Sequence[int], colours: Mapping[int, Colour]
    ) -> dict[int, Listed]:
        """The class of each id in the first list that agrees with the ids."""
        for one in lists:
            by_colour = {listed.colour: listed for listed in one.classes if listed.colour is not None}
            if by_colour and colours and all(colours.get(i) in by_colour for i in self.ids):
                return {i: by_colour[colours[i]] for i in ids}
            if all(listed.id is not None for listed in one.classes):
                by_id = {listed.id: listed for listed in one.classes}
            elif max(ids) < len(one.classes):
                by_id = dict(enumerate(one.classes))
            elif max(ids) == len(one.classes):  # the list leaves the background out
                by_id = {0: Listed("background"), **dict(enumerate(one.classes, 1))}
            else:
                by_id = {}
            if set(self.ids) - {IGNORE} <= set(by_id):
                return {i: listed for i, listed in by_id.items() if i is not None}
            self.notes.append(
                f"{one.path} lists {len(one.classes)} classes, which do not fit the ids {few(sorted(self.ids))}"
            )
        return {}

    def _of_colours(self, lists: Sequence[ClassList]) -> Meaning:
        counts = Counter[Colour]()
        for mask, one in self.surveys.items():
            if one.colours is not None and not one.colours:
                raise UserError(
                    f"{mask} shows more than {MANY} colours, too many for classes; save masks without smoothing and"
                    " without JPEG, or give the pattern of the masks, masks="
                )
            counts += one.colours if one.colours is not None else Counter[Colour]()
            for i, count in (one.ids or {}).items():
                counts[one.palette.get(i, (i, i, i))] += count
        found = sorted(counts)
        listed, source = self._coloured(lists, found)
        if set(found) <= set(listed):
            found = list(listed)  # in the order of the file, and those too that no mask shows
        void = [colour for colour in found if colour in listed and listed[colour].lower() in VOID_NAMES]
        rare = len(found) - len(void) > 3 and BLACK not in listed and 0 < counts[BLACK] < RARE * counts.total()
        if rare:
            void.append(BLACK)
            self.notes.append(
                f"{counts[BLACK]:,} pixels are black, too few for a class beside {len(found) - 1} colours: void"
            )
        kept = [colour for colour in found if colour not in void]
        if len(kept) > IGNORE:
            raise UserError(
                f"the masks in {self.root} show {len(kept)} colours, too many for classes; save them without smoothing"
            )
        unnamed = [colour for colour in kept if colour not in listed]
        if source is not None and unnamed:
            self.notes.append(
                f"{source} does not name {len(unnamed)} of {len(kept)} colours of the masks; they are called by number:"
                f" {', '.join(f'class {k} is {_hex(c)}' for k, c in enumerate(kept) if c in unnamed)}"
            )
        names = [listed.get(colour, f"class {k}") for k, colour in enumerate(kept)]
        if source is None and len(kept) == 2 and BLACK in kept:
            names = ["background", "object"]
        return Meaning("colours", ClassTable.of(names, kept), tuple(kept), tuple(void))

    def _coloured(self, lists: Sequence[ClassList], found: Sequence[Colour]) -> tuple[dict[Colour, str], Path | None]:
        """The names by colour of the list that knows most of the colours found, and that list."""
        named = [({listed.colour: listed.name for listed in one.classes if listed.colour}, one.path) for one in lists]
        known = [(colours, path) for colours, path in named if colours]
        return max(known, key=lambda one: len(set(one[0]) & set(found)), default=({}, None))


def _counts_on(ids: set[int]) -> bool:
    """Whether ids are numbered through, one or the other missing: 0, 1, 3, but not 0, 127, 254."""
    return bool(ids) and min(ids) >= 0 and max(ids) + 1 <= 2 * len(ids)


def _hex(colour: Colour) -> str:
    return "#{:02X}{:02X}{:02X}".format(*colour)


# Samples


OneMask = FileSample | ColourSample | BrightSample


def reader_of(meaning: Meaning) -> Callable[[Pair, Path, str], OneMask]:
    """What makes the sample of an image, one of its masks, and the class that the mask's path names ("" for none)."""
    ids, void = ([v for v in of if isinstance(v, int)] for of in (meaning.values, meaning.void))
    lookup = id_lookup(ids, [*void, *([] if ids else [IGNORE])])
    colours = {c: IGNORE for c in meaning.void if isinstance(c, tuple)}
    colours |= {c: k for k, c in enumerate(meaning.values) if isinstance(c, tuple)}
    by_path = {name: k for k, name in enumerate(meaning.classes.names)} if meaning.paths else {}

    def make(pair: Pair, mask: Path, label: str) -> OneMask:
        if meaning.kind == "ids":
            return FileSample(pair.name, pair.image, mask, lookup)
        if meaning.kind == "colours":
            return ColourSample(pair.name, pair.image, mask, colours)
        bright = by_path.get(label, 0) if meaning.paths else 1
        return BrightSample(pair.name, pair.image, mask, meaning.threshold, bright)

    return make


def make_samples(pairs: Iterable[Pair], meaning: Meaning, majority: bool = False) -> list[MaskFileSample]:
    """The samples of pairs; of several annotators' masks the majority's, of other masks of one image the union."""
    make = reader_of(meaning)
    samples: list[MaskFileSample] = []
    for pair in pairs:
        labels = pair.labels or ("",) * len(pair.masks)
        parts = tuple(make(pair, mask, label) for mask, label in zip(pair.masks, labels, strict=True))
        several = CombinedSample(pair.name, pair.image, pair.mask, parts, majority)
        samples.append(parts[0] if len(parts) == 1 else several)
    return samples
