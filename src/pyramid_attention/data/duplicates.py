"""The same image in two splits: exactly, by its pixels, or nearly, by how it looks in a thumbnail.

The look is a difference hash (Krawetz, "Kind of Like That", hackerfactor.com, 2013): a grey thumbnail of 9×8 pixels
gives 64 bits, each saying whether a pixel is brighter than the one to its left. Images whose hashes differ in few
bits, whose thumbnails correlate and whose details do are nearly the same: encoded anew, scaled, brightened, frames of a
standing camera. The details are what is left of a thumbnail of 32×32 pixels in blocks of 8×8 when each block has lost
its mean and slope, so that light and a common frame (of a retina, of a plain sheet) count for nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DISTANCE = 4
"""Hashes that differ in more bits are of different images.

Measured on CamVid: an image saved as JPEG of quality 30 or at half its size stays within 4 bits of itself, and one
made brighter in 97 of 100 cases; a frame to train on and one to validate on are 8 bits apart or more.
"""
CORRELATION = 0.95
"""Thumbnails that correlate less are of different images, whatever their hashes: small things on a plain ground.

On CamVid 0.98 or more for the changes above, at most 0.943 between training and validation.
"""
DETAIL = 0.5
"""Where the details of nearly all blocks correlate less, two images are different ones that are lit or framed alike.

On 1,210 images of steel strip hash and thumbnail take 86 pairs for one another, of which 5 are the same (these were
looked at, and of the others the five nearest); these have 0.85 or more, every other 0.19 or less. Retinas are drawn
alike with 0.38 at most. The changes above keep 0.56 or more on steel, CamVid, nuclei and satellite images, but for some
that became nearly white (of steel about one in twenty).
"""
QUANTILE = 15
"""The percentile of the blocks' correlations that counts: a frame that two images share fills most of the blocks."""
BLOCKS, SIDE = 4, 8
PLAIN = 6.0
"""A block whose levels have a smaller norm than this, less than one grey level each, shows nothing to compare."""

_BITS = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16).sum(axis=1, dtype=np.uint8)
"""How many bits of a 16-bit number are set."""


