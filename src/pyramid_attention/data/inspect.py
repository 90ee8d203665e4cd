"""A data set looked at as a whole, before an hour is lost: sizes, classes, everything that is wrong, twins.

Every image and mask is decoded once. What cannot be read is collected, never only the first; what can be read is
counted and, by its look, searched for in the other splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classes import IGNORE
from ..errors import MissingExtra, UserError
from ..images import RGB, Bands
from .duplicates import Candidate, Duplicate, Look, find_duplicates
from .samples import Dataset, Sample

THREADS = 8


@dataclass(frozen=True, eq=False)
class Finding:
    """What one sample turned out to be.

    Attributes:
        sample: the sample itself.
        size: height and width of the image; None where it cannot be read.
        look: what the image is recognised by; None likewise.
        pixels: int64, how many pixels each class has, void last; None where the mask cannot be read.
        faults: why something cannot be read, one sentence each.
    """

    sample: Sample
    size: tuple[int, int] | None
    look: Look | None
    pixels: NDArray[np.int64] | None
    faults: tuple[str, ...]


def image_file(sample: Sample) -> Path | None:
    """The file that holds a sample's image; None where it has none of its own (drawn, or inside a JSON file)."""
    file = getattr(sample, "image", None)
    return file if isinstance(file, Path) else None


def look_at(sample: Sample, classes: int, bands: Bands = RGB) -> Finding:
    """Decode a sample and say what it is.

    Raises:
        MissingExtra: reading it needs a package that is not installed, which is no fault of the sample.
    """
    size = look = pixels = None
    faults = []
    try:
        image = sample.read_image()
        size, look = (image.shape[0], image.shape[1]), Look.of(bands.to_rgb(image))
    except MissingExtra:
        raise
    except UserError as error:
        faults.append(str(error))
    try:
        counts = np.bincount(sample.read_mask().ravel(), minlength=IGNORE + 1)
        pixels = np.append(counts[:classes], counts[IGNORE])
    except MissingExtra:
        raise
    except UserError as error:
        faults.append(str(error))
    return Finding(sample, size, look, pixels, tuple(dict.fromkeys(faults)))  # both may complain of one image


