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

A class_names.txt or labelmap.txt beside JPEGImages gives other classes: see `mask_tables`. There, without lists, all
images are the split `train`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import UserError, require
from ...mask_tables import MaskTable, read_table
from ...pairing import Files, Report, list_files, match, match_all
from ...published import VOC
from ...samples import Dataset, MaskFileSample, Sample
from ...split_lists import lists_below, read_names
from ...tree import Tree

LAYOUT = "VOCdevkit/VOC2012 with JPEGImages/a.jpg, SegmentationClass/a.png and ImageSets/Segmentation/train.txt"

TABLE = MaskTable.of(VOC.names, VOC.colours, by_palette=False)
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
        if not np.isin(ids, np.arange(len(VOC))).all():
            raise UserError(f"{self.mask} holds ids that are no class of VOC, 0-20; unpack SBD again")
        return ids.astype(np.uint8)


def detect(tree: Tree) -> bool:
    """Whether JPEGImages stands beside SegmentationClass, here or in VOC2012 or VOCdevkit/VOC2012, with lists.

    Without these they are someone's folders of the same names.
    """
    return any(
        _lists(tree, home) or any(tree.has(_inside(home, name)) for name in ("labelmap.txt", "class_names.txt"))
        for home in _homes(tree)
    )


def read(tree: Tree) -> Dataset:
    """Read every list in ImageSets/Segmentation, and `train_aug` where SBD's masks are there; no image is opened."""
    homes = _homes(tree)
    if not homes:
        raise UserError(f"{tree.root} is not in the layout of VOC; expected {LAYOUT}")
    *others, home = homes
    folders = tree.subfolders(home)
    lists = _lists(tree, home)
    own_table = read_table(tree.path(home))
    table = own_table or TABLE
    if not lists and own_table is None:
        raise UserError(
            f"{tree.path(home)} holds neither ImageSets/Segmentation/train.txt, as VOC has it, nor class_names.txt or"
            " labelmap.txt, as annotation tools write them, to tell its classes; add one of them"
        )
    report = Report([f"{tree.path(other)} is left out; {tree.path(home)} is read" for other in others])
    images = list_files(tree, folders["jpegimages"], report)
    masks = list_files(tree, next(folders[name] for name in MASK_FOLDERS if name in folders), report)
    if not lists:
        found = {"train": match_all(images, masks, report)}
    else:
        plain = {split: path for split, path in lists.items() if split not in AUGMENTED_LISTS}
        found = {split: match(read_names(path), images, masks, path, report) for split, path in plain.items()}
    splits: dict[str, list[Sample]] = {split: [table.sample(pair) for pair in of] for split, of in found.items()}
    if own_table is None:
        of_lists = tree.path(home) / "ImageSets" / "Segmentation"
        report.notes += [
            f"{of_lists / split}.txt is missing, so there is no split '{split}'; unpack the archive of VOC again"
            for split in ("train", "val")
            if split not in lists
        ]
        if augmented := _augmented(tree, home, lists, images, masks, report):
            splits["train_aug"] = augmented
    return report.dataset("voc", tree, table.classes, splits, LAYOUT)


def _inside(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _homes(tree: Tree) -> list[str]:
    """The folders with JPEGImages and masks: the root itself, or those of the years in it or in its VOCdevkit."""
    top = tree.subfolders()
    if "jpegimages" in top:
        years = [""]
    else:
        if "vocdevkit" in top:
            top = tree.subfolders(top["vocdevkit"])
        years = [folder for name, folder in top.items() if re.fullmatch(r"voc20\d\d", name)]
    inside = {year: tree.subfolders(year) for year in years}
    return [year for year, of in inside.items() if "jpegimages" in of and any(name in of for name in MASK_FOLDERS)]


def _lists(tree: Tree, home: str) -> dict[str, Path]:
    folders = tree.subfolders(home)
    of_lists = tree.subfolders(folders["imagesets"]).get("segmentation") if "imagesets" in folders else None
    return {} if of_lists is None else lists_below(tree, of_lists)


def _augmented(
    tree: Tree, home: str, lists: dict[str, Path], images: Files, masks: Files, report: Report
) -> list[Sample]:
    """The samples of `train_aug`; none where there are no further masks."""
    folder = tree.subfolders(home).get("segmentationclassaug")
    sbd = _sbd(tree, home)
    given = next((lists[name] for name in AUGMENTED_LISTS if name in lists), None)
    if folder is None and sbd is None:
        if given:
            report.notes.append(
                f"{given} needs SegmentationClassAug or SBD's benchmark_RELEASE, which are not there; it is left out"
            )
        return []
    nothing = Files(tree.path(home), {})
    ready = list_files(tree, folder, report) if folder else nothing
    of_sbd = list_files(sbd, "cls", report, suffixes={".mat"}) if sbd else nothing
    if given:
        names = read_names(given)
    else:
        of_lists = tree.path(home) / "ImageSets" / "Segmentation"
        voc_lists = [lists.get(split, of_lists / f"{split}.txt") for split in ("train", "val")]
        sbd_lists = [sbd.path(f"{split}.txt") for split in ("train", "val")] if sbd else []
        if missing := [str(path) for path in voc_lists + sbd_lists if not path.exists()]:
            report.notes.append(f"train_aug is not built, for it needs {' and '.join(missing)}; unpack the lists again")
            return []
        train, val = (read_names(path) for path in voc_lists)
        further = [name for path in sbd_lists for name in read_names(path)] if sbd else ready.files
        names = sorted({*train, *further} - {*val})
    source = given or (sbd.root if sbd else tree.path(folder or home))
    every_mask = Files(source, {**of_sbd.files, **masks.files, **ready.files})
    pairs = match(names, images, every_mask, source, report)
    return [SbdSample(*pair[:3]) if pair.mask.suffix == ".mat" else TABLE.sample(pair) for pair in pairs]


def _sbd(tree: Tree, home: str) -> Tree | None:
    """The folder of SBD that holds cls/: in the tree or around its home."""
    devkit = tree.path(home).absolute().parent
    for place in (tree.root, tree.path(home), devkit, devkit.parent):
        for name in SBD_FOLDERS:
            for folder in (place / name / "dataset", place / name):
                if (folder / "cls").is_dir():
                    return Tree.scan(folder)
    return None
