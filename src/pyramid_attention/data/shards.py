"""A data set in any format written as shards: tar files of images and masks, and an index of what is where in them.

    DST/train-000000.tar    a.jpg, a.mask.png, deep/b.jpg, …; the image's file, byte for byte, a PNG where it is unusual
    DST/index.json, DST/dataset.yaml    see `readers.tables.webdataset`

Every file appears whole, and always the same samples are in a shard, so that a conversion that was killed is finished
by running it again.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from ..errors import MissingExtra, UserError
from ..files import owned, whole_file, write_json
from ..images import encode_image, encode_label_map
from .convert import THREADS, Conversion, begin, marker_of, ordinary_file, refuse_others
from .members import INDEX, members_of
from .samples import Dataset, Sample

PER_SHARD = 1000
"""Samples in a shard."""


def convert_to_shards(
    dataset: Dataset, destination: Path, on_done: Callable[[], None] | None = None, per_shard: int = PER_SHARD
) -> Conversion:
    """Copy a data set into shards.

    Args:
        dataset, destination, on_done: see `convert_dataset`.
        per_shard: samples in each.

    Returns:
        what was done and what failed; see `Conversion.check`.

    Raises:
        UserError: see `convert_dataset`.
    """
    dataset.refuse_problems()
    splits = {name: samples for name, samples in dataset.splits.items() if samples}
    marker = {**marker_of(dataset, destination, splits), "shards": str(per_shard)}
    refuse_others(destination, marker)
    with owned(destination, "conversion"):
        refuse_others(destination, marker)
        begin(dataset, destination, marker)
        conversion, index = Conversion(destination, dict.fromkeys(splits, 0)), {}
        for split, samples in splits.items():
            for number, first in enumerate(range(0, len(samples), per_shard)):
                shard = destination / f"{split}-{number:06}.tar"
                part = samples[first : first + per_shard]
                if not shard.exists():
                    conversion.failed += _write(shard, split, part, dataset)
                members = [[one.path, one.begin, one.size] for one in members_of(shard)]
                index[shard.name] = members
                conversion.done[split] += len(members) // 2
                for _ in part if on_done is not None else ():
                    on_done()  # type: ignore[misc]
        write_json(destination / INDEX, {"shards": index})
        return conversion


def _write(shard: Path, split: str, samples: Sequence[Sample], dataset: Dataset) -> list[tuple[str, str]]:
    """Write one shard; those of its samples that failed are left out of it, and returned with one line why."""
    failed = []

    def files(sample: Sample) -> list[tuple[str, bytes]] | str:
        path = PurePosixPath(sample.name)
        key = path.with_name(path.name.replace(".", "_")).as_posix()  # a key ends at its name's first dot
        try:
            image, mask = sample.read_image(), encode_label_map(sample.read_mask(), dataset.classes)
            original = ordinary_file(sample)
        except MissingExtra:
            raise
        except UserError as error:
            return str(error)
        content = encode_image(image, "PNG") if original is None else original.read_bytes()
        suffix = ".png" if original is None else original.suffix.lower()
        return [(f"{key}{suffix}", content), (f"{key}.mask.png", mask)]

    with (
        whole_file(shard) as temporary,
        tarfile.open(temporary, "w") as archive,
        ThreadPoolExecutor(max_workers=THREADS) as pool,
    ):
        for sample, found in zip(samples, pool.map(files, samples), strict=True):
            if isinstance(found, str):
                failed.append((f"{split}/{sample.name}", found))
                continue
            for name, content in found:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return failed
