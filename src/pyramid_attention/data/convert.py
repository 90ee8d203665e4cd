"""A data set in any format copied into the `folder` format.

    DST/images/SPLIT/NAME.jpg    the image's file, byte for byte; a PNG where it is none of 8-bit colour or grey
    DST/masks/SPLIT/NAME.png     class ids 0 … C-1 and 255 for void, an indexed PNG in the classes' colours
    DST/dataset.yaml             names and colours

Every file appears whole or not at all, so a conversion that was killed is finished by running it again. Nothing is
overwritten: `.conversion.json` tells a conversion of the same data from any other folder, and a file that is there but
differs is left as it is and reported.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from ..classes import IGNORE
from ..errors import MissingExtra, UserError, check_failures
from ..files import holds_files, make_folder, owned, whole_file, write_json
from ..images import IMAGE_SUFFIXES, RGB, pixel_type, read_image, read_label_map, write_image, write_label_map
from .inspect import image_file
from .samples import Dataset, Sample

MARKER = ".conversion.json"
THREADS = 8


@dataclass
class Conversion:
    """What became of the samples of each split: how many are in place, and what failed with one line why."""

    folder: Path
    done: dict[str, int] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def check(self) -> None:
        """Raise where something failed.

        Raises:
            SomeFailed: some samples failed and the rest are done.
            UserError: every one of them failed.
        """
        check_failures([reason for _, reason in self.failed], sum(self.done.values()), "images")


def convert_dataset(
    dataset: Dataset,
    destination: Path,
    on_done: Callable[[], None] | None = None,
) -> Conversion:
    """Copy a data set into the folder format.

    Args:
        dataset: an opened data set; what was held out of `train` when it was opened is `val` in the copy.
        destination: a folder that is new, empty, or holds the same conversion, begun before.
        on_done: called after each sample, in order, from the calling thread.

    Returns:
        what was done and what failed; see `Conversion.check`.

    Raises:
        UserError: the data set has problems that its copy would hide, or `destination` holds something else or cannot
            be written to.
    """
    dataset.refuse_problems()
    splits = {name: samples for name, samples in dataset.splits.items() if samples}
    marker = marker_of(dataset, destination, splits)
    refuse_others(destination, marker)  # before anything is written there
    with owned(destination, "conversion"):
        refuse_others(destination, marker)
        begin(dataset, destination, marker)
        return _convert(dataset, destination, splits, on_done)


def _convert(
    dataset: Dataset, destination: Path, splits: Mapping[str, Sequence[Sample]], on_done: Callable[[], None] | None
) -> Conversion:
    conversion = Conversion(destination, dict.fromkeys(splits, 0))
    work = [(split, sample) for split, samples in splits.items() for sample in samples]

    def convert(item: tuple[str, Sample]) -> str | None:
        return _convert_sample(*item, dataset, destination)

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        for (split, sample), fault in zip(work, pool.map(convert, work), strict=True):
            if fault is None:
                conversion.done[split] += 1
            else:
                conversion.failed.append((f"{split}/{sample.name}", fault))
            if on_done is not None:
                on_done()
    return conversion


def marker_of(dataset: Dataset, destination: Path, splits: Mapping[str, Sequence[Sample]]) -> dict[str, str]:
    """What tells this conversion from others."""
    source = None if dataset.root is None else dataset.root.resolve()
    place = Path(os.path.realpath(destination))  # a link to itself fails when the folder is made
    folder = source if source is None or source.is_dir() else source.parent  # that of a manifest
    if folder is not None and (place.is_relative_to(folder) or folder.is_relative_to(place)):
        raise UserError(f"{destination} and {dataset.root} lie in one another; choose a folder beside the data set")
    if dataset.format == "scenes":
        raise UserError(f"{dataset.root} holds scenes, which are read from their files in place; convert images")
    if dataset.bands != RGB:
        raise UserError(f"{dataset.root} holds images of {dataset.bands}; only images in RGB can be converted")
    members = sorted(f"{name}/{sample.name}" for name, samples in splits.items() for sample in samples)
    return {
        "source": str(source or dataset.format),
        "format": dataset.format,
        "samples": hashlib.sha256("\n".join(members).encode("utf-8", "surrogateescape")).hexdigest(),
    }


def refuse_others(destination: Path, marker: Mapping[str, str]) -> None:
    """Check that the folder holds nothing, or this conversion, begun before."""
    begun = destination / MARKER
    if begun.is_file():
        try:
            same = json.loads(begun.read_text(encoding="utf-8")) == marker
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {begun} ({error}); convert to another folder") from error
        if not same:
            raise UserError(
                f"{destination} holds the conversion of other images, or of these in other splits; choose another"
                " folder, or remove it"
            )
    elif holds_files(destination):
        raise UserError(f"{destination} already holds other files; choose a new folder")


def begin(dataset: Dataset, destination: Path, marker: Mapping[str, str]) -> None:
    """Write the marker and the classes, or check that the classes are the same as before."""
    settings = {
        "names": list(dataset.classes.names),
        "colours": [list(colour) for colour in dataset.classes.colours],
        "ignore": [IGNORE],
    }
    text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
    write_json(destination / MARKER, marker)
    file = destination / "dataset.yaml"
    if not file.exists():
        with whole_file(file) as temporary:
            temporary.write_bytes(text.encode())
    elif file.read_bytes() != text.encode():
        raise UserError(f"{file} has other classes than {marker['source']}; choose another folder, or remove it")


def _convert_sample(split: str, sample: Sample, dataset: Dataset, destination: Path) -> str | None:
    """Write image and mask of one sample where they are not there yet.

    Returns:
        why it failed; None where both are in place.

    Raises:
        UserError: a file cannot be written, which will be so for the others too.
    """
    parts = PurePosixPath(sample.name).parts
    if not parts or any(part.startswith((".", "/")) for part in parts):
        return f"'{sample.name}' cannot be the name of a file in {destination}; rename the image"
    try:
        image, labels = sample.read_image(), sample.read_mask()
        original = ordinary_file(sample)
    except MissingExtra:
        raise
    except UserError as error:
        return str(error)
    suffix = ".png" if original is None else original.suffix
    copy = destination / "images" / split / f"{sample.name}{suffix}"
    mask = destination / "masks" / split / f"{sample.name}.png"
    for folder in (copy.parent, mask.parent):
        make_folder(folder)
    try:
        mask_differs = mask.exists() and not np.array_equal(read_label_map(mask), labels)
        if copy.exists() and original is not None:
            image_differs = not filecmp.cmp(original, copy, shallow=False)
        else:
            image_differs = copy.exists() and not np.array_equal(read_image(copy), image)
    except (UserError, OSError):  # not readable: it is not what was written
        mask_differs = image_differs = True
    for file, differs in ((mask, mask_differs), (copy, image_differs)):
        if differs:
            return f"{file} is there and not what the conversion would write; it is left as it is: remove or keep it"
    if not mask.exists():  # the mask first: without its image it is only left out, the reverse is an error
        write_label_map(mask, labels, dataset.classes)
    if not copy.exists() and original is not None:
        with whole_file(copy) as temporary:
            shutil.copyfile(original, temporary)
    elif not copy.exists():
        write_image(copy, image)
    return None


def ordinary_file(sample: Sample) -> Path | None:
    """The file of a sample's image where it can be copied as it is: 8-bit colour or grey under a usual suffix."""
    file = image_file(sample)
    usual = file is not None and file.suffix.lower() in IMAGE_SUFFIXES and pixel_type(file) in ("RGB", "L")
    return file if usual else None
