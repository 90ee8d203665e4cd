"""Prediction on many photographs: one broken file is told at the end, the rest is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import SomeFailed, UserError
from ..files import make_folder
from ..images import read_image
from .prefetch import prefetch
from .segmenter import Segmenter
from .sources import Failure, Source, find_sources
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
        if not self.failed:
            return
        first = self.failed[0][1]
        if self.done:
            raise SomeFailed(
                f"{len(self.failed)} of {len(self.failed) + len(self.done)} inputs failed, the others are done: {first}"
                + (" …" if len(self.failed) > 1 else "")
            )
        raise UserError(first if len(self.failed) == 1 else f"all {len(self.failed)} inputs failed: {first} …")


def predict_files(
    segmenter: Segmenter,
    inputs: Iterable[str | Path],
    out: str | Path,
    *,
    overlay: Render | None = None,
    confidence: bool = False,
    on_done: Callable[[], None] | None = None,
) -> PredictSummary:
    """Segment photographs and write the results (see `find_sources` for the inputs, `write_results` for the files).

    Args:
        segmenter: the model.
        inputs: image files, folders and glob patterns.
        out: the folder of the results; made if need be.
        overlay: draws the overlay; without it there is none.
        confidence: write the confidence as well.
        on_done: called after each photograph, broken ones too.

    Raises:
        UserError: nothing is found, a result would overwrite a photograph, or a result cannot be written. What was
            written before stays.
    """

    def read(source: Source) -> NDArray[np.uint8]:
        return read_image(source.path)

    sources = find_sources(inputs, out)
    make_folder(out)
    summary = PredictSummary(failed=list(sources.failed))
    for source, reading in prefetch(read, sources.found):
        try:
            segmentation = segmenter(reading.result())
        except UserError as error:  # a picture that cannot be read, or is too large for the memory
            summary.failed.append((source.path, str(error)))
        else:
            write_results(segmentation, source, overlay, confidence)
            summary.done.append(source.labels)
        if on_done is not None:
            on_done()
    return summary
