"""Files that appear whole or not at all, and folders that one process at a time works in."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pyramid_attention import files
from pyramid_attention.errors import UserError
from pyramid_attention.files import (
    Claims,
    InUse,
    carry_over,
    holds_files,
    locked,
    make_folder,
    owned,
    result_file,
    result_files,
    scratch,
    sha256,
    whole_file,
    whole_folder,
)
from support import CLAIMING, OWNING, WRITING, end, other_process


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_what_was_written_takes_the_place_of_the_old(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with whole_file(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert (temporary.parent.parent, temporary.suffix) == (tmp_path, ".txt")
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


# What killed processes leave, and what is not theirs


def test_the_living_keep_their_temporary_files_and_the_dead_do_not(tmp_path):
    living, dead = other_process(WRITING, tmp_path), other_process(WRITING, tmp_path)
    end(dead)
    assert len(names(tmp_path)) == 2
    with owned(tmp_path, "run"):
        assert len(names(tmp_path)) == 2  # the living's, and our lock
    end(living)
    with owned(tmp_path, "run"):
        pass
    assert names(tmp_path) == []


def test_the_first_write_into_a_folder_clears_what_the_dead_left(tmp_path):
    end(other_process(WRITING, tmp_path))
    with whole_file(tmp_path / "b.txt") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["b.txt"]


def test_a_run_clears_the_folders_below_and_leaves_hidden_ones_alone(tmp_path):
    for name in ("sub", ".git"):
        (tmp_path / name).mkdir()
        end(other_process(WRITING, tmp_path / name))
    (before,) = names(tmp_path / ".git")
    with owned(tmp_path, "run"):
        pass
    assert names(tmp_path / "sub") == []
    assert names(tmp_path / ".git") == [before]


FOREIGN = [".notes.tmp.txt", ".x.1.tmp", ".pan-abcdefghij", ".pan-abcdefghij.png", ".pan-klmnopqrst/lock", ".pan-new/x"]


def test_nothing_is_cleared_for_its_name(tmp_path):
    for name in FOREIGN:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    with owned(tmp_path, "run"), Claims(tmp_path), whole_file(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert all((tmp_path / name).read_text() == "mine" for name in FOREIGN)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_of_hidden_files_is_not_empty(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    assert holds_files(tmp_path)


def test_a_folder_of_what_the_dead_left_is_empty(tmp_path):
    assert not holds_files(tmp_path)
    assert not holds_files(tmp_path / "none")
    for code in (CLAIMING, OWNING, WRITING):
        end(other_process(code, tmp_path))
    assert len(names(tmp_path)) == 3
    assert not holds_files(tmp_path)


@pytest.mark.parametrize("length", [1, 200, 251])
def test_the_temporary_name_is_as_short_for_a_long_name(tmp_path, length):
    target = tmp_path / ("n" * length + ".png")
    with whole_file(target) as temporary:
        assert len(str(temporary)) < len(str(tmp_path)) + 30
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_a_name_that_is_too_long_is_told(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*nnn: .*too long"), whole_file(tmp_path / ("n" * 300)) as one:
        one.write_text("new")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX's devices")
def test_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(UserError, match="it is a device or a pipe"), whole_file(path) as temporary:
            temporary.write_text("new")


def test_a_temporary_folder_is_gone_after_a_full_disk_and_the_message_says_where(tmp_path):
    def write() -> None:
        with scratch(tmp_path) as place:
            (place / "sub").mkdir()
            (place / "sub" / "a").write_text("x")
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=f"cannot write in {tmp_path}: No space left"):
        write()
    assert names(tmp_path) == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def write(fault: type[Exception] | None) -> None:
        with whole_folder(tmp_path / "new") as folder:
            (folder / "a").write_text("x")
            if fault:
                raise fault

    with pytest.raises(RuntimeError):
        write(RuntimeError)
    assert names(tmp_path) == []
    (tmp_path / "new").mkdir()
    write(None)
    assert [names(tmp_path), names(tmp_path / "new")] == [["new"], ["a"]]
    with pytest.raises(UserError, match="new already holds files"):
        write(None)


REPLACING = """
from pathlib import Path
with files.whole_folder(folder + "/a", over=True) as new:
    (new / "x").write_text("new")
"""
"""Takes the place of a folder whose `x` says "old"."""


def folder_with(x: str, path: Path) -> Path:
    path.mkdir()
    (path / "x").write_text(x)
    return path


def test_a_folder_takes_the_place_of_another_in_one_step(tmp_path, monkeypatch):
    folder_with("old", tmp_path / "a")
    steps = []
    monkeypatch.setattr(os, "replace", lambda *paths: steps.append(paths))  # of which none is needed
    exec(REPLACING, {"files": files, "folder": str(tmp_path)})
    assert (tmp_path / "a" / "x").read_text() == ("new" if sys.platform == "linux" else "old")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("moment", [1, 2])
def test_without_such_a_step_a_kill_leaves_the_old_folder_or_the_new_to_the_next_run(tmp_path, moment):
    """`moment` 1: the old one is out of its place, and the new one not yet in it; 2: both steps are done."""
    folder_with("old", tmp_path / "a")
    code = f"""
