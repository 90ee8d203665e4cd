"""Finished rows of a large image on disk, so that a run that is killed goes on where it was.

Each piece of rows is a file of its own, compressed, that appears whole. What was being made is written first; pieces of
anything else are not used.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import holds_json, make_folder, whole_file, write_json

KEY = "of.json"


class RowStore:
    """Rows of some bands of uint8 in a folder of their own.

    Args:
        folder: made if need be; must be this store's alone (see `files.owned`).
        key: what the rows are of, as plain JSON: rows of anything else that the folder holds are removed.
        width: of every row, in pixels.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], width: int) -> None:
        self._folder, self._width = make_folder(folder), width
        if not holds_json(folder / KEY, key):
            for piece in self._pieces():
                piece.unlink()
            write_json(folder / KEY, key)

    def _pieces(self) -> list[Path]:
        return sorted(self._folder.glob("*.rows"))

    @property
    def height(self) -> int:
        """How many rows there are, from the top on without a gap."""
        height = 0
        for piece in self._pieces():
            top, bottom = map(int, piece.stem.split("-"))
            if top != height:
                break
            height = bottom
        return height

    def append(self, bands: NDArray[np.uint8]) -> None:
        """Add rows, bands×h×width.

        Raises:
            UserError: the disk is full, or the folder cannot be written to.
        """
        top = self.height
        with whole_file(self._folder / f"{top:012d}-{top + bands.shape[1]:012d}.rows") as file:
            file.write_bytes(zlib.compress(bands.tobytes(), 3))

    def read(self, band: int) -> Iterator[NDArray[np.uint8]]:
        """One band's rows, piece by piece from the top."""
        for piece in self._pieces():
            top, bottom = map(int, piece.stem.split("-"))
            values = np.frombuffer(zlib.decompress(piece.read_bytes()), np.uint8)
            yield values.reshape(-1, bottom - top, self._width)[band]

    def remove(self) -> None:
        """Remove the folder: everything is where it belongs."""
        shutil.rmtree(self._folder)
