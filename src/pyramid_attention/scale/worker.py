"""One worker of a cluster: it holds the model, takes images by name, and says of each what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import UserError
from ..images import read_label_map
from ..inference import Segmenter, SegmenterOptions
from ..inference.object_sink import ObjectSink, sink_into
from ..inference.predict import predict
from ..inference.segmentation import Segmentation
from ..inference.sinks import Claim, FileSink, Output, Sink
from ..inference.sources import FileSource, Item
from ..storage import local_path


@dataclass(frozen=True)
class Job:
    """What each worker has to know.

    Attributes:
        models, options: see `Segmenter.load`.
        folder, outputs, made_by, resume, overwrite, team: see `FileSink`.
        max_pixels: see `FileSource`.
        version: of this library, on the machine that the job was started on.
    """

    models: Sequence[str]
    options: SegmenterOptions
    folder: Path
    outputs: Sequence[Output]
    made_by: Mapping[str, Any]
    resume: bool
    overwrite: bool
    team: str
    max_pixels: int | None = None
    version: str = __version__

    def sink(self, others: Sequence[str] = ()) -> FileSink | ObjectSink:
        """A sink into the folder, to be entered."""
        return sink_into(
            self.folder,
            self.outputs,
            made_by=self.made_by,
            resume=self.resume,
            overwrite=self.overwrite,
            others=others,
            team=self.team,
        )


@dataclass(frozen=True)
class Row:
    """What became of an image.

    Attributes:
        image: where it is.
        name: what its results are called by.
        error: why it failed; None where it did not.
        seconds: from its claim until its results were written; None where they were there.
        pixels: how many have each class; None where it failed.
    """

    image: str
    name: str
    error: str | None = None
    seconds: float | None = None
    pixels: Sequence[int] | None = None


class Recorder:
    """A sink that hands everything on to another, and counts each item's labels and the seconds it took."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._began: dict[str, float] = {}
        self.pixels: dict[str, Sequence[int]] = {}
        self.seconds: dict[str, float] = {}

    @property
    def needs_confidence(self) -> bool:
        """See `Sink`."""
        return self._sink.needs_confidence

    def check(self, items: Iterable[Item]) -> None:
        """Nothing: all items were checked before the first was handed out."""

    def claim(self, item: Item) -> Claim:
        """See `Sink`."""
        self._began[item.name] = time.perf_counter()
        return self._sink.claim(item)

    def write(self, item: Item, segmentation: Segmentation) -> None:
        """See `Sink`."""
        self._sink.write(item, segmentation)
        self.pixels[item.name] = _pixels(segmentation.labels, len(segmentation.classes))
        self.seconds[item.name] = time.perf_counter() - self._began[item.name]

    def give_up(self, item: Item, reason: str) -> None:
        """See `Sink`."""
        self._sink.give_up(item, reason)


class Worker:
    """What each process of the cluster is one of.

    Raises (on the first call):
        UserError: the machine has another version of this library, the model or the folder is not to be had there.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._segmenter: Segmenter | None = None

    def segment(self, items: Sequence[Item]) -> list[Row]:
        """Segment some images.

        Raises:
            UserError: see `predict`.
        """
        segmenter, job = self._segmenter or self._begin(), self._job
        recorder = Recorder(self._sink)
        reasons = dict(predict(segmenter, FileSource(items, max_pixels=job.max_pixels), recorder).failed)

        def row(item: Item) -> Row:
            if item.place in reasons:
                return Row(item.place, item.name, reasons[item.place])
            pixels = recorder.pixels.get(item.name)
            if pixels is None:  # it was done before, by a worker that has died or by another run
                labels = read_label_map(local_path(job.folder / f"{item.name}.png"))
                pixels = _pixels(labels, len(segmenter.classes))
            return Row(item.place, item.name, None, recorder.seconds.get(item.name), pixels)

        return [row(item) for item in items]

    def _begin(self) -> Segmenter:
        if self._job.version != __version__:
            raise UserError(
                f"a machine of the cluster has version {__version__} of pyramid-attention, and this one"
                f" {self._job.version}; install the same on all"
            )
        segmenter = Segmenter.load(self._job.models, self._job.options)
        # Entered for as long as the process lives. Ray ends it without a word, which is what a sink is made for: its
        # locks end with it, and the next run clears what is left.
        self._sink = self._job.sink().__enter__()
        self._segmenter = segmenter
        return segmenter


def _pixels(labels: NDArray[Any], classes: int) -> Sequence[int]:
    """How many pixels have each class."""
    return [int(count) for count in np.bincount(labels.ravel(), minlength=classes)[:classes]]
