"""Files that appear whole or not at all, and folders that one process at a time works in.

A file is written in a temporary folder beside its place and then renamed, so that a fault (a kill, a full disk) leaves
the old content or the new, never half of it. Every temporary folder, every folder in use and every claimed piece of
work is marked by a lock file: a few words on the process that made it, locked by the operating system for as long as
that process lives. So the dead are known from the living, and what is cleared away is what a dead process of ours says
of itself that it made, never what merely has a certain name.

Locks hold between the processes of one host on any local file system, and between hosts on NFS (version 4, or 3 with
its lock manager), SMB, Lustre and the like. Where a file system has no locks, or keeps them to one host (some FUSE
ones), nothing is cleared of which the owner is not known to be dead, and two processes are not kept apart.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import itertools
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import UserError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_UMASK = os.umask(0)  # it can be read only by setting it
os.umask(_UMASK)

OWNER = ".pan-owner"
"""The lock file of a folder that a process works in."""
CLAIMS = ".pan-claims"
"""The folder of the lock files of claimed pieces of work."""
RESULTS = ".pan-results"
"""The log of a folder that results were written to: a line of JSON with name and SHA-256 for each."""
_PREFIX, _RANDOM = ".pan-", 10
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_LOCK = "lock"  # in a temporary folder
_OLD = "old-"  # before the name of a folder that a new one is taking the place of
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)
_PROGRAM = "pyramid-attention"
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}

_held: set[int] = set()


def _forget_locks() -> None:
    """In a forked process: the locks are the parent's, and must end with it."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_locks)


class InUse(UserError):
    """Another process works in the folder."""


# Addresses


SCHEMES = ("s3", "gs", "az", "abfs", "hf", "https", "http")
"""Of the addresses that `storage` reads and writes."""
_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):/{{1,2}}([^/].*)")


def address_of(path: str | os.PathLike[str]) -> str | None:
    """The address that a path is, also as pathlib writes one (s3:/bucket/name); None for one of this machine."""
    found = _ADDRESS.fullmatch(os.fspath(path))
    return None if found is None else f"{found[1]}://{found[2]}"


def refuse_address(path: str | os.PathLike[str]) -> None:
    """Raise where a file or folder of this machine is to be written and an address is named.

    Raises:
        UserError: it is one.
    """
    if (address := address_of(path)) is not None:
        raise UserError(
            f"{address} is an address, and this is written to a folder of this machine; name one, and copy it there"
            " afterwards (to addresses goes what pan predict makes of images)"
        )


# Lock files


def _lock(descriptor: int) -> bool:
    """Whether the lock of an open file could be had at once.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # a locked byte cannot be read there, so one far behind the end
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise
        return False
    return True


def _open(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | flags, 0o666)


def _take(path: Path, make: bool = True) -> int | None:
    """Lock a lock file, made if need be, and write into it who we are.

    Returns:
        its descriptor, to be given to `_release`; None where another process holds it, or it is no lock file of ours.

    Raises:
        OSError: it cannot be made; without `make`, that it is not there or the file system has no locks.
    """
    while True:
        descriptor = _open(path, os.O_CREAT if make else 0)
        try:
            try:
                free = _lock(descriptor)
            except OSError:
                if not make:
                    raise
                free = True
            if not free or not _is_ours(os.pread(descriptor, 1 << 16, 0) if os.name == "posix" else path.read_bytes()):
                os.close(descriptor)
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    if make:
                        _sign(descriptor)
                    _held.add(descriptor)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the process that held it has removed it since: this was the lock of nothing


def _release(path: Path, descriptor: int) -> None:
    """Remove a lock file that we hold. It goes before its lock does, or it might by then be another process's."""
    with suppress(OSError):
        if sys.platform != "win32":
            os.unlink(path)
    _held.discard(descriptor)
    os.close(descriptor)
    if sys.platform == "win32":  # which removes no open file, and so not another's either
        with suppress(OSError):
            os.unlink(path)


