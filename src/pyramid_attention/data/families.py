"""The files of a folder in families: one pattern of folders, one suffix, as "{split}/images/*.jpg".

Folders whose names do not matter (scenes, patients, one folder an image) are one family; folders that tell images from
masks are one each. Words that the field uses say which they are, or numbers in the names, and, where
neither does, by what a file of each looks like.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from .looks import Look, look_at_file
from .mask_files import ARRAY_SUFFIXES
from .pairing import MASK_SUFFIXES
from .split_names import WORD, by_split, split_name
from .tree import Tree, stem

IMAGE_WORDS = """
image images img imgs im photo photos photograph photographs picture pictures pic pics rgb sat satellite input
inputs original originals raw tissue frame frames camera ortho
"""
MASK_WORDS = """
mask masks label labels lab labs gt gts truth groundtruth annotation annotations annot annots anno annos ann anns
seg segs segm segmentation segmentations segmap manual semantic trimap trimaps target targets matte labelids
labeltrainids labelled labeled labelling
"""
OTHER_WORDS = """
depth disparity disp dsm ndsm dem nir ir irrg thermal edge edges boundary boundaries contour contours instance
instances inst instanceids skeleton superpixel superpixels overlay overlays blend preview vis visualization
visualisation heatmap weight weights confidence fov roi flow panoptic bbox prediction predictions pred preds result
results noboundary
"""
ROLES: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {
    "other": (frozenset(OTHER_WORDS.split()), ()),
    "mask": (frozenset(MASK_WORDS.split()), ("mask", "label", "annot", "segm", "groundtruth")),
    "image": (frozenset(IMAGE_WORDS.split()), ("image", "photo")),
}
"""The words that tell what files are, and how such words may begin; the first that fits counts."""
SAME_SUFFIX = {".jpeg": ".jpg", ".tiff": ".tif"}
VARIABLE = "\0"
"""Stands in a folder's name for what varies."""
MANY = 24
"""Folders beside one another that are more than this do not tell images from masks."""
LOOKED_AT = 6


