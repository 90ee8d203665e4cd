"""Results at an address, where nothing can be locked and no file be added to: each is an object, and so is its record.

The record of a result is an empty object below `.pan-predictions` whose name says all: by which model and options it
was made, of which image in which state, by whom, and its size and digest. So one listing tells what is done, and a
record is written before its result: what is there and has no record is not ours.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import UserError
from ..files import address_of, scratch
from ..storage import Entry, list_files, read_bytes, remove, write_bytes
from .manifest import LOGS
from .segmentation import Segmentation
from .sinks import Claim, FileSink, Output, results_of
from .sources import Item

RUNNING = "running"
"""Below `LOGS` too: an object for each run that is under way."""


@dataclass(frozen=True)
class Record:
    """What is known of an object: who made it (see `ObjectSink`), of which version of an image, and what it is."""

    made_by: str
    run: str
    version: str
    size: int
    sha256: str

    def key(self, name: str) -> str:
        """The name of the object that says so of the result of a name."""
        return f"{LOGS}/{self.made_by}/{name}/{self.version}~{self.size}~{self.sha256}~{self.run}"

    @classmethod
    def parse(cls, key: str) -> tuple[str, Record] | None:
        """The result that a key below `LOGS` is of and what it says; None for any other object."""
        made_by, _, rest = key.partition("/")
        name, _, last = rest.rpartition("/")
        parts = last.split("~")
        if len(parts) != 4 or not parts[1].isdigit():
            return None
        return name, cls(made_by, parts[3], parts[0], int(parts[1]), parts[2])


class ObjectSink:
    """Objects below an address; a `Sink` that does what `FileSink` does for a folder, as far as stores allow.

    Processes do not share the work but as workers of one cluster; one of another model or other options is refused.

    Args:
        address: of the results.
        outputs, made_by, resume, overwrite, others, team: see `FileSink`.

    Raises (on entering):
        UserError: the address cannot be reached, or a run of another model is under way there.
        MissingExtra: the library of its store is not installed.
    """

    def __init__(
        self,
        address: str,
        outputs: Sequence[Output],
        *,
        made_by: Mapping[str, Any],
        resume: bool = False,
        overwrite: bool = False,
        others: Sequence[str] = (),
        team: str | None = None,
    ) -> None:
        self.address = address.rstrip("/")
        self._outputs, self._resume, self._overwrite, self._others = outputs, resume, overwrite, others
        self._made_by = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]
        self._team, self._run = team, team or secrets.token_hex(4)
        self._there: dict[str, Entry] = {}
        self._records: dict[str, list[Record]] = {}

    def __enter__(self) -> ObjectSink:
        for name, entry in list_files(self.address).items():
            if not name.startswith(f"{LOGS}/"):
                self._there[name] = entry
            elif name.startswith(f"{LOGS}/{RUNNING}/"):
                if not name.startswith(f"{LOGS}/{RUNNING}/{self._made_by}~"):
                    raise UserError(
                        f"another process is writing results of another model, or with other options, to"
                        f" {self.address}; wait until it has ended, or, if it has died, remove {self.address}/{name}"
                    )
            else:
                self._know(name.removeprefix(f"{LOGS}/"))
        self._mark = f"{self.address}/{LOGS}/{RUNNING}/{self._made_by}~{secrets.token_hex(4)}"
        write_bytes(self._mark, b"")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(UserError):
            remove(self._mark)

    def _know(self, key: str) -> None:
        if (found := Record.parse(key)) is not None:
            self._records.setdefault(found[0], []).append(found[1])

    @property
    def needs_confidence(self) -> bool:
        """Whether an output shows the confidence."""
        return any(output.needs_confidence for output in self._outputs)

    def check(self, items: Iterable[Item]) -> None:
        """Check that no result takes the place of an image, of another result, or of an object that we did not write.

        Raises:
            UserError: one does.
        """
        items = list(items)
        images = {item.place for item in items}
        foreign = [name for name in self._others if self._is_foreign(name)]
        for name, item in results_of(items, self._outputs, self.address).items():
            if f"{self.address}/{name}" in images:
                raise UserError(
                    f"{self.address}/{name}, a result of {item.place}, would overwrite an image; choose another out="
                )
        for item in items:
            if not self._done(item):
                foreign += filter(self._is_foreign, self._names(item))
        if foreign:
            raise UserError(
                f"{self.address} holds {len(foreign)} object{'s' * (len(foreign) > 1)} that would be overwritten and"
                f" that this program did not write, or that were changed since: {', '.join(foreign[:3])}; choose"
                " another out=, or replace them with overwrite=True"
            )

    def claim(self, item: Item) -> Claim:
        """Whose an item is: done where each of its results is there and, without `resume`, made in this run."""
        if self._team is not None:  # another of the team may have died after it had written them
            for name in self._names(item):
                for key in list_files(f"{self.address}/{LOGS}/{self._made_by}/{name}"):
                    self._know(f"{self._made_by}/{name}/{key}")
                self._there.update(zip([name], list_files(f"{self.address}/{name}").values(), strict=False))
        return Claim.DONE if self._done(item) else Claim.OURS

    def write(self, item: Item, segmentation: Segmentation) -> None:
        """Write the results of an image, each whole or not at all.

        Raises:
            UserError: the store does not take one.
        """
        for output in self._outputs:
            self._put(item.name + output.ending, output.encode(segmentation), item.version)

    def give_up(self, item: Item, reason: str) -> None:
        """See `Sink`; nothing is noted, so that the next run tries again."""

    @contextmanager
    def put(self, name: str) -> Iterator[Path]:
        """Give a temporary path; on leaving, what was written there becomes an object, whole or not at all.

        Raises:
            UserError: the store does not take it.
        """
        with scratch(tempfile.gettempdir()) as place:
            yield place / "new"
            self._put(name, (place / "new").read_bytes(), None)

    def _put(self, name: str, content: bytes, version: str | None) -> None:
        digest = hashlib.sha256(content).hexdigest()[:32]
        record = Record(self._made_by, self._run, _short(version), len(content), digest)
        write_bytes(f"{self.address}/{record.key(name)}", b"")
        write_bytes(f"{self.address}/{name}", content)
        self._records.setdefault(name, []).append(record)
        self._there[name] = Entry(len(content), "")

    def _names(self, item: Item) -> list[str]:
        return [item.name + output.ending for output in self._outputs]

    def _done(self, item: Item) -> bool:
        return all(self._is_done(name, _short(item.version)) for name in self._names(item))

    def _is_done(self, name: str, version: str) -> bool:
        """Whether there is an object of this name, made as this run would make it and, without `resume`, in it."""
        return name in self._there and any(
            (record.made_by, record.version, record.size) == (self._made_by, version, self._there[name].size)
            and (self._resume or record.run == self._run)
            for record in self._records.get(name, ())
        )

    def _is_foreign(self, name: str) -> bool:
        """Whether there is an object of this name that we did not write, or that was changed since."""
        if name not in self._there or self._overwrite:
            return False
        fitting = {one.sha256 for one in self._records.get(name, ()) if one.size == self._there[name].size}
        return not fitting or hashlib.sha256(read_bytes(f"{self.address}/{name}")).hexdigest()[:32] not in fitting


def _short(version: str | None) -> str:
    return hashlib.sha256(version.encode()).hexdigest()[:16] if version else "-"


def sink_into(
    folder: Path,
    outputs: Sequence[Output],
    *,
    made_by: Mapping[str, Any],
    resume: bool = False,
    overwrite: bool = False,
    others: Sequence[str] = (),
    team: str | None = None,
) -> FileSink | ObjectSink:
    """The sink for a folder of this machine, or for an address; see there."""
    address = address_of(folder)
    kind: Any = FileSink if address is None else ObjectSink
    sink: FileSink | ObjectSink = kind(
        address or folder,
        outputs,
        made_by=made_by,
        resume=resume,
        overwrite=overwrite,
        others=others,
        team=team,
    )
    return sink
