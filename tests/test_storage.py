"""Files at addresses, against an S3 server of which one request in twenty fails."""

from __future__ import annotations

import sys

import pytest

from pyramid_attention import storage
from pyramid_attention.errors import MissingExtra, UserError
from pyramid_attention.files import address_of, make_folder, whole_file
from pyramid_attention.storage import list_files, local_copy, local_path, read_bytes, write_bytes
from stores import s3_server


@pytest.fixture(scope="module")
def server():
    with s3_server() as server:
        server.active = True
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(storage.CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(storage.time, "sleep", lambda _: None)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("s3://bucket/a/b.png", "s3://bucket/a/b.png"),
        ("s3:/bucket/a", "s3://bucket/a"),  # as pathlib makes it
        ("https://host/x.onnx", "https://host/x.onnx"),
        ("hf://datasets/owner/name", "hf://datasets/owner/name"),
        ("a/s3:/b", None),
        ("C:/Users", None),
        ("ftp://host/x", None),
        ("s3:", None),
    ],
)
def test_an_address_is_known_by_its_scheme(path, address):
    assert address_of(path) == address


def test_files_are_written_read_and_listed_though_requests_fail(server):
    content = {f"deep/{index:02}.bin": bytes([index]) * (index + 1) for index in range(30)}
    for name, data in content.items():
        write_bytes(f"s3://bucket/many/{name}", data)
    assert {name: read_bytes(f"s3://bucket/many/{name}") for name in content} == content
    found = list_files("s3://bucket/many")
    assert {name: entry.size for name, entry in found.items()} == {name: len(data) for name, data in content.items()}
    assert len({entry.version for entry in found.values()}) == len(content)
    assert list_files("s3://bucket/nothing/there") == {}
    assert server.failed > 0


def test_a_copy_is_got_once_and_again_where_the_file_has_changed(server, monkeypatch):
    for name in ("a.txt", "deep/b.txt", "c.txt"):
        write_bytes(f"s3://bucket/data/{name}", name.encode())
    asked = []
    read = storage.read_bytes
    monkeypatch.setattr(storage, "read_bytes", lambda address: asked.append(address) or read(address))
    folder = local_copy("s3://bucket/data")
    assert folder.name == "data"
    assert (folder / "deep" / "b.txt").read_bytes() == b"deep/b.txt"
    assert (local_copy("s3://bucket/data"), len(asked)) == (folder, 3)
    write_bytes("s3://bucket/data/a.txt", b"other")
    storage.remove("s3://bucket/data/c.txt")
    assert local_path("s3:/bucket/data") == folder
    assert asked[3:] == ["s3://bucket/data/a.txt"]
    assert {path.name: path.read_bytes() for path in folder.rglob("*.txt")} == {
        "a.txt": b"other",
        "b.txt": b"deep/b.txt",
    }
    assert local_copy("s3://bucket/data/a.txt").read_bytes() == b"other"


def test_what_is_not_there_or_not_allowed_is_one_line(server, monkeypatch):
    for address in ("s3://nowhere/a.png", "s3://bucket/missing.png"):
        with pytest.raises(UserError, match=f"^there is nothing at {address}; check the bucket and the name$"):
            read_bytes(address)
    with pytest.raises(UserError, match=r"^there is nothing at s3://nowhere; check the bucket"):
        list_files("s3://nowhere")
    with pytest.raises(UserError, match=r"^there is nothing at s3://bucket/none; check the bucket"):
        local_copy("s3://bucket/none")

    class Closed:
        def invalidate_cache(self):
            pass

        def cat_file(self, path):
            raise PermissionError("Access Denied")

    monkeypatch.setattr(storage, "_store", lambda address: (Closed(), address))
    with pytest.raises(UserError, match=r"^no permission for s3://bucket/a; check the credentials"):
        read_bytes("s3://bucket/a")


def test_a_store_that_does_not_answer_is_said_after_some_tries(monkeypatch):
    class Down:
        tries = 0

        def cat_file(self, path):
            self.tries += 1
            raise ConnectionError("reset by peer")

    down = Down()
    monkeypatch.setattr(storage, "_store", lambda address: (down, address))
    with pytest.raises(UserError, match=r"^cannot reach gs://b/a: reset by peer; try again later$"):
        read_bytes("gs://b/a")
    assert down.tries == storage.TRIES


@pytest.mark.parametrize(("address", "library"), [("s3://b/a", "s3fs"), ("gs://b/a", "gcsfs"), ("az://b/a", "adlfs")])
def test_the_extra_that_brings_the_library_is_named(address, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"{address[:5]} needs {library}, which is not installed; .*\[scale\]'"):
        read_bytes(address)


def test_what_is_written_to_this_machine_alone_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for write in (make_folder, lambda path: whole_file(path).__enter__()):
        with pytest.raises(UserError, match=r"^s3://bucket/x is an address, and this is written to a folder of this"):
            write("s3:/bucket/x")
    assert list(tmp_path.iterdir()) == []
