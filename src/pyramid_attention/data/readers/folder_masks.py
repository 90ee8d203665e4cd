"""What the values in the masks of the `folder` format mean: ids, colours, or black and white."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...classes import IGNORE, ClassTable, Colour
from ...errors import UserError
from ...images import pixel_type, read_image, read_label_map
from ..samples import ColourSample, FileSample, Sample, id_lookup
from .folder_yaml import Settings

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
MANY = 256
"""More colours than this are no classes: they come of smoothing or of JPEG."""
LOOKED_AT = 8
"""Masks that are opened to see whether they hold ids or colours, where `dataset.yaml` gives both."""


@dataclass(frozen=True)
class Meaning:
    """The classes, and the label of each id (a table, see `id_lookup`) or of each colour on disk."""

    classes: ClassTable
    labels: NDArray[np.int16] | Mapping[Colour, int]

    def sample(self, name: str, image: Path, mask: Path) -> Sample:
        """The sample of an image and its mask."""
        if isinstance(self.labels, np.ndarray):
            return FileSample(name, image, mask, self.labels)
        return ColourSample(name, image, mask, self.labels)


def find_meaning(root: Path, masks: Sequence[Path], settings: Settings) -> Meaning:
    """What the masks mean. None is opened where `dataset.yaml` gives names and no colours, all are where it gives none.

    Raises:
        UserError: `dataset.yaml` does not say what is needed, or contradicts itself; no mask can be read. (One of many
            that cannot be read is passed over here, and told with all others when the samples are.)
    """
    if settings.colours is not None:
        classes = settings.class_table(settings.names or {i: f"class {i}" for i in settings.colours})
        if _shows_colours(masks, settings, settings.colours):
            return Meaning(classes, _labels_by_colour(settings, classes.colours))
    if settings.names is not None:
        names = settings.names
    else:
        by_mask = _ids_by_mask(root, masks, settings)
        found = set[int]().union(*by_mask.values())
        if settings.void is None and found <= {0, 1, IGNORE} and _is_black_and_white(by_mask):
            return Meaning(ClassTable.of(["background", "object"]), {BLACK: 0, WHITE: 1})
        names = _counted(root, found, settings)
    return Meaning(settings.class_table(names), id_lookup(sorted(names), settings.void_ids))


def _labels_by_colour(settings: Settings, colours: Sequence[Colour]) -> dict[Colour, int]:
    given = [*colours, *settings.void_colours]
    if repeated := [colour for colour in given if given.count(colour) > 1]:
        raise UserError(f"{settings.path}: the colour {list(repeated[0])} is given twice; give each class its own")
    return {colour: k for k, colour in enumerate(colours)} | dict.fromkeys(settings.void_colours, IGNORE)


def _shows_colours(masks: Sequence[Path], settings: Settings, colours: Mapping[int, Colour]) -> bool:
    """Whether masks show the colours of `dataset.yaml`, rather than hold its ids (with these colours for display)."""
    names = {*(settings.names or colours)}
    listed = {*colours.values(), *settings.void_colours}
    ids_fit = colours_fit = True
    differ = False
    count = min(LOOKED_AT, len(masks))
    for mask in (masks[i * len(masks) // count] for i in range(count)):
        try:
            shown = _shown_by_id(mask)
        except UserError:  # damaged: told when it is read
            continue
        if shown is None:
            return True
        ids_fit = ids_fit and shown.keys() <= names | {*settings.void_ids}
        colours_fit = colours_fit and listed.issuperset(shown.values())
        for i, colour in shown.items():
            grey = colour in ((i,) * 3, ((i + 128) // 257,) * 3)  # of 8 or 16 bits: it shows but its id
            if i in names:
                differ = differ or (colour != colours.get(i) and not grey)
            elif settings.void is None:  # 255, which may be drawn in any colour, but white may be the class's own
                differ = differ or (grey and colour in colours.values())
    return colours_fit and (differ or not ids_fit)


def _shown_by_id(mask: Path) -> dict[int, Colour] | None:
    """The colour in which each id of a mask is shown; None for a mask in colours, which has no ids."""
    shown = read_image(mask).reshape(-1, 3)
    try:
        ids, first = np.unique(read_label_map(mask), return_index=True)
    except UserError:  # not damaged, as it could be read for its colours
        return None
    return {int(i): (int(r), int(g), int(b)) for i, (r, g, b) in zip(ids, shown[first], strict=True)}


def _ids_by_mask(root: Path, masks: Sequence[Path], settings: Settings) -> dict[Path, set[int]]:
    """The ids in each mask that can be read; a `UserError` that lists the colours where some are in colours."""

    def held(mask: Path) -> set[int] | UserError | None:
        try:
            return set(np.unique(read_label_map(mask)).tolist())
        except UserError as error:
            try:
                read_image(mask)
            except UserError as damage:
                return damage
            return error if pixel_type(mask) == "L" else None  # grey and yet without ids: a JPEG

    with ThreadPoolExecutor(max_workers=4) as pool:
        found = dict(zip(masks, pool.map(held, masks), strict=True))
    faults = {mask: fault for mask, fault in found.items() if isinstance(fault, UserError)}
    if masks and len(faults) == len(masks):
        raise faults[masks[0]]
    if in_colours := [mask for mask, ids in found.items() if ids is None]:
        raise UserError(_ask_for_colours(root, [mask for mask in masks if mask not in faults], in_colours, settings))
    return {mask: ids for mask, ids in found.items() if isinstance(ids, set)}


def _ask_for_colours(root: Path, masks: Sequence[Path], in_colours: Sequence[Path], settings: Settings) -> str:
    with ThreadPoolExecutor(max_workers=4) as pool:
        shown = dict(zip(masks, pool.map(_colours_of, masks), strict=True))
    for mask, colours in shown.items():
        if colours is None:
            return (
                f"{mask} shows more than {MANY} colours, too many for classes; save masks without smoothing and without"
                f" JPEG, or name the folder of the masks in {settings.path}, as in {{images: photos, masks: masks}}"
            )
    found = sorted(set[Colour]().union(*(colours for colours in shown.values() if colours is not None)))
    names = ", ".join(f"class {i}" for i in range(len(found)))
    return (
        f"{len(in_colours)} of {len(masks)} masks in {root} show their classes in colours, {in_colours[0]} among them;"
        f" say in {settings.path} what the {len(found)} colours mean, those that are void under ignore, for example:"
        f" {{names: [{names}], colours: {[list(colour) for colour in found]}, ignore: []}}"
    )


def _colours_of(mask: Path) -> set[Colour] | None:
    """The colours that a mask shows; None if they are more than `MANY`."""
    counted = Image.fromarray(read_image(mask)).getcolors(MANY)
    return None if counted is None else {colour for _, colour in counted}  # type: ignore[misc]


def _is_black_and_white(masks: Iterable[Path]) -> bool:
    """Whether masks show black and white and nothing else, be it as 0 and 255, as one bit or in a palette."""
    found: set[Colour] = set()
    for mask in masks:
        found |= _colours_of(mask) or set()
        if not found <= {BLACK, WHITE}:
            return False
    return len(found) == 2


def _counted(root: Path, ids: set[int], settings: Settings) -> dict[int, str]:
    """Names for all ids up to the largest one that the masks hold."""
    found = sorted(ids - set(settings.void_ids))
    count = max(found, default=0) + 1
    if len(found) < 2 or 2 * len(found) < count:  # 0, 127 and 254: a count would invent classes
        raise UserError(
            f"the masks in {root} hold the ids {sorted(ids)[:12]}, which do not say how many classes there are; name"
            f" them in {settings.path}, for example: names: {{0: background, {found[-1] if any(found) else 1}: object}}"
        )
    return {i: f"class {i}" for i in range(count)}
