"""Where results go: a sink takes each segmentation, knows what is done already, and says who does what."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import make_folder, scratch, whole_file, whole_folder
from ..images import encode_image, encode_label_map
from .manifest import Manifest
from .options import VideoOptions
from .segmentation import Segmentation
from .sources import Item


class Claim(Enum):
    """Whose an item is."""

    OURS = "ours"
    """To be segmented, and then written or given up."""
    DONE = "done"
    """Its results are there."""
    ELSEWHERE = "elsewhere"
    """Another process is segmenting it."""


class Sink(Protocol):
    """What takes the segmentations of a source's items."""

    @property
    def needs_confidence(self) -> bool:
        """Whether the confidence of each segmentation is asked for."""

    def check(self, items: Iterable[Item]) -> None:
        """Check, before the first of them is read, that results of these items can be taken.

        Raises:
            UserError: they cannot be.
        """

    def claim(self, item: Item) -> Claim:
        """Whose an item is; if nobody's so far, then ours.

        Raises:
            UserError: its results cannot be taken, or another process that shares the work failed at it.
        """

    def write(self, item: Item, segmentation: Segmentation) -> None:
        """Take the results of an item that is ours; called in a thread of its own.

        Raises:
            UserError: they cannot be taken.
        """

    def give_up(self, item: Item, reason: str) -> None:
        """Note that an item that was ours could not be segmented, and why."""


@dataclass(frozen=True)
class Output:
    """One of the files that are written of each image.

    Attributes:
        ending: what follows the item's name, with a suffix.
        encode: makes the file's bytes.
        needs_confidence: whether they show the confidence.
    """

    ending: str
    encode: Callable[[Segmentation], bytes]
    needs_confidence: bool = False


LABEL_MAP = Output(".png", lambda segmentation: encode_label_map(segmentation.labels, segmentation.classes))
"""An indexed PNG of class ids with the classes' palette, at the image's own size."""


def _encode_confidence(segmentation: Segmentation) -> bytes:
    return encode_image(np.rint(segmentation.confidence * 255).astype(np.uint8), "PNG")


CONFIDENCE = Output("_confidence.png", _encode_confidence, needs_confidence=True)
"""The confidence 0 … 1 as grey 0 … 255, rounded to the nearest, in a PNG of 8 bits."""


def overlay_output(draw: Callable[[Segmentation], NDArray[np.uint8]]) -> Output:
    """A JPEG of the image H×W×3 uint8 that a function draws, as `report.overlays.overlay_with_legend`."""
    return Output("_overlay.jpg", lambda segmentation: encode_image(draw(segmentation), "JPEG"))


OVERLAY_VIDEO, LABEL_VIDEO = "_overlay.mp4", ".mkv"
"""How the files of a video end: what is looked at, and class ids."""


def video_outputs(options: VideoOptions) -> list[Output]:
    """The files that are written of a video, for a `FileSink`."""
    endings = [OVERLAY_VIDEO, *([LABEL_VIDEO] if options.label_maps == "mkv" else [])]
    return [Output(ending, _written_by_frames) for ending in endings]


def _written_by_frames(segmentation: Segmentation) -> bytes:
    raise NotImplementedError("a video's result is written frame by frame")


def results_of(items: Iterable[Item], outputs: Sequence[Output], folder: str) -> dict[str, Item]:
    """The names of all results in a folder or at an address, each with the item that it is made of.

    Raises:
        UserError: two have one name.
    """
    results: dict[str, Item] = {}
    for item in items:
        for output in outputs:
            name = item.name + output.ending
            if name in results:
                raise UserError(
                    f"{results[name].place} and {item.place} would both be written as {folder}/{name}; predict them one"
                    " after the other into different folders"
                )
            results[name] = item
    return results


