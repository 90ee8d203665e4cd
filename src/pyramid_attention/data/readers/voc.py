"""PASCAL VOC's segmentation task, with SBD's further masks, and the layout as annotation tools export it.

    VOCdevkit/VOC2012/
        ImageSets/Segmentation/train.txt  val.txt  trainval.txt  test.txt       a stem a line
        JPEGImages/2007_000032.jpg  …
        SegmentationClass/2007_000032.png  …        ids 0 … 20 (0 is the background), 255 for the border and void;
                                                    or the colours of these, as copies have them
        SegmentationClassAug/2008_000002.png  …     optional: SBD's masks as ids, see `train_aug`
    benchmark_RELEASE/dataset/                      optional: SBD, in one of these folders or beside VOCdevkit
        train.txt  val.txt  cls/2008_000002.mat  …

Names, order and colours are those of the development kit (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/). The server
keeps the masks of the test list, so that split has no samples.

`train_aug` is the training set of 10,582 images that papers call "trainaug": the train and val lists of SBD (the
Semantic Boundaries Dataset, Hariharan et al., 2011) and VOC's train, without VOC's val. A mask is taken from
SegmentationClassAug if it is there, then from VOC, then from SBD's .mat files (field GTcls.Segmentation).

A class_names.txt or labelmap.txt beside JPEGImages gives other classes: see `voc_masks`. There, without lists, all
images are the split `train`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...classes import voc_colours
from ...errors import UserError, require
from ..samples import Dataset, MaskFileSample, Sample
from .listing import Listing, list_files, match, match_all, read_names
from .pairs import subfolders
from .split_lists import lists_below
from .voc_masks import MaskTable, read_table

LAYOUT = "VOCdevkit/VOC2012 with JPEGImages/a.jpg, SegmentationClass/a.png and ImageSets/Segmentation/train.txt"

NAMES = (
    "background",
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
TABLE = MaskTable.of(NAMES, voc_colours(len(NAMES)), by_palette=False)
CLASSES = TABLE.classes
MASK_FOLDERS = ("segmentationclasspng", "segmentationclass", "segmentationclassaug")
"""The first of them counts: labelme once wrote arrays into SegmentationClass and images into SegmentationClassPNG."""
AUGMENTED_LISTS = ("trainaug", "train_aug")
SBD_FOLDERS = ("benchmark_RELEASE", "benchmark", "VOCaug", "SBD", "sbd")


@dataclass(frozen=True, eq=False)
class SbdSample(MaskFileSample):
    """An image of VOC with a mask of SBD, a MATLAB file."""

    def read_labels(self) -> NDArray[np.uint8]:
        """See `MaskFileSample`; SBD has no void.

        Raises:
            MissingExtra: SciPy is not installed.
        """
        require("reading SBD's .mat files", "scipy")
        from scipy.io import loadmat

        try:
            with open(self.mask, "rb") as file:
                ids = np.asarray(loadmat(file)["GTcls"]["Segmentation"][0, 0])
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise UserError(f"cannot read {self.mask}: {error.strerror}; check the path") from error
        except Exception as error:  # on a damaged file the reader raises whatever it stumbles over
            raise UserError(f"{self.mask} is no mask of SBD or damaged ({error!r}); unpack SBD again") from error
        if not np.isin(ids, np.arange(len(CLASSES))).all():
            raise UserError(f"{self.mask} holds ids that are no class of VOC, 0-20; unpack SBD again")
        return ids.astype(np.uint8)


def detect(root: Path) -> bool:
    """Whether JPEGImages stands beside SegmentationClass, here or in VOC2012 or VOCdevkit/VOC2012."""
    return bool(_homes(root))


def read(root: Path) -> Dataset:
    """Read every list in ImageSets/Segmentation, and `train_aug` where SBD's masks are there; no image is opened.

    Raises:
        UserError: it is not VOC's layout, nothing says what the ids mean, no image has a mask, or a list or folder
            cannot be read.
    """
    homes = _homes(root)
    if not homes:
        raise UserError(f"{root} is not in the layout of VOC; expected {LAYOUT}")
    *others, home = homes
    notes = [f"{other} is left out; {home} is read" for other in others]
    folders = subfolders(home)
    of_lists = subfolders(folders["imagesets"]).get("segmentation") if "imagesets" in folders else None
    lists = {} if of_lists is None else lists_below(of_lists)
    own_table = read_table(home)
    table = own_table or TABLE
    if not lists and own_table is None:
        raise UserError(
            f"{home} holds neither ImageSets/Segmentation/train.txt, as VOC has it, nor class_names.txt or"
            " labelmap.txt, as annotation tools write them, to tell its classes; add one of them"
        )
    images = list_files(folders["jpegimages"])
    masks = list_files(next(folders[name] for name in MASK_FOLDERS if name in folders))
    problems = images.problems + masks.problems
    splits: dict[str, list[Sample]] = {}
    if not lists:
        found = [("train", *match_all(images, masks))]
    else:
        plain = [(split, path) for split, path in lists.items() if split not in AUGMENTED_LISTS]
        found = [(split, *match(read_names(path), images, masks, path)) for split, path in plain]
    for split, pairs, left_out in found:
        notes += left_out
        if pairs:
            splits[split] = [table.sample(*pair) for pair in pairs]
    if own_table is None:
        notes += [
            f"{home / 'ImageSets' / 'Segmentation' / split}.txt is missing, so there is no split '{split}'; unpack the"
            " archive of VOC again"
            for split in ("train", "val")
            if split not in lists
        ]
        augmented, left_out, wrong = _augmented(root, home, lists, images, masks)
        notes += left_out
        problems += [problem for problem in wrong if problem not in problems]  # one folder may be both kinds of masks
        if augmented:
            splits["train_aug"] = augmented
    if not splits:
        raise UserError(f"{home} holds no image with a mask{': ' + notes[0] if notes else ''}; expected {LAYOUT}")
    return Dataset("voc", root, table.classes, splits, tuple(notes), tuple(problems))


def _homes(root: Path) -> list[Path]:
    """The folders with JPEGImages and masks: `root` itself, or those of the years in it or in its VOCdevkit."""
    top = subfolders(root)
    if "jpegimages" in top:
        years = [root]
    else:
        if "vocdevkit" in top:
            top = subfolders(top["vocdevkit"])
        years = [folder for name, folder in top.items() if re.fullmatch(r"voc20\d\d", name)]
    homes = []
    for year in years:
        inside = subfolders(year)
        if "jpegimages" in inside and any(name in inside for name in MASK_FOLDERS):
            homes.append(year)
    return homes


def _augmented(
    root: Path, home: Path, lists: dict[str, Path], images: Listing, masks: Listing
) -> tuple[list[Sample], list[str], list[str]]:
    """The samples of `train_aug` (none where there are no further masks), notes and problems."""
    folder = subfolders(home).get("segmentationclassaug")
    sbd = _sbd(root, home)
    given = next((lists[name] for name in AUGMENTED_LISTS if name in lists), None)
    if folder is None and sbd is None:
        lacking = f"{given} needs SegmentationClassAug or SBD's benchmark_RELEASE, which are not there; it is left out"
        return [], [lacking] if given else [], []
    nothing = Listing(home, {}, [])
    ready = list_files(folder) if folder else nothing
    of_sbd = list_files(sbd / "cls", suffixes={".mat"}) if sbd else nothing
    if given:
        names = read_names(given)
    else:
        voc_lists = [
            lists.get(split, home / "ImageSets" / "Segmentation" / f"{split}.txt") for split in ("train", "val")
        ]
        sbd_lists = [sbd / "train.txt", sbd / "val.txt"] if sbd else []
        missing = [str(path) for path in voc_lists + sbd_lists if not os.path.exists(path)]
        if missing:
            note = f"train_aug is not built, for it needs {' and '.join(missing)}; unpack the lists again"
            return [], [note], ready.problems
        train, val = (read_names(path) for path in voc_lists)
        further = [name for path in sbd_lists for name in read_names(path)] if sbd else ready.files
        names = sorted({*train, *further} - {*val})
    source = given or sbd or folder or home
    every_mask = Listing(source, {**of_sbd.files, **masks.files, **ready.files}, [])
    pairs, notes = match(names, images, every_mask, source)
    samples: list[Sample] = [SbdSample(*pair) if pair[2].suffix == ".mat" else TABLE.sample(*pair) for pair in pairs]
    return samples, notes, ready.problems


def _sbd(root: Path, home: Path) -> Path | None:
    """The folder of SBD that holds cls/: in `root`, in `home` or around them."""
    devkit = home.absolute().parent
    for place in (root, home, devkit, devkit.parent):
        for name in SBD_FOLDERS:
            for folder in (place / name / "dataset", place / name):
                if os.path.isdir(folder / "cls"):
                    return folder
    return None