def _level() -> NDArray[np.float32]:
    """What takes mean and slope out of a block, 64×64."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    planes = np.stack([np.ones(SIDE**2), rows.ravel(), columns.ravel()], axis=1)
    level: NDArray[np.float32] = (np.eye(SIDE**2) - planes @ np.linalg.pinv(planes)).astype(np.float32)
    return level


_LEVEL = _level()

Kind = Literal["file", "pixels", "near"]


@dataclass(frozen=True, eq=False)
class Look:
    """What an image is recognised by.

    Attributes:
        digest: of its size and pixels.
        bits: its difference hash.
        thumbnail: 72 float32 of mean 0 and length 1, so that a product of two is their correlation; 0 if it is plain.
        details: 16×64 float16, the blocks likewise.
        textured: 16, which blocks are not plain.
    """

    digest: bytes
    bits: np.uint64
    thumbnail: NDArray[np.float32]
    details: NDArray[np.float16]
    textured: NDArray[np.bool_]

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> Look:
        """The look of an image, H×W×3 uint8."""
        digest = hashlib.blake2b(image.tobytes(), digest_size=16, person=repr(image.shape[:2]).encode()[:16])
        grey = np.asarray(Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.float32)
        bits = np.packbits(grey[:, 1:] > grey[:, :-1]).view(np.uint64)[0]
        deviation = (grey - grey.mean()).ravel()
        length = np.linalg.norm(deviation)
        side = BLOCKS * SIDE
        small = np.asarray(Image.fromarray(image).convert("L").resize((side, side), Image.Resampling.BOX), np.float32)
        blocks = small.reshape(BLOCKS, SIDE, BLOCKS, SIDE).swapaxes(1, 2).reshape(BLOCKS**2, SIDE**2) @ _LEVEL
        contrast = np.linalg.norm(blocks, axis=1)
        details = blocks / np.maximum(contrast, 1e-3)[:, None]
        return cls(
            digest.digest(),
            bits,
            deviation / length if length > 0 else deviation,
            details.astype(np.float16),
            contrast > PLAIN,
        )

    def likeness(self, other: Look) -> float:
        """The correlation of the details, -1 … 1, that nearly all blocks exceed which are not plain in both images."""
        shown = self.textured | other.textured
        if not shown.any():
            return 1.0
        products = (self.details[shown].astype(np.float32) * other.details[shown]).sum(axis=1)
        return float(np.percentile(products, QUANTILE))


@dataclass(frozen=True)
class Duplicate:
    """An image of one split that another split has too.

    Attributes:
        kind: "file" where both splits list one file, "pixels" where two files hold the same pixels, "near" where they
            look alike.
        first, second: (split, name) of each.
        distance: bits in which their hashes differ, 0 … `DISTANCE`.
    """

    kind: Kind
    first: tuple[str, str]
    second: tuple[str, str]
    distance: int


@dataclass(frozen=True, eq=False)
class Candidate:
    """An image that is compared with others: its split and name, its file (None where it has none of its own)."""

    split: str
    name: str
    file: Path | None
    look: Look


def find_duplicates(first: Sequence[Candidate], second: Sequence[Candidate]) -> list[Duplicate]:
    """For each image of `second` the one of `first` that is most like it, where one is the same or nearly.

    Time grows with the product of both lengths: some seconds for 20,000 × 5,000.
    """
    if not first:
        return []
    same = {one.look.digest: one for one in reversed(first)}
    files = {one.file: one for one in reversed(first) if one.file is not None}
    bits = np.array([one.look.bits for one in first])
    thumbnails = np.stack([one.look.thumbnail for one in first])
    found = []
    for one in second:
        twin: Candidate | None
        kind: Kind
        if (twin := files.get(one.file) if one.file is not None else None) is not None:
            kind, distance = "file", 0
        elif (twin := same.get(one.look.digest)) is not None:
            kind, distance = "pixels", 0
        else:
            distances = _distances(bits, one.look)
            near = [k for k in _alike(distances, thumbnails, one.look) if first[k].look.likeness(one.look) >= DETAIL]
            if not near:
                continue
            nearest = min(near, key=lambda k: distances[k])
            twin, kind, distance = first[nearest], "near", int(distances[nearest])
        found.append(Duplicate(kind, (twin.split, twin.name), (one.split, one.name), distance))
    return found


def _distances(bits: NDArray[np.uint64], look: Look) -> NDArray[np.int64]:
    distances: NDArray[np.int64] = _BITS[(bits ^ look.bits).view(np.uint16)].reshape(-1, 4).sum(axis=1, dtype=np.int64)
    return distances


def _alike(distances: NDArray[np.int64], thumbnails: NDArray[np.float32], look: Look) -> list[int]:
    near = np.flatnonzero(distances <= DISTANCE)
    near = near[thumbnails[near] @ look.thumbnail >= CORRELATION]
    return [int(k) for k in near]


def group_alike(looks: Sequence[Look]) -> list[int]:
    """Groups of images that are the same or nearly: of each image the place of the first one of its group.

    What is alike to one of a group is in it, so that a standing camera makes one group. Time grows with the square of
    the number of images.
    """
    if not looks:
        return []
    heads = list(range(len(looks)))

    def head(place: int) -> int:
        while heads[place] != place:
            heads[place] = heads[heads[place]]
            place = heads[place]
        return place

    bits = np.array([look.bits for look in looks])
    thumbnails = np.stack([look.thumbnail for look in looks])
    for place, look in enumerate(looks):
        before = _distances(bits[:place], look)
        for other in _alike(before, thumbnails[:place], look):
            ours, theirs = sorted((head(place), head(other)))
            if ours != theirs and (look.digest == looks[other].digest or look.likeness(looks[other]) >= DETAIL):
                heads[theirs] = ours
    return [head(place) for place in range(len(looks))]