class FileSink:
    """Files in a folder. Only files that we wrote ourselves are replaced (see `Manifest`), unless `overwrite`.

    Processes that write into one folder share the work.

    Args:
        folder: made if need be.
        outputs: what is written of each image.
        made_by: what the results depend on, `Segmenter.identity`.
        resume: leave out images whose results are there, made from the same image by the same model.
        overwrite: replace files that we did not write, too; images that are to be segmented are never replaced.
        others: names of further files that will be written, see `put`.
        team: see `Run`.

    Raises (on entering):
        UserError: the folder cannot be written to, or another process is writing results of another model there.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        outputs: Sequence[Output] = (LABEL_MAP,),
        *,
        made_by: Mapping[str, Any],
        resume: bool = False,
        overwrite: bool = False,
        others: Sequence[str] = (),
        team: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        self._outputs = outputs
        self._resume, self._overwrite, self._others = resume, overwrite, others
        self._manifest = Manifest(self.folder, made_by, team)

    def __enter__(self) -> FileSink:
        with ExitStack() as stack:
            stack.enter_context(self._manifest)
            self._scratch = stack.enter_context(scratch(self.folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def needs_confidence(self) -> bool:
        """Whether an output shows the confidence."""
        return any(output.needs_confidence for output in self._outputs)

    def check(self, items: Iterable[Item]) -> None:
        """Check that no result takes the place of an image, of another result, or of a file that we did not write.

        Raises:
            UserError: one does.
        """
        items = list(items)
        folders: dict[str, str] = {}  # to resolve each once
        images = {_resolved(item.place, folders): item.place for item in items}
        folder = os.path.realpath(self.folder)
        for name, item in results_of(items, self._outputs, str(self.folder)).items():
            place = os.path.join(folder, name)
            image = images.get(place) or images.get(os.path.dirname(place))  # an OME-Zarr is a folder
            if image is not None:
                raise UserError(
                    f"{self.folder / name}, a result of {item.place}, would overwrite the image {image};"
                    " choose another folder with out="
                )
        foreign: list[str] = []
        for item in items:
            if not self._done(item):
                foreign += filter(self._is_foreign, self._names(item))
        foreign += filter(self._is_foreign, self._others)
        if foreign:
            with self._manifest.turn():  # they may be what another process has written since we began
                self._refuse(list(filter(self._is_foreign, foreign)))

    def claim(self, item: Item) -> Claim:
        """Whose an item is: done where each of its results is there and, without `resume`, made in this run.

        Raises:
            UserError: a result would replace a file that we did not write, or that another process made of another
                image in the meantime; or another process failed at the image.
        """
        if self._done(item):
            return Claim.DONE
        with self._manifest.turn():
            if self._done(item):
                return Claim.DONE
            if self._manifest.is_elsewhere(item.name):
                return Claim.ELSEWHERE
            reason = self._manifest.failure(item.name)
            if reason is not None:
                raise UserError(reason)
            self._refuse(list(filter(self._is_foreign, self._names(item))))
            self._refuse_mixture(item)
            self._manifest.claim(item.name)
            return Claim.OURS

    def write(self, item: Item, segmentation: Segmentation) -> None:
        """Write the results of an image, each whole or not at all.

        Raises:
            UserError: a file cannot be written.
        """
        for output in self._outputs:
            with self.put(item.name + output.ending, item.version) as temporary:
                temporary.write_bytes(output.encode(segmentation))
        self.finish(item)

    def finish(self, item: Item) -> None:
        """Note that all results of an item that was ours are there."""
        self._manifest.give_back(item.name)

    def give_up(self, item: Item, reason: str) -> None:
        """See `Sink`."""
        with suppress(UserError):  # others will see for themselves
            self._manifest.give_back(item.name, reason)

    @contextmanager
    def put(self, name: str, version: str | None = None) -> Iterator[Path]:
        """Give a temporary path; on leaving, what was written there becomes a file of the folder, whole or not at all.

        OME-Zarr is a folder: then the path is one, too.

        Args:
            name: its path from the folder, with /.
            version: of the image it was made from.

        Raises:
            UserError: it cannot be written.
        """
        target = self.folder / name
        make_folder(target.parent)
        inside = not name.startswith("..")  # elsewhere, the file system may be another
        is_folder = target.suffix == ".zarr"
        put = whole_folder(target, over=True) if is_folder else whole_file(target, self._scratch if inside else None)
        with put as temporary:
            yield temporary
            self._manifest.add(name, temporary, version)

    def _names(self, item: Item) -> list[str]:
        return [item.name + output.ending for output in self._outputs]

    def _done(self, item: Item) -> bool:
        files = [self._manifest.written(name, by_partners=not self._resume) for name in self._names(item)]
        return all(file is not None and file.version == item.version for file in files)

    def _is_foreign(self, name: str) -> bool:
        """Whether there is a file of this name that we did not write, or that was changed since; or a folder."""
        path = self.folder / name
        if not os.path.lexists(path):
            return False
        return not ((self._overwrite and not os.path.isdir(path)) or self._manifest.owns(name))

    def _refuse(self, foreign: Sequence[str]) -> None:
        if not foreign:
            return
        names = ", ".join(foreign[:3]) + (", …" if len(foreign) > 3 else "")
        raise UserError(
            f"{self.folder} holds {len(foreign)} file{'s' * (len(foreign) > 1)} that would be overwritten and that"
            f" this program did not write, or that were changed since: {names}; choose another folder with out=, or"
            " replace them with overwrite=True"
        )

    def _refuse_mixture(self, item: Item) -> None:
        for name in self._names(item):
            file = self._manifest.written(name, by_partners=True)
            if file is not None and file.version != item.version:
                raise UserError(
                    f"{self.folder / name}, a result of {item.place}, has just been made of another image or of another"
                    " state of it by another process; choose another folder with out="
                )


def _resolved(path: str, folders: dict[str, str]) -> str:
    """`os.path.realpath`, with what is known of folders."""
    if os.path.islink(path):
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return os.path.join(folders[folder], name)