def _sign(descriptor: int) -> None:
    """Write into a lock file who we are; on a full disk it stays empty, and is a lock all the same."""
    who = {
        "program": _PROGRAM,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else "",
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    content = json.dumps(who).encode()
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        whole = os.write(descriptor, content) == len(content)
    except OSError:
        whole = False
    if not whole:
        os.ftruncate(descriptor, 0)


def _is_ours(content: bytes) -> bool:
    """Whether a lock file is one of ours: it says so, or a fault came before it could say anything."""
    if not content.strip(b"\0"):
        return True
    try:
        who = json.loads(content)
    except ValueError:
        return False
    return isinstance(who, dict) and who.get("program") == _PROGRAM


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, for a moment, and wait for it where another process or thread holds it.

    The file is made if need be and stays. Where the file system has no locks, nobody is kept apart.

    Raises:
        OSError: it cannot be made.
    """
    descriptor = _open(path, os.O_CREAT)
    _held.add(descriptor)
    try:
        with suppress(OSError):
            while not _lock(descriptor):
                time.sleep(0.001)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


# Temporary folders


@contextmanager
def scratch(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a temporary folder in a folder, which is ours alone and is gone on leaving.

    What a killed process leaves is cleared when another first makes one in the same folder, or begins to work in it
    (`owned`, `Claims`).

    Raises:
        UserError: it cannot be made, or what is done in it fails (no space).
    """
    try:
        with _scratch(Path(folder)) as place:
            yield place
    except OSError as error:
        raise UserError(
            f"cannot write in {folder}: {error.strerror or error}; check the folder and the disk"
        ) from error


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    if parent.absolute() not in _cleared:
        _cleared.add(parent.absolute())
        _clear(parent)
    lock = None
    while lock is None:
        place = parent / (_PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM)))
        try:
            os.mkdir(place)
            lock = _take(place / _LOCK)
        except FileExistsError:
            continue
        except FileNotFoundError:
            if not parent.is_dir():
                raise  # and else: another process took it for a dead one's before it was locked
        except BaseException:
            _remove(place)
            raise
    try:
        yield place
    finally:
        _remove(place, lock)


_cleared: set[Path] = set()


def _remove(place: Path, lock: int | None = None) -> None:
    """Remove a temporary folder, its lock last, so that what a kill leaves of it is still known."""
    with suppress(OSError):
        for entry in os.scandir(place):
            if entry.name == _LOCK:
                continue
            if entry.name.startswith(_OLD) and not os.path.lexists(place.parent / entry.name.removeprefix(_OLD)):
                os.replace(entry.path, place.parent / entry.name.removeprefix(_OLD))
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)
    if lock is not None:
        _release(place / _LOCK, lock)
    else:
        with suppress(OSError):
            os.unlink(place / _LOCK)
    with suppress(OSError):
        os.rmdir(place)


def _is_scratch(name: str) -> bool:
    random = name.removeprefix(_PREFIX)
    return name.startswith(_PREFIX) and len(random) == _RANDOM and set(random) <= set(_LETTERS)


def _clear(folder: Path, below: bool = False) -> None:
    """Remove the temporary folders of dead processes from a folder, and from those below it that are not hidden."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        with suppress(OSError):  # what is not there any more, or may not be touched, is not ours to clear
            if not entry.is_dir(follow_symlinks=False):
                continue
            if _is_scratch(entry.name):
                place = Path(entry.path)
                if not os.listdir(place):
                    os.rmdir(place)
                elif (lock := _take(place / _LOCK, make=False)) is not None:
                    _remove(place, lock)
            elif below and not entry.name.startswith("."):
                _clear(Path(entry.path), below)


def _clear_mark(path: Path) -> None:
    """Remove a lock file of a dead process."""
    with suppress(OSError):
        if (lock := _take(path, make=False)) is not None:
            _release(path, lock)


# Whole files


@contextmanager
def whole_file(path: str | os.PathLike[str], place: Path | None = None) -> Iterator[Path]:
    """Give a temporary path with the same suffix; on leaving, what was written there takes the place of `path`.

    Args:
        path: of the file.
        place: a temporary folder on the same file system (see `scratch`), for one file at a time; for many files that
            is cheaper than one made for each.

    Raises:
        UserError: if the file cannot be written (no permission, no space, a folder or a device in the way).
    """
    target = Path(path)
    refuse_address(path)
    try:
        if not target.name or target.is_dir():
            raise UserError(f"cannot write {target}: it is a folder; name a file in it")
        if target.exists() and not target.is_file():
            raise UserError(f"cannot write {target}: it is a device or a pipe; name a file")
        with _scratch(target.parent) if place is None else nullcontext(place) as place:
            temporary = place / ("new" + (target.suffix if len(target.suffix) < 16 else ""))
            yield temporary
            _put(temporary, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}; check its folder and the disk") from error


def _put(temporary: Path, target: Path) -> None:
    with open(temporary, "rb") as written:
        os.fsync(written.fileno())
    os.chmod(temporary, 0o666 & ~_UMASK)  # some libraries make files that only their owner can read
    os.replace(temporary, target)


def write_json(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write as JSON (strict: no NaN), whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(dict(data), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def holds_json(path: Path, data: Mapping[str, Any]) -> bool:
    """Whether a file is there and holds what `write_json` makes of some data."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(known == json.loads(json.dumps(dict(data))))


