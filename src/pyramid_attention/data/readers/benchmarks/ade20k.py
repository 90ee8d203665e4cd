"""ADE20K as the Scene Parsing Challenge 2016 published it: 150 classes, 20,210 images to train, 2,000 to validate.

    ADEChallengeData2016/
        images/training/ADE_train_00000001.jpg          images/validation/ADE_val_00000001.jpg
        annotations/training/ADE_train_00000001.png     annotations/validation/ADE_val_00000001.png
        objectInfo150.txt  sceneCategories.txt          not read

Masks hold 1 … 150 in the order of the class table, and 0 for what is no class, which counts nowhere. The full ADE20K
of 3,000 classes is another format.
"""

from __future__ import annotations

from ....errors import UserError
from ...pairing import Report, match_layout, with_ids
from ...published import ADE20K, ADE20K_IDS
from ...samples import Dataset, id_lookup
from ...tree import Tree

LAYOUT = "ADEChallengeData2016 with images/training/ADE_train_1.jpg and annotations/training/ADE_train_1.png"


def detect(tree: Tree) -> bool:
    """Whether images/ and annotations/ stand here or in ADEChallengeData2016 with files of ADE20K's names."""
    home = _home(tree)
    return home is not None and any(
        file.rpartition("/")[2].startswith("ADE_") for file in tree.images(f"{home}annotations")
    )


def read(tree: Tree) -> Dataset:
    """Read train and val; no image is opened."""
    home = _home(tree)
    if home is None:
        raise UserError(f"{tree.root} is not in the layout of ADE20K; expected {LAYOUT}")
    report = Report()
    pairs = match_layout(tree, f"{home}images/{{split}}/{{id}}.*", f"{home}annotations/{{split}}/{{id}}.*", report)
    return report.dataset("ade20k", tree, ADE20K, with_ids(pairs, id_lookup(ADE20K_IDS, [0])), LAYOUT)


def _home(tree: Tree) -> str | None:
    """The folder with images/ and annotations/, as the beginning of a path: "" or "ADEChallengeData2016/"."""
    top = tree.subfolders()
    for folder in ("", top.get("adechallengedata2016")):
        if folder is not None and {"images", "annotations"} <= tree.subfolders(folder).keys():
            return f"{folder}/" if folder else ""
    return None
