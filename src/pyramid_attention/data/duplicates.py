"""The same image in two splits: exactly, by its pixels, or nearly, by how it looks in a thumbnail.

The look is a difference hash (Krawetz, "Kind of Like That", hackerfactor.com, 2013): a grey thumbnail of 9×8 pixels
gives 64 bits, each saying whether a pixel is brighter than the one to its left. Images whose hashes differ in few
bits and whose thumbnails correlate are nearly the same: encoded anew, scaled, brightened, frames of a standing camera.
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

_BITS = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16).sum(axis=1, dtype=np.uint8)
"""How many bits of a 16-bit number are set."""

Kind = Literal["file", "pixels", "near"]


@dataclass(frozen=True, eq=False)
class Look:
    """What an image is recognised by.

    Attributes:
        digest: of its size and pixels.
        bits: its difference hash.
        thumbnail: 72 float32 of mean 0 and length 1, so that a product of two is their correlation; 0 if it is plain.
    """

    digest: bytes
    bits: np.uint64
    thumbnail: NDArray[np.float32]

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> Look:
        """The look of an image, H×W×3 uint8."""
        digest = hashlib.blake2b(image.tobytes(), digest_size=16, person=repr(image.shape[:2]).encode()[:16])
        grey = np.asarray(Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.float32)
        bits = np.packbits(grey[:, 1:] > grey[:, :-1]).view(np.uint64)[0]
        deviation = (grey - grey.mean()).ravel()
        length = np.linalg.norm(deviation)
        return cls(digest.digest(), bits, deviation / length if length > 0 else deviation)


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
            distances = _BITS[(bits ^ one.look.bits).view(np.uint16)].reshape(-1, 4).sum(axis=1)
            near = np.flatnonzero(distances <= DISTANCE)
            near = near[thumbnails[near] @ one.look.thumbnail >= CORRELATION]
            if not near.size:
                continue
            nearest = near[np.argmin(distances[near])]
            twin, kind, distance = first[nearest], "near", int(distances[nearest])
        found.append(Duplicate(kind, (twin.split, twin.name), (one.split, one.name), distance))
    return found
