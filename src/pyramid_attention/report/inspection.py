"""What `pan data inspect` says: an inspection as lines and a table of text, and the sheet of overlaid samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..data import Sample
from ..data.advice import Advice
from ..data.inspect import Inspection, SplitInspection
from ..images import write_image
from .sheets import Shown, overlay_sheet

LISTED = 5
"""How many pairs of each kind of duplicates are written out; the JSON file holds all."""
KINDS = {
    "file": "the same file",
    "pixels": "the same pixels",
    "near": "nearly the same; are they frames of one video? pan data convert --group keeps those in one split",
}


def class_table(inspection: Inspection) -> list[list[str]]:
    """Rows of text, headings first: of each class, void last, its share and how many images show it, by split."""
    classes = inspection.dataset.classes
    shares = [split.shares for split in inspection.splits]
    images = [split.images for split in inspection.splits]
    rows = [["id", "class", *(heading for split in inspection.splits for heading in (split.name, "photos"))]]
    for k, name in enumerate((*classes.names, classes.void_name)):
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
    for split in inspection.splits:
        if absent := [name for name, number in zip(names, split.images[:-1], strict=True) if not number]:
            yield f"note: no image of {split.name} shows {', '.join(absent)}"
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
    """Every problem that would corrupt a training, one line each."""
    faults = [f"{split}/{name}: {fault}" for split, name, fault in inspection.faults]
    return [f"problem: {text}" for text in (*inspection.dataset.problems, *faults)]


def advice_lines(advice: Advice) -> Iterator[str]:
    """The suggestion how to train, with a command line to copy."""
    height, width = advice.crop
    yield f"suggested recipe: {advice.recipe}, crops {width} wide and {height} high"
    if advice.val_split is None:
        yield "there is no split 'val'; this makes one (see --group for frames of videos):"
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
    shown = [Shown(f"{split}/{sample.name}", sample.read_image(), sample.read_mask()) for split, sample in samples]
    write_image(path, overlay_sheet(shown, inspection.dataset.classes))
