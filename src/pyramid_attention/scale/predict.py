"""Prediction by many machines: parts of the work are given to actors of a Ray cluster, and again where one dies.

The result files are those of `predict_files`, byte for byte, and what is done is kept in their folder, which all
machines see (see `inference.manifest`): a result that is there is not made again, whoever made it. So a worker can die
at any moment, and a job can be run again, and does what is missing.

The actors are Ray's own and not those of Ray Data, whose pool does not replace an actor that was killed for good and
waits for it until the end. Nothing passes between processes but names and rows, which needs none of its blocks.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

from ..artifacts import Model
from ..classes import ClassTable
from ..errors import UserError, require
from ..files import address_of
from ..inference import Segmenter, SegmenterOptions
from ..inference.predict import PredictSummary
from ..inference.sinks import CONFIDENCE, LABEL_MAP, Output
from ..inference.sources import FileSource, Item
from ..inference.threads import usable_cores
from .worker import Job, Row, Worker

CHUNK = 32
"""Images that are given to a worker at a time."""
AHEAD = 2
"""Chunks that a worker has: one that it is at, and one that waits there."""
TRIALS = 3
"""Workers that may die at a chunk before its images are given out one by one, and then at an image."""
DEATHS = 10
"""Workers that may die before the first chunk is done: something is wrong with all of them."""
TABLE = "results.parquet"
LOCAL = "local"
STORE = 100 << 20
"""Bytes of shared memory that Ray takes on one machine: through it go names and rows, never pixels."""

Chunk = tuple[Sequence[Item], int]
"""Images, and how many workers have died at them."""


def predict_on_cluster(
    model: Model | list[Model],
    source: FileSource,
    folder: Path,
    options: SegmenterOptions | None = None,
    *,
    address: str = LOCAL,
    outputs: Sequence[Output] = (),
    confidence: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment images into a folder by the workers of a Ray cluster.

    Beside the results, `results.parquet` says of each image where it is, the name of its results, the error (null where
    there is none), the seconds it took (null where its results were there) and the pixels of each class.

    Args:
        model, options: see `Segmenter.load`; a path is one that every machine sees.
        source: images, no rasters or videos; every machine sees them, too.
        folder: of the results, which every machine sees; see `FileSink`, also for `resume` and `overwrite`.
        address: of the cluster, as for `ray.init`; "local" for the cores of this machine.
        outputs: what is written of each image beside its label map.
        confidence: write the labels' probabilities, too.
        on_done: called after each image.

    Raises:
        MissingExtra: Ray or pyarrow is not installed.
        UserError: no cluster answers at the address, there are rasters or videos, workers die again and again, or see
            `predict`.
    """
    require("prediction on a cluster", "ray", "pyarrow")
    segmenter = Segmenter.load(model, options)
    images, rasters, videos = source.apart(rgb=segmenter.info.bands.is_rgb)
    if others := [*rasters.items, *videos.items]:
        raise UserError(
            f"a cluster segments images, and {others[0].place} is a raster or a video; leave it out, and predict it"
            " without ray="
        )
    models = [str(one) for one in (model if isinstance(model, list) else [model])]
    job = Job(
        [_absolute(one) if os.path.exists(one) else one for one in models],
        segmenter.options,
        Path(_absolute(str(folder))),
        [LABEL_MAP, *outputs, *([CONFIDENCE] if confidence else [])],
        segmenter.identity,
        resume,
        overwrite,
        team=secrets.token_hex(8),
        max_pixels=source.max_pixels,
    )
    summary = PredictSummary()
    # It lives as long as the job: what a worker has written is its team's, also when that worker is dead.
    with job.sink(others=[TABLE]) as sink:
        sink.check(images)
        with sink.put(TABLE) as temporary, _cluster(address), _table(temporary, segmenter.classes) as write:
            write([Row(place, "", reason) for place, reason in images.failed])
            summary.failed += images.failed
            for rows in _work(job, images):
                write(rows)
                summary.failed += [(row.image, row.error) for row in rows if row.error is not None]
                summary.done += sum(row.error is None for row in rows)
                for _ in rows if on_done is not None else ():
                    on_done()  # type: ignore[misc]
    return summary


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    """A connection to a cluster, or one made of this machine's cores; one that there is already stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")  # a busy machine takes more than the 30 s it is given
    import ray

    if ray.is_initialized():
        yield
        return
    local = {"num_cpus": usable_cores(), "include_dashboard": False, "object_store_memory": STORE}
    try:
        where = local if address == LOCAL else {"address": address}
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **where)
    except Exception as error:  # of a node that does not start, Ray says so with this class itself
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"no Ray cluster answers at {address}: {reason}; check the address") from error
    try:
        yield
    finally:
        ray.shutdown()


def _work(job: Job, items: FileSource) -> Iterator[list[Row]]:
    """Give the images out, in chunks, and yield what became of them, in the order in which they are done.

    Raises:
        UserError: a worker cannot go on, or they die before anything is done.
    """
    import ray
    from ray.exceptions import RayActorError

    waiting = _chunks(items, CHUNK)
    again: deque[Chunk] = deque()
    under_way: dict[Any, tuple[Any, Chunk]] = {}  # by what Ray gives for a result: the worker, and what it is at
    begun, deaths, numbers = False, 0, count(1)
    kind = ray.remote(Worker)
    number, gpus = _room(job.options)

    def worker() -> Any:
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0}
        return kind.options(name=f"pan-{job.team}-{next(numbers)}", **options).remote(job)

    workers = {worker(): 0 for _ in range(number)}  # how many chunks each has
    while True:
        for one in workers:
            while workers[one] < AHEAD and (given := again.popleft() if again else next(waiting, None)):
                under_way[one.segment.remote(given[0])] = one, given
                workers[one] += 1
        if not under_way:
            return
        (ready,), _ = ray.wait(list(under_way))
        one, (chunk, trials) = under_way.pop(ready)
        try:
            rows = ray.get(ready)
        except RayActorError:
            if workers.pop(one, None) is not None:  # and not another chunk of one that is known to be dead
                deaths += 1
                workers[worker()] = 0
            if deaths >= DEATHS and not begun:
                raise UserError(
                    f"{deaths} workers have died and nothing is done; look at Ray's logs (out of memory?)"
                ) from None
            if trials + 1 < TRIALS:
                again.append((chunk, trials + 1))
            elif len(chunk) > 1:
                again.extend(([item], 0) for item in chunk)
            else:
                yield [Row(chunk[0].place, chunk[0].name, f"{chunk[0].place}: {TRIALS} workers have died at it")]
            continue
        workers[one] -= 1
        begun = True
        yield rows


def _chunks(items: FileSource, size: int) -> Iterator[Chunk]:
    absolute = (Item(item.name, _absolute(item.place), item.version) for item in items)
    while chunk := list(islice(absolute, size)):
        yield chunk, 0


def _absolute(place: str) -> str:
    """A path that does not depend on the folder that a process is in; an address as it is."""
    return place if address_of(place) is not None else os.path.abspath(place)


def _room(options: SegmenterOptions) -> tuple[int, int]:
    """How many workers the cluster has room for, and how many GPUs each takes."""
    import ray

    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    wanted = options.device in ("auto", "cuda") and options.engine in ("auto", "torch")
    gpus = int(wanted and resources.get("GPU", 0) >= 1)
    return max(1, int(resources.get("GPU" if gpus else "CPU", 1))), gpus


@contextmanager
def _table(path: Path, classes: ClassTable) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Give a function that adds rows to a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    pixels = pyarrow.struct([(name, pyarrow.int64()) for name in classes.names])
    text, seconds = pyarrow.string(), pyarrow.float64()
    schema = pyarrow.schema({"image": text, "name": text, "error": text, "seconds": seconds, "pixels": pixels}.items())

    def write(rows: Sequence[Row]) -> None:
        values = [
            vars(row) | {"pixels": row.pixels and dict(zip(classes.names, row.pixels, strict=True))} for row in rows
        ]
        writer.write_table(pyarrow.Table.from_pylist(values, schema=schema))

    with parquet.ParquetWriter(path, schema) as writer:
        yield write
