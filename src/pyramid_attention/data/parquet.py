"""Images and masks in Parquet files: columns of images {bytes, path}, as the `datasets` library stores them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, require
from ..images import MaskValues, decode_image, image_size, read_mask_values
from .families import role
from .mask_survey import OneMask


class Stored(Protocol):
    """An image file inside another file; in words it says where it is."""

    def content(self) -> bytes:
        """The bytes of the image file."""

    def values(self) -> MaskValues:
        """The values of a mask."""


@dataclass(frozen=True)
class Cell:
    """An image in a Parquet file: the file, its row group, and the row and column in it."""

    file: Path
    group: int
    row: int
    column: str

    def __str__(self) -> str:
        return f"{self.file} (row {self.row} of group {self.group}, {self.column})"

    @property
    def name(self) -> str:
        """The name of the sample that it is the mask of."""
        return f"{self.file.stem}-{self.group}-{self.row:06}"

    def content(self) -> bytes:
        """The bytes of the image file."""
        value = _group(self.file, self.group, self.column)[self.row].as_py()
        if not isinstance(value, dict) or not value.get("bytes"):
            raise UserError(f"{self} holds no image; store images with their bytes")
        return bytes(value["bytes"])

    def values(self) -> MaskValues:
        """The values of a mask."""
        return read_mask_values(str(self), self.content())


@lru_cache(maxsize=8)
def _group(file: Path, group: int, column: str) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(file).read_row_group(group, columns=[column])[column]


def _columns(path: Path) -> tuple[str, str] | None:
    """The columns of images and of masks of a Parquet file; None where it has not both."""
    require("reading Parquet files", "pyarrow")
    import pyarrow.parquet as pq

    try:
        fields = list(pq.read_schema(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no Parquet file or damaged ({error}); download it again") from None
    names = [one.name for one in fields if any(one.type.field(i).name == "bytes" for i in range(one.type.num_fields))]
    masks = [name for name in names if role(name) == "mask"]
    images = [name for name in names if name not in masks and role(name) != "other"]
    return (images[0], masks[0]) if images and masks else None


def has_masks(path: Path) -> bool:
    """Whether a Parquet file has a column of images and one of masks, which their names tell.

    Raises:
        UserError: it is no Parquet file.
        MissingExtra: pyarrow is not installed.
    """
    return _columns(path) is not None


def cells_of(path: Path) -> Iterator[tuple[Cell, Cell]]:
    """Each row's image and mask; nothing where a file has no such columns."""
    import pyarrow.parquet as pq

    if (columns := _columns(path)) is None:
        return
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        for row in range(metadata.row_group(group).num_rows):
            image, mask = (Cell(path, group, row, column) for column in columns)
            yield image, mask


@dataclass(frozen=True, eq=False)
class CellSample:
    """An image and its mask inside other files; `meant` knows what the mask's values mean."""

    name: str
    image: Stored
    mask: Stored
    meant: OneMask

    def read_image(self) -> NDArray[np.uint8]:
        """The image, H×W×3 uint8 RGB, upright.

        Raises:
            UserError: it is damaged or no image.
        """
        return decode_image(self.image.content(), str(self.image))

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, H×W uint8: class ids 0 … C-1, `IGNORE` where void.

        Raises:
            UserError: it is damaged, holds what is no class, or has another size than its image.
        """
        labels = self.meant.translate(self.mask.values())
        size = image_size(str(self.image), self.image.content())
        if labels.shape != size:
            raise UserError(f"{self.mask} is {labels.shape[1]}×{labels.shape[0]} pixels, its image {size[1]}×{size[0]}")
        return labels