import os
files._exchange = lambda one, other: False
steps, replace = [], os.replace
def step(*paths):
    replace(*paths)
    steps.append(paths)
    if len(steps) == {moment}:
        print("ready", flush=True)
        sys.stdin.read()
os.replace = step
{REPLACING}"""
    end(other_process(code, tmp_path))
    assert (tmp_path / "a").exists() == (moment == 2)
    with scratch(tmp_path):
        pass
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a" / "x").read_text() == ("old" if moment == 1 else "new")


def test_a_fault_between_the_steps_puts_the_old_folder_back(tmp_path, monkeypatch):
    folder_with("old", tmp_path / "a")
    replace = os.replace

    def fail(source, target):
        if Path(source).name == "new":
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UserError, match="Input/output error"):
        exec(REPLACING, {"files": files, "folder": str(tmp_path)})
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a" / "x").read_text() == "old"


def test_a_link_to_a_folder_stays_one(tmp_path):
    folder_with("old", tmp_path / "elsewhere")
    (tmp_path / "a").symlink_to("elsewhere")
    exec(REPLACING, {"files": files, "folder": str(tmp_path)})
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "elsewhere" / "x").read_text() == "new"


@pytest.mark.parametrize("links", [True, False])
def test_what_else_a_folder_holds_is_carried_over(tmp_path, monkeypatch, links):
    old, new = folder_with("old", tmp_path / "old"), folder_with("new", tmp_path / "new")
    (old / "more").mkdir()
    for name in ("y", ".z", "more/y"):
        (old / name).write_text(name)
    (old / "nowhere").symlink_to("missing")
    if not links:

        def refuse(*paths, **options):
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    carry_over(old, new)
    assert names(new) == [".z", "more", "nowhere", "x", "y"]
    assert [(new / name).read_text() for name in ("x", "y", ".z", "more/y")] == ["new", "y", ".z", "more/y"]
    assert os.readlink(new / "nowhere") == "missing"


def test_the_digest_of_a_folder_is_of_names_and_contents(tmp_path):
    digests = set()
    for number, content in enumerate([{"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": ""}, {"a": "1"}]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
        digests.add(sha256(folder))
    assert len(digests) == 4


# Results over results, and over nothing else


def write_results(folder: Path, **contents: str) -> None:
    with result_files(folder, ["a", "b", "sub/c"]) as place:
        (place / "sub").mkdir()
        for name, content in contents.items():
            (place / name.replace("_", "/")).write_text(content)
        (place / "not_named").write_text("only for a moment")


def test_results_take_the_place_of_earlier_ones(tmp_path):
    write_results(tmp_path, a="1", sub_c="1")
    write_results(tmp_path, a="2", b="2", sub_c="2")
    assert {path.name: path.read_text() for path in tmp_path.rglob("[abc]")} == {"a": "2", "b": "2", "c": "2"}
    assert names(tmp_path) == [".pan-results", "a", "b", "sub"]


@pytest.mark.parametrize("change", ["foreign", "edited", "folder", "link"])
def test_what_is_not_as_it_was_written_is_refused_before_the_work(tmp_path, change):
    if change == "edited":
        write_results(tmp_path, a="1")
        (tmp_path / "a").write_text("2")
    elif change == "folder":
        (tmp_path / "a").mkdir()
    elif change == "link":
        (tmp_path / "a").symlink_to("nowhere")
    else:
        (tmp_path / "a").write_text("mine")
    before = names(tmp_path)
    said = pytest.raises(UserError, match=r"a would be overwritten, which this program did not write, or which was")
    with said, result_files(tmp_path, ["a"]):
        pytest.fail("the work has begun")
    assert names(tmp_path) == before


def test_a_result_of_a_name_is_no_leave_for_another(tmp_path):
    write_results(tmp_path, a="1")
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(UserError, match="b would be overwritten"):
        write_results(tmp_path, a="1")


def test_a_single_result(tmp_path):
    for content in ("1", "2"):
        with result_file(tmp_path / "new" / "a.json") as file:
            assert file is not None
            file.write_text(content)
    assert (tmp_path / "new" / "a.json").read_text() == "2"
    with result_file(None) as file:
        assert file is None
    with pytest.raises(UserError, match="it is a folder; name a file in it"), result_file(tmp_path):
        pass


# One process a folder


def test_a_folder_in_use_says_who_uses_it(tmp_path):
    process = other_process(OWNING, tmp_path)
    with pytest.raises(InUse) as raised, owned(tmp_path, "run"):
        pass
    assert f"the run {tmp_path} is in use by process {process.pid} on {os.uname().nodename} (" in str(raised.value)
    assert str(raised.value).endswith("; wait until it has ended, or choose another folder")
    end(process)
    with owned(tmp_path, "run") as folder:
        assert folder == tmp_path
    assert names(tmp_path) == []


def test_a_forked_process_does_not_keep_the_lock(tmp_path):
    """As the workers of a loader, which may outlive a process that was killed."""
    process = other_process(f"{OWNING}; import os; child = os.fork() or (sys.stdin.read(), os._exit(0))", tmp_path)
    process.kill()  # and the forked one goes on until its input ends
    process.wait()
    with owned(tmp_path, "run"):
        pass
    process.communicate()


def test_of_two_that_want_a_new_folder_each_gets_its_own(tmp_path):
    with (
        owned(tmp_path / "runs" / "a", "run", numbered=True) as first,
        owned(tmp_path / "runs" / "a", "run", numbered=True) as second,
    ):
        assert [first.name, second.name] == ["a", "a-2"]
        (second / "x").write_text("result")
    with owned(tmp_path / "runs" / "a-2", "run", numbered=True) as third:
        assert third.name == "a-2-2"
    assert names(tmp_path / "runs") == ["a-2"]
    end(other_process(OWNING, tmp_path / "runs" / "a-2"))
    end(other_process(WRITING, tmp_path / "runs" / "a-2"))
    with owned(tmp_path / "runs" / "a-2", "run", numbered=True):
        assert names(tmp_path / "runs" / "a-2") == ["x"]  # what the dead left there is cleared all the same


def test_a_folder_in_which_nothing_was_written_is_gone_unless_it_was_there(tmp_path):
    (tmp_path / "there").mkdir()
    for place in ("there", "new/a/b"):
        with owned(tmp_path / place, "run"):
            pass
    assert names(tmp_path) == ["there"]


def test_a_foreign_file_in_the_lock_s_place_is_told_and_left(tmp_path):
    (tmp_path / ".pan-owner").write_text("mine")
    assert holds_files(tmp_path)
    with pytest.raises(UserError, match=r"\.pan-owner is no lock of this program"), owned(tmp_path, "run"):
        pass
    assert (tmp_path / ".pan-owner").read_text() == "mine"


# Work that several processes share


def test_a_piece_of_work_is_held_by_one_and_free_again_when_that_dies(tmp_path):
    process = other_process(CLAIMING, tmp_path)
    with Claims(tmp_path) as claims:
        assert not claims.take("x")
        assert claims.take("y")
        with Claims(tmp_path) as others:
            assert not others.take("y")
        end(process)
        assert claims.take("x")
        claims.give_back("y")
        assert claims.take("y")
    assert names(tmp_path) == []


SHARING = """
import os, time
with files.Claims(folder) as claims:
    for item in map(str, range(200)):
        if claims.take(item):
            if not os.path.exists(f"{folder}/{item}"):
                with open(f"{folder}/log", "a") as log: log.write(item + "\\n")
                open(f"{folder}/{item}", "x").close()
            claims.give_back(item)
