"""Files at addresses: object stores (s3, gs, az), the Hugging Face hub (hf) and web servers (https), through fsspec.

An object appears whole, or not at all: that is how these stores take one. Requests that fail for the moment are made
again. Credentials are found by each store's own library, where it always looks for them.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .errors import UserError, require
from .files import address_of, locked, make_folder, whole_file

LIBRARIES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
    "https": "aiohttp",
    "http": "aiohttp",
}
"""What fsspec needs for each scheme."""
CACHE = "PYRAMID_ATTENTION_CACHE"
"""The environment variable that names the folder of copies."""
TRIES = 6
"""Times that a request is made before its failure is one."""
FINAL = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError, NotImplementedError)
"""Failures that another try does not mend."""
VERSIONS = ("ETag", "etag", "md5Hash", "blob_id", "sha256", "LastModified", "last_modified", "mtime", "updated")
"""What stores call that which changes with a file."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Entry:
    """A file at an address: its size in bytes, and what changes whenever it does."""

    size: int
    version: str


def _store(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        MissingExtra: its library is not installed.
    """
    scheme = address.partition("://")[0]
    require(f"{scheme}://", "fsspec", LIBRARIES[scheme])
    import fsspec

    options = {} if scheme == "hf" else {"use_listings_cache": False}
    store, path = fsspec.core.url_to_fs(address, **options)
    store.invalidate_cache()
    return store, path


def _ask(address: str, request: Callable[[Any, str], Result]) -> Result:
    """Make a request, again where it fails for the moment.

    Raises:
        UserError: nothing is there, there is no permission, or it fails again and again.
    """
    store, path = _store(address)
    for trial in range(TRIES):
        try:
            return request(store, path)
        except FINAL as error:
            raise _final(address, error) from error
        except Exception as error:  # each library has failures of its own
            if type(error).__name__ in ("NoCredentialsError", "DefaultCredentialsError"):
                raise UserError(f"no credentials for {address}: {error}; log in as its library wants it") from error
            if trial == TRIES - 1:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise UserError(f"cannot reach {address}: {reason}; try again later") from error
            time.sleep(0.1 * 2**trial)
    raise AssertionError


def _final(address: str, error: Exception) -> UserError:
    if isinstance(error, PermissionError):
        return UserError(f"no permission for {address}; check the credentials that its library finds")
    if isinstance(error, FileNotFoundError):
        return UserError(f"there is nothing at {address}; check the bucket and the name")
    return UserError(f"{address} cannot be used so: {error or type(error).__name__}")


def read_bytes(address: str) -> bytes:
    """The content of a file.

    Raises:
        UserError: it is not there, may not be read, or its store cannot be reached.
        MissingExtra: the library of its store is not installed.
    """
    return _ask(address, lambda store, path: bytes(store.cat_file(path)))


def write_bytes(address: str, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        UserError, MissingExtra: as `read_bytes`.
    """
    _ask(address, lambda store, path: store.pipe_file(path, content))


def remove(address: str) -> None:
    """Remove a file.

    Raises:
        UserError, MissingExtra: as `read_bytes`.
    """
    _ask(address, lambda store, path: store.rm_file(path))


def list_files(address: str) -> dict[str, Entry]:
    """The files below an address by their paths from there, in order; for a file itself, "".

    Nothing where there is a bucket but nothing below the address.

    Raises:
        UserError: no such bucket or site, no permission, or see `read_bytes`.
        MissingExtra: as `read_bytes`.
    """
    if address.startswith("http"):  # which has no folders
        found = _ask(address, lambda store, path: {path: store.info(path)})
    else:
        found = _ask(address, _find)
    _, top = _store(address)
    top = top.rstrip("/")
    files = {path.removeprefix(top).lstrip("/"): one for path, one in found.items() if one.get("type") != "directory"}
    return {name: Entry(int(one.get("size") or 0), _version(one)) for name, one in sorted(files.items())}


def _find(store: Any, path: str) -> dict[str, Any]:
    found: dict[str, Any] = store.find(path, detail=True)
    if not found:  # which a missing bucket gives, too
        store.ls(store._strip_protocol(path).partition("/")[0])
    return found


def _version(info: dict[str, Any]) -> str:
    value = next((info[key] for key in VERSIONS if info.get(key)), "")
    return f"{info.get('size')}-{hashlib.sha256(str(value).encode()).hexdigest()[:16]}"


def local_copy(address: str) -> Path:
    """A copy of a file, or of all files below an address, in a folder of this machine; what is there is not got again.

    Args:
        address: of a model or a data set.

    Raises:
        UserError, MissingExtra: as `list_files`, and where nothing is there.
    """
    entries = list_files(address)
    if not entries:
        raise UserError(f"there is nothing at {address}; check the bucket and the name")
    home = os.environ.get(CACHE) or Path.home() / ".cache" / "pyramid-attention"
    cache = make_folder(Path(home) / "addresses")
    key = hashlib.sha256(address.encode()).hexdigest()[:24]
    place, known = make_folder(cache / key), cache / f"{key}.json"
    last = address.rstrip("/").rpartition("/")[2]
    with locked(cache / f"{key}.lock"):
        try:
            before = json.loads(known.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}
        now = {name: entry.version for name, entry in entries.items()}
        for name, version in now.items():
            copy = place / last / name if name else place / last
            if before.get(name) == version and copy.is_file():
                continue
            make_folder(copy.parent)
            with whole_file(copy) as temporary:
                temporary.write_bytes(read_bytes(f"{address.rstrip('/')}/{name}" if name else address))
        for name in before.keys() - now.keys():
            (place / last / name).unlink(missing_ok=True)
        with whole_file(known) as temporary:
            temporary.write_text(json.dumps(now), encoding="utf-8")
    return place / last


def local_path(path: str | os.PathLike[str]) -> Path:
    """A path of this machine as it is; of an address, its `local_copy`.

    Raises:
        UserError, MissingExtra: as `local_copy`.
    """
    address = address_of(path)
    return Path(path) if address is None else local_copy(address)
