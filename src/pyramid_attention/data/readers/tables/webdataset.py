"""Shards of the WebDataset library: tar files in which the files of a sample stand one after the other.

    train-000000.tar    a.jpg, a.png, deep/b.jpg, deep/b.png, …
    index.json          for each shard its samples, and where in it their image and mask begin and end
    dataset.yaml        names and colours

A sample's key is its path up to the first dot of its name; its mask is the file with an ending of `MASKS` (a.png beside
a.jpg, a.mask.png, a.seg.png), its image the other. Shards that others made have no index: then the headers in them are
read once. With the places known, any sample is read by itself, so that an epoch has the same images in the same order
as from folders; who reads them in their order (validation, conversion, inspection) reads the file from end to end.

Format: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

from ....errors import UserError
from ....images import IMAGE_SUFFIXES
from ...class_lists import find_class_lists
from ...mask_survey import Masks, reader_of
from ...members import INDEX, Member, members_of
from ...pairing import Pair, Report
from ...parquet import CellSample
from ...samples import Dataset
from ...settings import read_settings
from ...small_files import read_json
from ...split_names import WORD, split_name
from ...tree import Tree, suffix_of

LAYOUT = "tar files with an image and a mask for each key, such as a.jpg and a.png"
MASKS = (".mask.png", ".seg.png", ".label.png", ".png")
"""The endings of masks; the first that a key has."""


def detect(tree: Tree) -> bool:
    """Whether there are tar files, and the first begins with images."""
    return bool(tree.below("", {".tar"})) and bool(_places(tree))


def read(tree: Tree) -> Dataset:
    """Read the places of all images and masks; masks are decoded to find what they mean."""
    report = Report()
    pairs: dict[str, list[tuple[Member, Member]]] = {}
    for file, members in _places(tree).items():
        word = WORD.search(file)
        split = pairs.setdefault(split_name(word[0]) if word is not None else "train", [])
        keys: dict[str, list[Member]] = {}
        for member in members:
            keys.setdefault(member.name, []).append(member)
        found = {key: pair for key, of in keys.items() if (pair := _pair(of)) is not None}
        report.left_out(keys.keys() - found.keys(), len(keys), f"of {tree.path(file)} lack an image or a mask")
        split.extend(found.values())
    report.refuse_empty(tree, pairs, LAYOUT)
    settings = read_settings(tree.path("dataset.yaml"))
    meaning = settings.meaning([])
    if meaning is None:
        masks = Masks(tree.root, [mask for of in pairs.values() for _, mask in of], Member.values)
        meaning = masks.find(find_class_lists(tree, ""), void=settings.void)
        report.notes += masks.notes
    meant = reader_of(meaning)(Pair("", tree.root, tree.root), tree.root, "")
    samples = {split: [CellSample(image.name, image, mask, meant) for image, mask in of] for split, of in pairs.items()}
    return report.dataset("webdataset", tree, meaning.classes, samples, LAYOUT)


def _pair(members: list[Member]) -> tuple[Member, Member] | None:
    """The image and the mask among the files of a key."""
    for ending in MASKS:
        masks = [one for one in members if one.path.lower().endswith(ending)]
        images = [one for one in members if one not in masks and suffix_of(one.path) in IMAGE_SUFFIXES]
        if masks and images:
            return images[0], masks[0]
    return None


def _places(tree: Tree) -> dict[str, list[Member]]:
    """The files of each shard, by the index or by the shards themselves."""
    if tree.has(INDEX):
        try:
            shards = read_json(tree.path(INDEX))["shards"]
            return {
                file: [Member(tree.path(file), str(path), int(begin), int(size)) for path, begin, size in members]
                for file, members in shards.items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{tree.path(INDEX)} is no index of shards ({error}); remove it") from None
    return {file: list(members_of(tree.path(file))) for file in tree.below("", {".tar"})}
