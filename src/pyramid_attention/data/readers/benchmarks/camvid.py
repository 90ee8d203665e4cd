"""CamVid in the 11-class form introduced with SegNet (Badrinarayanan, Kendall, Cipolla, 2015).

    train/      0001TP_006690.jpg  …        val/      …      test/      …
    trainannot/ 0001TP_006690.png  …        valannot/ …      testannot/ …

Masks hold the ids 0 … 10 in the order of the class table, and 11 (or 255) for void. Images are JPEG or PNG.
"""

from __future__ import annotations

from ....classes import IGNORE
from ...pairing import Report, match_layout, with_ids
from ...published import CAMVID
from ...samples import Dataset, id_lookup
from ...split_names import by_split
from ...tree import Tree

LAYOUT = "train/a.jpg with trainannot/a.png, val/ with valannot/, test/ with testannot/"
VOID = 11


def detect(tree: Tree) -> bool:
    """Whether a folder has another beside it with "annot" added, and no `dataset.yaml` tells of other classes."""
    folders = tree.subfolders()
    return any(f"{name}annot" in folders for name in folders) and not tree.has("dataset.yaml")


def read(tree: Tree) -> Dataset:
    """Read every split found; no image is opened."""
    folders = tree.subfolders()
    by_split(tree.root, [two for two in folders.items() if f"{two[0]}annot" in folders])
    report = Report()
    pairs = match_layout(tree, "{split}/{id}.*", "{split}annot/{id}.*", report)
    lookup = id_lookup(range(len(CAMVID)), (VOID, IGNORE))
    return report.dataset("camvid", tree, CAMVID, with_ids(pairs, lookup), LAYOUT)
