"""What is known of a folder of results: which files we wrote, by which model, and which processes are at work in it.

Each run keeps a log in the hidden folder `.pan-predictions`, a JSON value a line: first what the run is, then each
piece of work that it claims, and each file, just before it takes its place. A kill between the two leaves a line
without its file, never a file without its line, so what is in the folder and in no log is not ours. A process writes to
its own log alone and reads what others add to theirs, so nothing is lost between them; logs of ended runs are put
together once there are several.

Runs take pieces of work in turn, under a lock. That a run lives is known by a lock that it holds (`files.Claims`): what
it had claimed and not done when it died is free again.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from ..errors import UserError
from ..files import Claims, locked, sha256, whole_file

LOGS = ".pan-predictions"
"""The hidden folder of the logs."""
LOCK = "lock"
"""The file in it whose lock a run holds when it is its turn."""
CLAIMED, ENDED, FAILED = "claimed", "ended", "failed"
SEVERAL = 8
"""Logs of ended runs from which on they are put together."""


@dataclass(frozen=True)
class Run:
    """One `pan predict`, or another program that writes results.

    Attributes:
        id: eight letters and digits.
        made_by: what its results depend on besides the images, as plain JSON: the model's digest, and its options.
        partners: runs that it shares the work with, since they were under way when it began, or are of its team.
        team: what runs of one job on a cluster have in common: they share its work also with those that have died.
    """

    id: str
    made_by: Mapping[str, Any]
    partners: Sequence[str] = ()
    team: str | None = None


@dataclass(frozen=True)
class Written:
    """A file (or an OME-Zarr, which is a folder) that a run wrote, or was about to write when it was killed.

    Attributes:
        size, sha256: of its bytes; see `files.sha256` for a folder, whose size says nothing.
        mtime_ns: its time of modification: a file that still has it and its size is taken to be as it was written.
        version: of the image it was made from, see `Item`.
        run: who wrote it.
    """

    size: int
    sha256: str
    mtime_ns: int
    version: str | None
    run: Run

    def is_in(self, path: Path) -> bool:
        """Whether the file at a path is the one that was written."""
        try:
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode):
                return sha256(path) == self.sha256
            if status.st_size != self.size:
                return False
            return status.st_mtime_ns == self.mtime_ns or sha256(path) == self.sha256
        except OSError:
            return False


class Manifest:
    """The logs of a folder, and the claims of the processes that work in it. Any thread may call it.

    Args:
        folder: of the results; made if need be, and removed again where nothing was written.
        made_by, team: see `Run`.

    Raises (on entering):
        UserError: the folder cannot be written to, or another run of another model or other options is under way.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, Any], team: str | None = None) -> None:
        self.folder = folder
        self.run = Run(secrets.token_hex(4), made_by, team=team)
        self._logs = folder / LOGS
        self._living = Claims(folder)
        self._lock = threading.Lock()
        self._log: BinaryIO | None = None
        self._read: dict[str, int] = {}  # how much of each log is known
        self._runs: dict[str, Run] = {}
        self._written: dict[str, list[Written]] = {}  # by name, the latest last
        self._claimed: dict[str, Run] = {}
        self._failed: dict[str, tuple[Run, str]] = {}
        self._ended: set[str] = set()
        self._strangers: set[str] = set()  # runs that had ended before this one began

    # Under way

    def __enter__(self) -> Manifest:
        self._made = not self.folder.exists()
        self._living.__enter__()
        try:
            self._begin()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _begin(self) -> None:
        self._living.take(self.run.id)
        with self._writing():
            self._logs.mkdir(exist_ok=True)
        with self.turn():
            under_way = [run for run in self._runs.values() if f"{run.id}.jsonl" in self._read and self._lives(run)]
            for run in under_way:
                if run.made_by != self.run.made_by:
                    raise UserError(
                        f"another process is writing results of another model, or with other options, to {self.folder};"
                        " wait until it has ended, or choose another folder"
                    )
            partners = {run.id for run in under_way} | {id for run in under_way for id in run.partners}
            partners |= {run.id for run in self._runs.values() if run.team == self.run.team is not None}
            self.run = replace(self.run, partners=sorted(partners))
            self._strangers = {*self._runs} - partners
            self._write_log({run.id for run in under_way})

    def _lives(self, run: Run) -> bool:
        if run.id in self._ended:
            return False
        if not self._living.take(run.id):
            return True
        self._living.give_back(run.id)
        self._ended.add(run.id)
        return False

    def _write_log(self, under_way: set[str]) -> None:
        """Begin our log, and put into it what ended runs wrote, where they are several."""
        ended = [name for name in self._read if Path(name).stem not in under_way]
        lines: list[Any] = []
        if len(ended) > SEVERAL:
            runs: dict[str, list[Any]] = {}
            for name, files in self._written.items():
                for file in files[-2:]:  # of a kill that left the file before the last, the one before that
                    runs.setdefault(file.run.id, [asdict(file.run)]).append(_line(name, file))
            lines = [line for run, of_run in runs.items() if run not in under_way for line in of_run]
        path = self._logs / f"{self.run.id}.jsonl"
        with whole_file(path) as temporary:
            temporary.write_bytes(b"".join(map(_encode, [*lines, asdict(self.run)])))
        self._log = open(path, "ab", buffering=0)  # noqa: SIM115  # closed on leaving
        self._read[path.name] = os.path.getsize(path)
        self._runs[self.run.id] = self.run
        if lines:
            for name in ended:
                (self._logs / name).unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            self._log.close()
            own = Path(self._log.name)
            with suppress(OSError):
                if own.read_bytes() == _encode(asdict(self.run)):  # nothing was written
                    own.unlink()
        with suppress(OSError):
            if os.listdir(self._logs) == [LOCK]:
                (self._logs / LOCK).unlink()
                self._logs.rmdir()
        self._living.__exit__(kind, error, trace)
        if self._made:
            with suppress(OSError):
                self.folder.rmdir()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only run for a moment, and know what the others did.

        Raises:
            UserError: the folder cannot be read or written to.
        """
        with self._writing(), locked(self._logs / LOCK):
            self._refresh()
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write in {self._logs}: {error.strerror}; check the folder and the disk") from error

    # What is known

    def _refresh(self) -> None:
        """Read what other processes have added to their logs."""
        with self._lock:
            sizes = {entry.name: entry.stat().st_size for entry in os.scandir(self._logs)}
            for name, size in sorted(sizes.items()):
                if name.endswith(".jsonl") and size > self._read.get(name, 0):
                    self._read_log(name)

    def _read_log(self, name: str) -> None:
        known = self._read.setdefault(name, 0)
        with open(self._logs / name, "rb") as log:
            log.seek(known)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read[name] = known + len(whole)
        run = self._runs.get(Path(name).stem)
        for line in whole.splitlines():
            try:
                value = json.loads(line)
                if isinstance(value, dict) and "id" in value:
                    run = Run(**value)
                    self._runs[run.id] = run
                elif run is not None:
                    self._know(value, run)
            except (ValueError, TypeError, KeyError):  # cut off by a full disk, or of another version
                continue

    def _know(self, line: Any, run: Run) -> None:
        if isinstance(line, list):
            name, size, sha256, mtime_ns, version = line
            self._written.setdefault(name, []).append(Written(size, sha256, mtime_ns, version, run))
            return
        if CLAIMED in line:
            self._claimed[line[CLAIMED]] = run
        elif self._claimed.get(line[ENDED]) == run:
            del self._claimed[line[ENDED]]
        if FAILED in line:
            self._failed[line[ENDED]] = run, line[FAILED]

    def written(self, name: str, *, by_partners: bool) -> Written | None:
        """The file of this name as it was last written, if it is there and made as this run would make it.

        Args:
            name: its path in the folder, with /.
            by_partners: only if this run or one that shares the work with it wrote it.
        """
        files, path = self._written.get(name, ()), self.folder / name
        if not files or not os.path.lexists(path):
            return None
        # A file that is none of them is the last, which somebody has changed since.
        file = next((file for file in reversed(files) if file.is_in(path)), files[-1])
        if file.run.made_by != self.run.made_by or (by_partners and file.run.id in self._strangers):
            return None
        return file

    def is_elsewhere(self, name: str) -> bool:
        """Whether another process is at a piece of work."""
        run = self._claimed.get(name)
        return run is not None and self._lives(run)

    def failure(self, name: str) -> str | None:
        """Why another process that shares the work failed at a piece of it, if one did."""
        run, reason = self._failed.get(name, (None, ""))
        return None if run is None or run.id in self._strangers else reason

    def owns(self, name: str) -> bool:
        """Whether the file of this name in the folder is, byte for byte, one that we wrote."""
        return any(file.is_in(self.folder / name) for file in reversed(self._written.get(name, ())))

    # What is added

    def add(self, name: str, temporary: Path, version: str | None) -> None:
        """Note a file that is about to take its place in the folder.

        Args:
            name: its path there, with /.
            temporary: where it is now.
            version: of the image it was made from.

        Raises:
            UserError: it cannot be written.
        """
        with self._writing():
            status = os.stat(temporary)
            file = Written(status.st_size, sha256(temporary), status.st_mtime_ns, version, self.run)
        self._append(_line(name, file))
        self._written.setdefault(name, []).append(file)

    def claim(self, name: str) -> None:
        """Note that a piece of work is ours; in our `turn`.

        Raises:
            UserError: it cannot be written.
        """
        self._append({CLAIMED: name})

    def give_back(self, name: str, failure: str | None = None) -> None:
        """Note that we have ended with a piece of work, and why we failed where we did.

        Raises:
            UserError: it cannot be written.
        """
        self._append({ENDED: name} if failure is None else {ENDED: name, FAILED: failure})

    def _append(self, line: Any) -> None:
        assert self._log is not None
        with self._lock, self._writing():
            # A new line first: the one before may be cut off where the disk was full.
            data = b"\n" + _encode(line)
            if self._log.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._read[f"{self.run.id}.jsonl"] += len(data)


def _line(name: str, file: Written) -> list[Any]:
    return [name, file.size, file.sha256, file.mtime_ns, file.version]


def _encode(line: Any) -> bytes:
    return json.dumps(line).encode() + b"\n"
