"""CamVid as it was published (Brostow, Fauqueur, Cipolla, 2009): 701 images of 960×720, masks in 32 colours.

    701_StillsRaw_full/0001TP_006690.png  …         or images/, as fastai packs it
    LabeledApproved_full/0001TP_006690_L.png  …     or labels/: _L in colours, _P of ids, lines of codes.txt
    train.txt  val.txt  test.txt                    optional (valid.txt too): a stem or a file name a line

The names and colours are those of label_colors.txt (http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/), in its
alphabetical order; of the 32, Void is void. With a list of val alone the other images are `train`, without lists
all are. The form with 11 classes is `camvid`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....classes import IGNORE
from ....errors import UserError, nearest
from ...pairing import Files, Pair, Report, list_files, match, match_all
from ...published import CAMVID32
from ...samples import ColourSample, Dataset, Sample, id_lookup
from ...small_files import read_lines
from ...split_lists import find_lists, read_names
from ...tree import Tree, few

LAYOUT = "701_StillsRaw_full/a.png with LabeledApproved_full/a_L.png, or images/a.png, labels/a_P.png and codes.txt"

LABELS = {**{colour: label for label, colour in enumerate(CAMVID32.colours)}, CAMVID32.void_colour: IGNORE}


def detect(tree: Tree) -> bool:
    """Whether the two folders of the archive stand side by side, or fastai's two and codes.txt."""
    top = tree.subfolders()
    if "701_stillsraw_full" in top:
        return "labeledapproved_full" in top
    return "images" in top and "labels" in top and tree.has("codes.txt")


def read(tree: Tree) -> Dataset:
    """Read the lists, or all images as `train`; no image is opened."""
    top = tree.subfolders()
    images_in = top.get("701_stillsraw_full") or top.get("images")
    masks_in = top.get("labeledapproved_full") or top.get("labels")
    if images_in is None or masks_in is None:
        raise UserError(f"{tree.root} is not in the layout of CamVid; expected {LAYOUT}")
    report = Report()
    images = list_files(tree, images_in, report)
    in_colours, of_ids = (list_files(tree, masks_in, report, ending) for ending in ("_L", "_P"))
    pairs = _splits(tree, images, Files(in_colours.folder, {**of_ids.files, **in_colours.files}), report)
    lookup = _lookup(tree.path("codes.txt")) if of_ids.files else id_lookup([], [IGNORE])

    def sample(pair: Pair) -> Sample:
        if pair.name in in_colours.files:
            return ColourSample(pair.name, pair.image, pair.mask, LABELS)
        return pair.with_ids(lookup)

    splits = {split: [sample(pair) for pair in found] for split, found in pairs.items()}
    return report.dataset("camvid32", tree, CAMVID32, splits, LAYOUT)


def _splits(tree: Tree, images: Files, masks: Files, report: Report) -> dict[str, list[Pair]]:
    """The pairs by split."""
    lists = find_lists(tree)
    if not lists:
        return {"train": match_all(images, masks, report)}
    names = {split: (read_names(path), path) for split, path in sorted(lists.items())}
    listed = {name for found, _ in names.values() for name in found}
    others = [name for name in images.files if name not in listed]
    if "train" not in names:
        names["train"] = others, images.folder
    elif others:
        report.notes.append(f"{len(others)} images in {images.folder} are in no list and are left out ({few(others)})")
    return {split: match(found, images, masks, source, report) for split, (found, source) in names.items()}


def _lookup(codes: Path) -> NDArray[np.int16]:
    """The labels of the ids that codes.txt gives names to, one a line from 0."""
    ids = {name: i for i, name in enumerate(read_lines(codes))}
    for name in ids:
        if name not in CAMVID32.names and name != CAMVID32.void_name:
            raise UserError(f"{codes} names '{name}', which is no class of CamVid.{nearest(name, CAMVID32.names)}")
    missing = [name for name in CAMVID32.names if name not in ids]
    if missing:
        raise UserError(f"{codes} lacks {few(missing)}; it has one line for each of CamVid's 32 names")
    return id_lookup([ids[name] for name in CAMVID32.names], [IGNORE, ids.get(CAMVID32.void_name, IGNORE)])