@dataclass(frozen=True)
class SplitInspection:
    """What the samples of one split turned out to be; `classes` is their number."""

    name: str
    findings: Sequence[Finding]
    classes: int

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """N×(C+1): pixels of each class, void last, in each mask that could be read."""
        rows = [finding.pixels for finding in self.findings if finding.pixels is not None]
        return np.stack(rows) if rows else np.zeros((0, self.classes + 1), dtype=np.int64)

    @property
    def shares(self) -> NDArray[np.float64]:
        """C+1: the share of each class, void last, in all pixels; they add up to 1, or are 0 where no mask was read."""
        shares: NDArray[np.float64] = self.counts.sum(axis=0) / max(1, self.counts.sum())
        return shares

    @property
    def images(self) -> NDArray[np.int64]:
        """C+1: how many images show each class, void last."""
        images: NDArray[np.int64] = (self.counts > 0).sum(axis=0)
        return images

    @cached_property
    def sizes(self) -> Counter[tuple[int, int]]:
        """How often each (height, width) occurs."""
        return Counter(finding.size for finding in self.findings if finding.size is not None)

    @property
    def median_size(self) -> tuple[int, int] | None:
        """The median height and the median width (the lower of two); None where no image was read."""
        if not self.sizes:
            return None
        sides = np.sort(np.array(list(self.sizes.elements())), axis=0)
        height, width = sides[(len(sides) - 1) // 2].tolist()
        return height, width

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """As plain numbers, for JSON; sizes are [height, width]."""
        sides = np.array(list(self.sizes))
        extremes = {"smallest": sides.min(axis=0).tolist(), "largest": sides.max(axis=0).tolist()} if sides.size else {}
        pixels, shares, images = self.counts.sum(axis=0).tolist(), self.shares.tolist(), self.images.tolist()
        return {
            "images": len(self.findings),
            "readable": sum(not finding.faults for finding in self.findings),
            "sizes": {
                **extremes,
                "median": self.median_size,
                "most_common": [[*size, count] for size, count in self.sizes.most_common(5)],
            },
            "pixels": sum(pixels),
            "void_share": shares[-1],
            "classes": {
                name: {"pixels": pixels[k], "share": shares[k], "images": images[k]} for k, name in enumerate(names)
            },
        }


@dataclass(frozen=True)
class Inspection:
    """What a data set turned out to be.

    Attributes:
        dataset: the data set.
        splits: those that were looked at.
        duplicates: images that two of them share.
    """

    dataset: Dataset
    splits: Sequence[SplitInspection]
    duplicates: Sequence[Duplicate]

    @property
    def faults(self) -> list[tuple[str, str, str]]:
        """(split, name, why) of everything that cannot be read."""
        return [
            (split.name, finding.sample.name, fault)
            for split in self.splits
            for finding in split.findings
            for fault in finding.faults
        ]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain lists, strings and numbers, for JSON."""
        dataset = self.dataset
        return {
            "format": dataset.format,
            "root": None if dataset.root is None else str(dataset.root),
            "images": dataset.reading.images,
            "masks": dataset.reading.masks,
            "classes": dataset.classes.to_dict(),
            "notes": list(dataset.notes),
            "problems": list(dataset.problems),
            "faults": [{"split": split, "name": name, "fault": fault} for split, name, fault in self.faults],
            "splits": {split.name: split.to_dict(dataset.classes.names) for split in self.splits},
            "duplicates": [
                {"kind": one.kind, "first": list(one.first), "second": list(one.second), "distance": one.distance}
                for one in self.duplicates
            ],
        }


def inspect_dataset(
    dataset: Dataset, splits: Sequence[str] = (), on_done: Callable[[], None] | None = None
) -> Inspection:
    """Decode every image and mask of a data set and say what they are.

    Args:
        dataset: an opened data set.
        splits: the names of those to look at; all where none is named.
        on_done: called after each sample, in order, from the calling thread.

    Raises:
        UserError: a split that is named is not there or empty, or reading needs a package that is not installed.
    """
    names = tuple(dict.fromkeys(splits)) or tuple(dataset.splits)
    samples = {name: dataset.split(name) if splits else dataset.splits[name] for name in names}
    inspected = []
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        for name in names:
            findings = []
            for finding in pool.map(lambda sample: look_at(sample, len(dataset.classes), dataset.bands), samples[name]):
                findings.append(finding)
                if on_done is not None:
                    on_done()
            inspected.append(SplitInspection(name, findings, len(dataset.classes)))
    seen = [
        [
            Candidate(split.name, finding.sample.name, image_file(finding.sample), finding.look)
            for finding in split.findings
            if finding.look is not None
        ]
        for split in inspected
    ]
    pairs = [] if dataset.format == "scenes" else combinations(seen, 2)  # splits share windows, but no label
    duplicates = [one for first, second in pairs for one in find_duplicates(first, second)]
    return Inspection(dataset, inspected, duplicates)


def choose_shown(inspection: Inspection, most: int = 12, least: int = 6) -> list[tuple[str, Sample]]:
    """Split and sample of a few that together show every class, as far as `most` can; at least `least` where there are.

    One after the other the sample is taken that shows the most classes not yet shown; then others, evenly spaced. To
    show a class is to give it 1/500 of the image, or as much as any image gives it where none gives so much.
    """
    readable = [
        (split.name, finding.sample, finding.pixels)
        for split in inspection.splits
        for finding in split.findings
        if finding.size is not None and finding.pixels is not None
    ]
    if not readable:
        return []
    shares = np.stack([pixels[:-1] / pixels.sum() for _, _, pixels in readable])
    shown = (shares > 0) & (shares >= np.minimum(1 / 500, shares.max(axis=0)))
    chosen: list[int] = []
    wanted = shown.any(axis=0)
    while wanted.any() and len(chosen) < most:
        chosen.append(int(np.argmax((shown & wanted).sum(axis=1))))
        wanted &= ~shown[chosen[-1]]
    rest = [k for k in range(len(readable)) if k not in chosen]
    lacking = min(max(0, least - len(chosen)), len(rest))
    chosen += [rest[k * len(rest) // lacking] for k in range(lacking)]
    return [readable[k][:2] for k in sorted(chosen)]
