"""What `pan data inspect` says: an inspection as lines and a table of text, and the sheet of overlaid samples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..classes import IGNORE, ClassTable
from ..data import Sample
from ..data.advice import Advice
from ..data.inspect import Inspection, SplitInspection
from ..data.scene_survey import SceneSurvey
from ..data.scenes import WindowSample
from ..data.tree import few
from ..images import write_image
from .legend import legend, present, text_size_for
from .sheets import Shown, overlay_sheet

LISTED = 3
"""How many of each kind of problem or of duplicates are written out; the JSON file holds all."""
KINDS_LISTED = 6
CLASSES_LISTED = 24
"""Of more classes the table shows the most frequent ones."""
KINDS = {
    "file": "the same file",
    "pixels": "the same pixels",
    "near": "nearly the same; are they frames of one video? --group auto keeps them in one split",
}


def class_table(inspection: Inspection) -> list[list[str]]:
    """Rows of text, headings first: of each class, void last, its share and how many images show it, by split.

    Of more than `CLASSES_LISTED` classes only the most frequent have rows.
    """
    classes = inspection.dataset.classes
    shares = [split.shares for split in inspection.splits]
    most = np.argsort(-sum(shares, np.zeros(len(classes) + 1))[:-1], kind="stable")[:CLASSES_LISTED]
    images = [split.images for split in inspection.splits]
    rows = [["id", "class", *(heading for split in inspection.splits for heading in (split.name, "images"))]]
    for k in [*sorted(most.tolist()), len(classes)]:
        name = (*classes.names, classes.void_name)[k]
        cells = [cell for share, number in zip(shares, images, strict=True) for cell in (share[k], number[k])]
        rows.append(
            [
                str(k) if k < len(classes) else "–",
                name,
                *(f"{cell:.2%}" if place % 2 == 0 else f"{cell:,}" for place, cell in enumerate(cells)),
            ]
        )
    return rows


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def split_line(split: SplitInspection) -> str:
    """One line: how many images a split has and of which sizes (width × height)."""
    line = f"{split.name}: {_images(len(split.findings))}"
    if not split.sizes:
        return line
    if len(split.sizes) == 1:
        ((height, width),) = split.sizes
        return f"{line}, all {width}×{height}"
    heights, widths = zip(*split.sizes, strict=True)
    (height, width), count = split.sizes.most_common(1)[0]
    return (
        f"{line}, {min(widths)} to {max(widths)} wide and {min(heights)} to {max(heights)} high, most often"
        f" {width}×{height} ({count / split.sizes.total():.0%})"
    )


def remark_lines(inspection: Inspection) -> Iterator[str]:
    """What the user should know of: notes, classes that do not occur in train, images that two splits share."""
    for note in inspection.dataset.notes:
        yield f"note: {note}"
    names = inspection.dataset.classes.names
    if len(names) > CLASSES_LISTED:
        yield f"note: the table shows the {CLASSES_LISTED} most frequent of {len(names)} classes; --json holds all"
    for split in inspection.splits:
        if absent := [name for name, number in zip(names, split.images[:-1], strict=True) if not number]:
            how_many = f" ({len(absent)} of {len(names)} classes)" if len(absent) > 3 else ""
            yield f"note: no image of {split.name} shows {few(absent)}{how_many}"
    pairs = Counter((one.first[0], one.second[0], one.kind) for one in inspection.duplicates)
    for (first, second, kind), count in pairs.items():
        verb = "is" if count == 1 else "are"
        yield f"duplicates: {_images(count)} of {second} {verb} in {first} too ({KINDS[kind]})"
        if kind == "file":
            continue  # one name: nothing to compare
        those = [
            one for one in inspection.duplicates if (one.first[0], one.second[0], one.kind) == (first, second, kind)
        ]
        for one in those[:LISTED]:
            like = "is" if kind == "pixels" else "looks like"
            yield f"  {one.second[0]}/{one.second[1]} {like} {one.first[0]}/{one.first[1]}"
        if count > LISTED:
            yield f"  … and {count - LISTED:,} more"


def problem_lines(inspection: Inspection) -> list[str]:
    """The problems that would corrupt a training: of each kind the first few, and how many there are."""
    kinds: dict[str, list[str]] = {}
    for text in inspection.dataset.problems:
        kinds.setdefault(_NAMES.sub("#", text), []).append(text)
    for split, name, fault in inspection.faults:
        kinds.setdefault(_NAMES.sub("#", fault), []).append(f"{split}/{name}: {fault}")
    lines = []
    for texts in list(kinds.values())[:KINDS_LISTED]:
        lines += [f"problem: {text}" for text in texts[:LISTED]]
        if len(texts) > LISTED:
            lines.append(f"  … and {len(texts) - LISTED:,} more of this kind")
    if len(kinds) > KINDS_LISTED:
        lines.append(f"  … and {len(kinds) - KINDS_LISTED} more kinds of problems; --json holds all")
    return lines


_NAMES = re.compile(r"\S*[/\\]\S*|\S+\.\w+|'[^']*'|\d+")
"""What differs between two problems of one kind: paths, names and numbers."""


def advice_lines(advice: Advice) -> Iterator[str]:
    """The suggestion how to train, with a command line to copy."""
    height, width = advice.crop
    yield f"suggested recipe: {advice.recipe}, crops {width} wide and {height} high"
    if advice.val_split is None:
        yield "there is no split 'val'; this makes one:"
    yield f"  {advice.command}"
    if advice.weights_option is not None:
        yield f"to favour rare classes, add (median-frequency balancing of {advice.train_split}):"
        yield f"  {advice.weights_option}"


def write_overlay_sheet(samples: Sequence[tuple[str, Sample]], inspection: Inspection, path: Path) -> None:
    """Write a sheet of overlaid samples, each with its split and name, as one image.

    Args:
        samples: split and sample of each, at least one (see `choose_shown`).
        inspection: whose classes they have.
        path: the image's file.

    Raises:
        UserError: a sample cannot be read any more, or the file cannot be written.
    """
    shown = []
    for split, sample in samples:
        image, mask = inspection.dataset.bands.to_rgb(sample.read_image()), sample.read_mask()
        if isinstance(sample, WindowSample) and (mask != IGNORE).any():
            part = _around_labels(mask)
            image, mask = image[part], mask[part]
        shown.append(Shown(f"{split}/{sample.name}", image, mask))
    write_image(path, overlay_sheet(shown, inspection.dataset.classes))


def _around_labels(mask: NDArray[np.uint8]) -> tuple[slice, slice]:
    """The rows and columns of a mask's labels, and some around them."""
    rows, columns = (np.flatnonzero((mask != IGNORE).any(axis=axis)) for axis in (1, 0))
    margin = 24
    return (
        slice(max(0, rows[0] - margin), rows[-1] + 1 + margin),
        slice(max(0, columns[0] - margin), columns[-1] + 1 + margin),
    )