def words(text: str) -> set[str]:
    """The words of a name, in lower case: "leftImg8bit" has left, img and bit."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text.replace("{split}", " "))}


def role(text: str) -> str:
    """What a name says its files are: "other" (depth, instances, …), "mask", "image", or "" where it does not."""
    found = words(text)
    for name, (known, beginnings) in ROLES.items():
        if any(word in known or word.startswith(beginnings) for word in found):
            return name
    return ""


class Entry(NamedTuple):
    """A file: its path, its split as written ("" for none), what varies in its folders, and its stem."""

    file: str
    split: str
    parts: tuple[str, ...]
    stem: str


@dataclass
class Family:
    """Files of one pattern of folders and one suffix; `VARIABLE` in a folder stands for a part of an `Entry`.

    `deep` says whether it holds files of folders below too.
    """

    folder: tuple[str, ...]
    suffix: str
    entries: list[Entry]
    deep: bool = False

    @cached_property
    def suffixes(self) -> frozenset[str]:
        """The suffixes as they are written."""
        return frozenset(os.path.splitext(entry.file)[1] for entry in self.entries)

    @cached_property
    def files(self) -> frozenset[str]:
        """The paths of the files."""
        return frozenset(entry.file for entry in self.entries)

    @property
    def is_array(self) -> bool:
        """Whether the files are arrays, which images are not."""
        return self.suffix in ARRAY_SUFFIXES


@dataclass
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    files: dict[str, list[Entry]] = field(default_factory=dict)


class Grouping:
    """Groups the files of a tree into families; looks at a few where names do not tell.

    Attributes:
        families: what was found.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._looks: dict[str, Look | None] = {}
        self._varying: set[str] = set()
        root = self._planted()
        self._grouped(root)  # to learn which names vary among images, which tells it of masks
        self.families = _joined(self._grouped(root))

    def look(self, file: str) -> Look | None:
        """What a file looks like; each is opened once."""
        if file not in self._looks:
            self._looks[file] = look_at_file(self.tree.path(file))
        return self._looks[file]

    def _planted(self) -> _Node:
        """The files by folder, in which the names of splits stand as {split}, and by suffix."""
        files = self.tree.below("", MASK_SUFFIXES)
        folders = {file.rpartition("/")[0] for file in files}
        parts_of = {folder: folder.split("/") if folder else [] for folder in folders}
        above = {
            tuple(parts[:i]) for parts in parts_of.values() for i, part in enumerate(parts) if WORD.fullmatch(part)
        }
        splits = _unified({folder: _with_split(parts, above) for folder, parts in parts_of.items()})
        _refuse_twins(self.tree, parts_of, splits)
        named = {split_name(split) for _, split, _ in splits.values() if split}
        if len(named) == 1 and not any(whole for _, _, whole in splits.values()):  # part of a name, as "stage1_train"
            splits = {folder: (tuple(folder.split("/")) if folder else (), "", False) for folder in folders}
        root = _Node()
        for file in files:
            folder, _, name = file.rpartition("/")
            parts, split, _ = splits[folder]
            node = root
            for part in parts:
                node = node.children.setdefault(part, _Node())
            suffix = SAME_SUFFIX.get(self.tree.suffix(file), self.tree.suffix(file))
            said = stem(name)
            if split and split.lower() in said.lower():
                said = re.sub(rf"(?<![A-Za-z]){split}(?![A-Za-z])", "{split}", said, flags=re.IGNORECASE)
            node.files.setdefault(suffix, []).append(Entry(file, split, (), said))
        return root

    def _grouped(self, node: _Node, depth: int = 0) -> list[Family]:
        families = [Family((), suffix, entries) for suffix, entries in node.files.items()]
        children = {name: self._grouped(child, depth + 1) for name, child in node.children.items()}
        levels = {name: level for level in self._levels(children) for name in level}
        merged: dict[tuple[tuple[str, ...], str, bool], list[Entry]] = {}
        for name, below in children.items():
            level = levels.get(name, [])
            before, after = ("", "") if all(map(self._is_varying, level)) else _affixes(level)
            part = name[len(before) : len(name) - len(after)]
            for family in below:
                if level:
                    entries = [Entry(file, split, (part, *parts), said) for file, split, parts, said in family.entries]
                    folder = (f"{before}{VARIABLE}{after}", *family.folder)
                    merged.setdefault((folder, family.suffix, family.deep), []).extend(entries)
                if not level or (not family.folder and len(level) <= LOOKED_AT):
                    families.append(replace(family, folder=(name, *family.folder)))
        families += [Family(folder, suffix, entries, deep) for (folder, suffix, deep), entries in merged.items()]
        return families + _with_below(families, depth)

    def _levels(self, children: dict[str, list[Family]]) -> list[list[str]]:
        """The names of folders, beside one another, that only tell one image from another: each list is one level."""
        named = sorted(name for name, below in children.items() if below and "{split}" not in name)
        numbered: dict[str, list[str]] = {}
        for name in named:
            numbered.setdefault(re.sub(r"\d+", "#", name), []).append(name)
        levels = [names for names in numbered.values() if len(names) > 1]
        plain = [name for name in named if not role(name)]
        if len(plain) < 2 or plain in levels:
            return levels
        some = plain[:: -(-len(plain) // LOOKED_AT)]
        with_images = {name for name in some if any(self._shows_images(family) for family in children[name])}
        if len(plain) > MANY or len(with_images) == len(some):
            self._varying.update(plain)
            return [plain]
        if not with_images and _share_no_stem(children[name] for name in plain):
            return [plain]
        known = [name for name in plain if name in with_images or self._is_varying(name)]
        return [known] if len(known) > 1 else levels

    def _is_varying(self, name: str) -> bool:
        """Whether a name is known to tell one image from another: a file's, or a folder's of images."""
        return name in self._varying or name in self._stems

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(stem(file.rpartition("/")[2]) for file in self.tree.below("", MASK_SUFFIXES))

    def _shows_images(self, family: Family) -> bool:
        look = self.look(family.entries[0].file)
        return look is not None and look.kind == "image"


def _share_no_stem(folders: Iterable[Sequence[Family]]) -> bool:
    """Whether no stem is in two folders: then they divide masks, and are no two kinds of them."""
    stems = [{entry.stem for family in of for entry in family.entries} for of in folders]
    return sum(map(len, stems)) == len(set[str]().union(*stems))


def _with_split(folders: Sequence[str], of_splits: Collection[tuple[str, ...]]) -> tuple[tuple[str, ...], str, bool]:
    """Folders with the name of the split as {split}, that name, and whether it is a folder's whole name.

    In a folder of `of_splits`, which holds train, val or test, any name that tells nothing else is a split's too.
    """
    split = ""
    whole = False
    parts = []
    for place, folder in enumerate(folders):
        found = WORD.search(folder)
        if found is not None and (not split or found[0].lower() == split.lower()):
            split = split or found[0]
            whole = whole or found[0] == folder
            folder = f"{folder[: found.start()]}{{split}}{folder[found.end() :]}"
        elif not split and tuple(folders[:place]) in of_splits and not role(folder):
            split, folder = folder, "{split}"
        parts.append(folder)
    return tuple(parts), split, whole


def _refuse_twins(
    tree: Tree, parts_of: dict[str, list[str]], splits: dict[str, tuple[tuple[str, ...], str, bool]]
) -> None:
    """Raise where two folders beside one another are of one split, as val and valid.

    Raises:
        UserError: they are.
    """
    beside: dict[tuple[str, str], set[str]] = {}
    for folder, raw in parts_of.items():
        for place, part in enumerate(splits[folder][0]):
            if "{split}" in part:
                beside.setdefault(("/".join(raw[:place]), part), set()).add(raw[place])
    for (above, part), names in beside.items():
        start, _, end = part.partition("{split}")
        by_split(tree.path(above), [(name[len(start) : len(name) - len(end)], name) for name in sorted(names)])


def _unified(
    splits: dict[str, tuple[tuple[str, ...], str, bool]],
) -> dict[str, tuple[tuple[str, ...], str, bool]]:
    """The same, where folders of two splits beside one another differ in more than the split with "*" for the rest."""
    beside: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for parts, split, _ in splits.values():
        for place, part in enumerate(parts):
            if "{split}" in part:
                beside.setdefault(parts[:place], {}).setdefault(part, set()).add(split_name(split))
    renamed: dict[tuple[str, ...], str] = {}
    for above, of in beside.items():
        named = [split for of_part in of.values() for split in of_part]
        if len(of) > 1 and len(named) == len(set(named)) == len(of):
            sides = [part.partition("{split}")[::2] for part in of]
            before, after = ({side[end] for side in sides} for end in (0, 1))
            whole = (before.pop() if len(before) == 1 else "*") + "{split}" + (after.pop() if len(after) == 1 else "*")
            renamed |= {(*above, part): whole for part in of}
    return {
        folder: (tuple(renamed.get(parts[: i + 1], part) for i, part in enumerate(parts)), split, whole)
        for folder, (parts, split, whole) in splits.items()
    }


def _affixes(names: Sequence[str]) -> tuple[str, str]:
    """What names that differ in a number share before and after it; nothing for other names."""
    found = [re.fullmatch(r"(\D*)(\d+)(\D*)", name) for name in names]
    around = {(match[1], match[3]) if match is not None else ("", "") for match in found}
    return around.pop() if len(around) == 1 else ("", "")


def _with_below(families: Sequence[Family], depth: int) -> list[Family]:
    """The files of a folder with those of the folders below it that have no role, as one family: "a" and "x/a".

    Args:
        depth: of the folder, below the root.
    """
    found = []
    for family in families:
        below = [one for one in families if one.folder and one.suffix == family.suffix and not one.deep]
        below = [other for other in below if not any(map(_tells, other.folder))]
        if family.folder or family.deep or not below:
            continue
        deeper = {
            Entry(entry.file, entry.split, (), stem(entry.file.split("/", depth)[depth]))
            for other in below
            for entry in other.entries
        }
        found.append(Family((), family.suffix, [*family.entries, *sorted(deeper)], deep=True))
    return found


def _tells(folder: str) -> bool:
    """Whether a folder's name tells a split or what is in it."""
    return "{split}" in folder or role(folder) != ""


def _joined(families: Sequence[Family]) -> list[Family]:
    """The families, those of one folder joined that differ in the suffix and share hardly a name: .jpg beside .png."""
    joined: list[Family] = []
    for family in families:
        names = {(entry.parts, entry.split, entry.stem) for entry in family.entries}
        for other in joined:
            if (other.folder, other.deep, other.is_array) == (family.folder, family.deep, family.is_array):
                shared = sum((entry.parts, entry.split, entry.stem) in names for entry in other.entries)
                if 10 * shared < min(len(names), len(other.entries)):
                    other.entries = [*other.entries, *family.entries]
                    break
        else:
            joined.append(replace(family))
    return joined
