"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyramid_attention.errors import UserError
from pyramid_attention.files import make_folder, whole_file


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_what_was_written_takes_the_place_of_the_old(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with whole_file(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".txt")
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_fault_leaves_the_old_content_and_no_temporary(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write() -> None:
        with whole_file(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_told_in_one_line_and_leaves_the_old_content(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write() -> None:
        with whole_file(target) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"cannot write .*a\.txt: No space left on device; check"):
        write()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_in_the_way_and_a_missing_folder_are_told(tmp_path):
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", tmp_path / "none" / "a.txt"):
        with pytest.raises(UserError, match="cannot write"), whole_file(target) as temporary:
            temporary.write_text("new")
    assert names(tmp_path) == ["folder"]


def test_a_folder_is_made_with_its_parents_once(tmp_path):
    assert make_folder(tmp_path / "a" / "b") == make_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_a_written_file_can_be_read_by_whom_the_umask_lets(tmp_path):
    with whole_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
        temporary.chmod(0o600)
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_folder_is_no_file_to_write(path):
    with pytest.raises(UserError, match="it is a folder"), whole_file(path):
        pass


def test_a_file_where_a_folder_is_expected_is_told(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(UserError, match=r"a is a file, not a folder; choose another output folder"):
        make_folder(tmp_path / "a")
    with pytest.raises(UserError, match=r"cannot make the folder .*; choose another folder"):
        make_folder(tmp_path / "a" / "b")


def test_a_folder_without_write_permission_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match="no permission to write in"):
        make_folder(tmp_path)