def scene_lines(survey: SceneSurvey) -> Iterator[str]:
    """What a scene holds: its size, place and bands, one line each."""
    raster, bands = survey.scene.raster, survey.scene.bands
    where = "without a place on earth"
    if raster.place is not None:
        across, down = raster.place.resolution()
        where = f"{survey.crs}, pixels of {across:.6g}×{down:.6g} of its units"
    yield f"{raster.path}: {raster.width}×{raster.height}, {where}"
    nodata = "" if bands.nodata is None else f" ({bands.nodata:g})"
    yield f"  {bands.dtype}, no data{nodata} in {survey.missing:.2%} of the pixels"
    for name, low, high, mean in zip(bands.names, survey.low, survey.high, survey.mean, strict=True):
        yield f"  band {name}: " + ("no data" if low != low else f"{low:.6g} to {high:.6g}, mean {mean:.6g}")


def write_scene(survey: SceneSurvey, classes: ClassTable, path: Path) -> None:
    """Write the small image of a scene: labels in the colours of their classes, blocks that validate framed in white.

    Where labels are small they are drawn larger than they are, so that each can be found.

    Raises:
        UserError: the file cannot be written.
    """
    mask = survey.mask
    for axis in (0, 1):
        for shift in (-2, -1, 1, 2):
            beside = np.roll(survey.mask if axis == 0 else mask, shift, axis)
            mask = np.where(mask == IGNORE, beside, mask)
    colours = np.where((mask != IGNORE)[..., None], classes.colourise(mask), survey.image)
    picture = Image.blend(Image.fromarray(survey.image), Image.fromarray(colours), 0.8)
    scale = survey.image.shape[0] / survey.scene.raster.height
    for (top, bottom), (left, right) in survey.scene.held:
        corners = [(left * scale - 3, top * scale - 3), (right * scale + 2, bottom * scale + 2)]
        ImageDraw.Draw(picture).rectangle(corners, outline=(255, 255, 255))
    strip = legend(classes, present(survey.mask), picture.width, text_size_for(picture.height, picture.width))
    canvas = Image.new("RGB", (strip.shape[1], picture.height + strip.shape[0]), (255, 255, 255))
    canvas.paste(picture, (0, 0))
    canvas.paste(Image.fromarray(strip), (0, picture.height))
    write_image(path, canvas)
