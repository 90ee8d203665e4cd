"""Prediction on many photographs: one broken file is told at the end, the rest is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, check_failures
from ..files import make_folder
from ..images import read_image
from .prefetch import prefetch
from .segmenter import Segmentation, Segmenter
from .sources import Failure, Source, Sources, find_sources
from .writers import Render, write_results


@dataclass
class PredictSummary:
    """What became of the inputs: the label maps that were written, and what failed with one line why."""

    done: list[Path] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def check(self) -> None:
        """Raise where something failed.

        Raises:
            SomeFailed: some inputs failed and the rest were done.
            UserError: every one of them failed.
        """
        check_failures([reason for _, reason in self.failed], len(self.done), "inputs")


def predict_files(
    segmenter: Segmenter,
    inputs: Iterable[str | Path],
    out: str | Path,
    *,
    overlay: Render | None = None,
    confidence: bool = False,
    resume: bool = False,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment photographs and write the results (see `find_sources` for the inputs, `write_results` for the files).

    Args:
        segmenter: the model.
        inputs: image files, folders and glob patterns.
        out: the folder of the results; made if need be.
        overlay: draws the overlay; without it there is none.
        confidence: write the confidence as well.
        resume: leave out photographs whose label map is there.
        on_done: called after each photograph, broken ones too.

    Raises:
        UserError: nothing is found, a result would overwrite a photograph, or a result cannot be written. What was
            written before stays.
    """

    def write(segmentation: Segmentation, source: Source) -> None:
        write_results(segmentation, source, overlay, confidence)

    sources = find_sources(inputs, out)
    make_folder(out)
    return predict_sources(segmenter, sources, write, resume=resume, on_done=on_done)


def predict_sources(
    segmenter: Segmenter,
    sources: Sources,
    write: Callable[[Segmentation, Source], None],
    *,
    resume: bool = False,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment photographs that have been found and have `write` put the results in their places.

    `write` leaves the label map for last: since files appear whole or not at all, a photograph that has one is done.

    Args:
        segmenter: the model.
        sources: the photographs and the places of their results.
        write: given each segmentation.
        resume: leave out photographs whose label map is there.
        on_done: called after each photograph, broken ones and those left out too.

    Raises:
        UserError: a result cannot be written. What was written before stays.
    """

    def read(source: Source) -> NDArray[np.uint8]:
        return read_image(source.path)

    summary = PredictSummary(failed=list(sources.failed))
    missing = []
    for source in sources.found:
        if not (resume and source.labels.is_file()):
            missing.append(source)
            continue
        summary.done.append(source.labels)
        if on_done is not None:
            on_done()
    for source, reading in prefetch(read, missing):
        try:
            segmentation = segmenter(reading.result())
        except UserError as error:  # a picture that cannot be read, or is too large for the memory
            summary.failed.append((source.path, str(error)))
        else:
            write(segmentation, source)
            summary.done.append(source.labels)
        if on_done is not None:
            on_done()
    return summary