@contextmanager
def whole_folder(path: str | os.PathLike[str], *, over: bool = False) -> Iterator[Path]:
    """Give a temporary folder; on leaving, it takes the place of `path` in one step.

    Args:
        path: new or an empty folder.
        over: or one that holds files, which are removed.

    Raises:
        UserError: there is something else, or it cannot be written.
    """
    target = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    if target.is_file():
        raise UserError(f"{target} is a file, not a folder; choose another output folder")
    if not over and holds_files(target):
        raise UserError(f"{target} already holds files; choose another folder")
    with scratch(make_folder(target.parent)) as place:
        new, old = place / "new", place / (_OLD + target.name)
        new.mkdir()
        yield new
        if not target.is_dir() or not _exchange(new, target):
            with suppress(FileNotFoundError):
                os.replace(target, old)  # from here on, whoever clears the temporary folder puts it back
            os.replace(new, target)


def _exchange(one: Path, other: Path) -> bool:
    """Whether two folders could take each other's places in one step (Linux, on most file systems)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    return rename is not None and rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


def carry_over(old: Path, new: Path) -> None:
    """Have a folder hold what another one holds and it does not: links to the same files, or copies."""

    def link(source: str, destination: str) -> None:
        try:
            os.link(source, destination, follow_symlinks=False)
        except OSError:  # a file system without links
            shutil.copy2(source, destination, follow_symlinks=False)

    for entry in os.scandir(old):
        if os.path.lexists(new / entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.copytree(entry.path, new / entry.name, symlinks=True, copy_function=link)
        else:
            link(entry.path, str(new / entry.name))


# Results


@contextmanager
def result_files(folder: str | os.PathLike[str], names: Iterable[str]) -> Iterator[Path]:
    """Give a temporary folder; on leaving, the files of these names in it take their places in `folder`.

    What is there already is replaced only where it is, byte for byte, what an earlier run left (`RESULTS` says so).

    Args:
        folder: made if need be.
        names: paths in it, with /; files that are not made in the end are left out.

    Raises:
        UserError: on entering, that other files are in their places; that they cannot be written.
    """
    target, names = make_folder(folder), list(names)
    _refuse_foreign(target, names)
    with scratch(target) as place:
        yield place
        made = [name for name in names if (place / name).is_file()]
        _refuse_foreign(target, made)
        lines = [json.dumps([name, sha256(place / name)]) + "\n" for name in made]
        if not made:
            return
        with open(target / RESULTS, "a", encoding="utf-8") as log:
            log.write("\n" + "".join(lines))  # a new line first: the last may be cut off by a full disk
            log.flush()
            os.fsync(log.fileno())
        for name in made:
            make_folder((target / name).parent)
            _put(place / name, target / name)


@contextmanager
def result_file(path: str | os.PathLike[str] | None) -> Iterator[Path | None]:
    """Give a temporary path for one result, as `result_files` does; None for one that is not asked for."""
    if path is None:
        yield None
        return
    target = Path(path)
    if not target.name or target.is_dir():
        raise UserError(f"cannot write {target}: it is a folder; name a file in it")
    with result_files(target.parent, [target.name]) as place:
        yield place / target.name


def _refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    there = [name for name in names if os.path.lexists(folder / name)]
    if not there:
        return
    known = set()
    with suppress(FileNotFoundError):
        for line in (folder / RESULTS).read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError):
                known.add(tuple(json.loads(line)))
    foreign = [name for name in there if not ((folder / name).is_file() and (name, sha256(folder / name)) in known)]
    if foreign:
        files = ", ".join(str(folder / name) for name in foreign[:3]) + " …" * (len(foreign) > 3)
        raise UserError(
            f"{files} would be overwritten, which this program did not write, or which was changed since; name another"
            " place, or remove it"
        )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; of a folder, that of the names and the digests of the files in it."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            name = os.fsencode(file.relative_to(path).as_posix())
            digest.update(name + b"\0" + sha256(file).encode() + b"\n")
        return digest.hexdigest()
    with open(path, "rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# Folders


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder for output, its parents too, and check that it can be written to.

    Raises:
        UserError: if it cannot be made or written to.
    """
    refuse_address(path)
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{folder} is a file, not a folder; choose another output folder") from None
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"no permission to write in {folder}; choose another folder")
    return folder