"""


def test_processes_that_share_work_do_each_piece_once(tmp_path):
    command = [sys.executable, "-c", f"import sys, pyramid_attention.files as files; folder = sys.argv[1]{SHARING}"]
    sharing = [subprocess.Popen([*command, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in sharing] == [0, 0, 0]
    done = (tmp_path / "log").read_text().split()
    assert sorted(done, key=int) == [str(item) for item in range(200)]
    assert len(names(tmp_path)) == 201


def test_a_lock_is_waited_for_and_its_file_stays(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock"):
            order.append("second")

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_many_files_are_written_by_way_of_one_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    with scratch(tmp_path) as place:
        for name in ("a.png", "deep/b.txt"):
            with whole_file(tmp_path / name, place) as temporary:
                assert temporary.parent == place
                assert temporary.suffix == Path(name).suffix
                temporary.write_text(name)
        assert list(tmp_path.glob("*/.pan-*")) == []
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.png", "b.txt"]


@pytest.mark.parametrize("data", [{}, {"a": [1, 2.5, None], "b": {"c": "ü"}}, {"a": (1, 2)}])
def test_a_file_holds_what_was_written_and_nothing_else(tmp_path: Path, data: dict) -> None:
    path = tmp_path / "key.json"
    assert not files.holds_json(path, data)
    files.write_json(path, data)
    assert files.holds_json(path, data)
    assert not files.holds_json(path, {**data, "d": 1})
    path.write_text("{")
    assert not files.holds_json(path, data)
