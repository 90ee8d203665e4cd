"""Files in the tar files of shards, each read by itself from where it lies (see `readers.tables.webdataset`)."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import UserError
from ..images import MaskValues, read_mask_values

INDEX = "index.json"
"""What tells where in shards the files lie."""


@dataclass(frozen=True)
class Member:
    """A file in a shard, `size` bytes from `begin` on."""

    file: Path
    path: str
    begin: int
    size: int

    def __str__(self) -> str:
        return f"{self.file} ({self.path})"

    @property
    def name(self) -> str:
        """The key of its sample."""
        folder, _, name = self.path.rpartition("/")
        return f"{folder}/{name.partition('.')[0]}".lstrip("/")

    def content(self) -> bytes:
        """The bytes of the file."""
        try:
            with open(self.file, "rb") as shard:
                shard.seek(self.begin)
                content = shard.read(self.size)
        except OSError as error:
            raise UserError(f"cannot read {self.file}: {error.strerror}; check the path") from error
        if len(content) < self.size:
            raise UserError(f"{self.file} is cut off before the end of {self.path}; get it again")
        return content

    def values(self) -> MaskValues:
        """The values of a mask."""
        return read_mask_values(str(self), self.content())


def members_of(shard: Path) -> Iterator[Member]:
    """The files in a tar file, whose headers alone are read.

    Raises:
        UserError: it is damaged, or no tar file.
    """
    try:
        with tarfile.open(shard, "r:") as archive:
            for one in archive:
                if one.isfile() and not PurePosixPath(one.name).name.startswith("."):
                    yield Member(shard, one.name.removeprefix("./"), one.offset_data, one.size)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{shard} is damaged or no tar file ({error}); get it again") from None