def holds_files(folder: str | os.PathLike[str]) -> bool:
    """Whether there is a folder with something in it, hidden files too; locks and temporary folders of ours aside."""
    try:
        return any(not _is_mark(entry) for entry in os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _is_mark(entry: os.DirEntry[str]) -> bool:
    """Whether a folder's entry is one that this module made for its own use."""
    path = Path(entry.path)
    try:
        if entry.name == OWNER:
            return stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode) and _is_ours(path.read_bytes())
        if not entry.is_dir(follow_symlinks=False):
            return False
        if entry.name == CLAIMS:
            return all(_is_ours((path / name).read_bytes()) for name in os.listdir(path))
        return _is_scratch(entry.name) and (not os.listdir(path) or _is_ours((path / _LOCK).read_bytes()))
    except OSError:
        return False


@contextmanager
def owned(folder: str | os.PathLike[str], what: str, *, numbered: bool = False) -> Iterator[Path]:
    """Work in a folder as the only process that does; what dead ones left in it and below is cleared first.

    The folder is made, and removed again if nothing was written there.

    Args:
        folder: of the output.
        what: the folder is to its user, in the message: "run", "study".
        numbered: take the folder, or the one with -2, -3, … at its name, that holds no files and is not in use.

    Returns:
        the folder.

    Raises:
        InUse: another process works in it (the message says which, where and since when).
        UserError: it cannot be made or written to.
    """
    wanted = Path(folder)
    for number in itertools.count(1):
        place = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        if numbered and (place.is_file() or holds_files(place)):
            _clear(place, below=True)
            _clear_mark(place / OWNER)
            continue
        made = [path for path in (place, *place.parents) if not path.exists()]
        lock = _take_in(place, OWNER)
        if lock is None and not numbered:
            time.sleep(0.05)  # the other may only have looked whether the owner is dead
            lock = _take_in(place, OWNER)
        if lock is None and not numbered:
            raise InUse(_held_by(place, what))
        if lock is None:
            continue
        try:
            if numbered and holds_files(place):  # by a process that has just ended
                continue
            _clear(place, below=True)
            yield place
            return
        finally:
            _release(place / OWNER, lock)
            with suppress(OSError):
                for path in made:
                    os.rmdir(path)


def _take_in(folder: Path, name: str) -> int | None:
    """Lock a lock file in a folder, which is made if need be; see `_take`."""
    for _ in range(100):
        try:
            return _take(make_folder(folder) / name)
        except FileNotFoundError:  # another process has just removed the folder, since it was empty
            continue
        except OSError as error:
            raise UserError(f"cannot write in {folder}: {error.strerror}; check the folder and the disk") from error
    raise UserError(f"cannot write in {folder}: it disappears again and again; choose another folder")


def _held_by(folder: Path, what: str) -> str:
    try:
        content = (folder / OWNER).read_bytes()
        if not _is_ours(content):
            return f"{folder / OWNER} is no lock of this program; rename it, or choose another folder"
        who = json.loads(content)
        holder = f"process {who['pid']} on {who['host']} ({who['command']}, since {who['since']})"
    except (OSError, ValueError, KeyError):  # it has just begun or just ended, or the disk is full
        holder = "another process"
    return f"the {what} {folder} is in use by {holder}; wait until it has ended, or choose another folder"


# Work that several processes share


class Claims:
    """Pieces of work that several processes share: each is held by one at a time, and a dead process's are free again.

    A process that takes a piece does it only if it finds, after taking it, that it is not done yet; and gives it back
    when it is done. Then each piece is done once, however many processes share the work and whichever of them die:

        with Claims(folder) as claims:
            for item in items:
                if claims.take(item):
                    if not done(item):
                        do(item)
                    claims.give_back(item)

    What could not be taken is another process's, at least for the moment; whoever needs to see it done asks again.
    All methods may be called from any thread.

    Args:
        folder: that the work's results go to; made if need be.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._locks: dict[str, int] = {}

    def __enter__(self) -> Claims:
        _clear(make_folder(self._folder), below=True)
        with suppress(OSError):  # the claims of the dead
            for path in sorted((self._folder / CLAIMS).iterdir()):
                _clear_mark(path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for item in list(self._locks):
            self.give_back(item)
        with suppress(OSError):  # others may have claims in it
            os.rmdir(self._folder / CLAIMS)

    def take(self, item: str) -> bool:
        """Whether the piece of work of this name is now this process's; False while another holds it.

        Raises:
            UserError: the claim cannot be written.
        """
        path = self._path(item)
        lock = _take_in(path.parent, path.name)
        if lock is not None:
            self._locks[item] = lock
        return lock is not None

    def give_back(self, item: str) -> None:
        """Let go of a piece of work that this process holds."""
        _release(self._path(item), self._locks.pop(item))

    def _path(self, item: str) -> Path:
        return self._folder / CLAIMS / hashlib.sha256(item.encode("utf-8", "surrogateescape")).hexdigest()[:20]
