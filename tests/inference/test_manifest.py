"""The logs of a folder of results: what they say, that they do not grow, and what damage does to them."""

from __future__ import annotations

import hashlib

import pytest

from inference.test_sinks import MODEL, A, B, C, lines, write
from pyramid_attention.errors import UserError
from pyramid_attention.inference import manifest as module
from pyramid_attention.inference.manifest import LOGS
from pyramid_attention.inference.sinks import Claim, FileSink


def test_a_log_says_what_was_written_from_what_by_which_model(tmp_path):
    write(tmp_path, B)
    run, claimed, file, ended = lines(tmp_path)
    assert (run["made_by"], run["partners"]) == (MODEL, [])
    assert (claimed, ended) == ({"claimed": "deep/b"}, {"ended": "deep/b"})
    path = tmp_path / "deep" / "b.png"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert file == ["deep/b.png", path.stat().st_size, digest, path.stat().st_mtime_ns, "1"]


def test_logs_of_ended_runs_are_put_together_and_nothing_of_them_is_lost(tmp_path):
    write(tmp_path, A, B)
    for number in range(2 * module.SEVERAL):
        write(tmp_path, C, label=number % 2)
    assert len(list((tmp_path / LOGS).glob("*.jsonl"))) <= module.SEVERAL + 1
    assert len(lines(tmp_path)) < 6 * module.SEVERAL
    assert write(tmp_path, A, B, C, resume=True) == [Claim.DONE] * 3
    assert write(tmp_path, A, B, C) == [Claim.OURS] * 3


def test_a_line_that_is_cut_off_or_strange_is_passed_over(tmp_path):
    write(tmp_path, A)
    (log,) = (tmp_path / LOGS).glob("*.jsonl")
    with open(log, "ab") as file:
        file.write(b'["c.png", 1\n17\n{"x": 1}\nnull\n["a.png"]\n\xff\xfe\n["half.png", 12, "ab')
    (tmp_path / LOGS / "notes.txt").write_text("not a log")
    assert write(tmp_path, A, C, resume=True) == [Claim.DONE, Claim.OURS]


class FullDisk:
    def write(self, data: bytes) -> int:
        return len(data) // 2


def test_a_full_disk_is_told_with_the_folder(tmp_path, monkeypatch):
    with FileSink(tmp_path, made_by=MODEL) as sink, monkeypatch.context() as patch:
        patch.setattr(sink._manifest, "_log", FullDisk())
        with pytest.raises(UserError, match=f"cannot write in {tmp_path / LOGS}: No space left on device; check"):
            sink.claim(A)
