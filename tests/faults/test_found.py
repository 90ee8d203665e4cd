"""What was once found by breaking it, each as it was found.

Two parts of it are tested where the code is: the memory of large images with tiles (8) in inference/test_predict.py,
and what is said of networks that cannot be exported (9) in export/test_exporter.py.
"""

from __future__ import annotations

import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.artifacts.locate import locate
from pyramid_attention.cli import main
from support import OWNING, WRITING, end, other_process, training


def test_1_hidden_files_of_others_are_left_alone(place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / ".git").mkdir(parents=True)
    (out / ".y.1.tmp.png").mkdir()
    for note in (out / ".notes.tmp.txt", out / ".git" / ".x.tmp"):
        note.write_text("mine")
    assert main(["data", "convert", str(place / "data"), str(out)]) == 2
    assert main(training(place / "data", out)) == 2
    assert "already holds" in capsys.readouterr().err
    assert sorted(path.name for path in out.rglob("*")) == [".git", ".notes.tmp.txt", ".x.tmp", ".y.1.tmp.png"]


def test_2_nothing_is_overwritten_that_is_not_ours(place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model", str(place / "model")]
    shutil.copytree(place / "data", out)
    (out / "report").mkdir()
    for name in ("report/confusion.png", "notes.json", "samples.png", "a.onnx", "a_explained.png"):
        (out / name).write_text("mine")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for command in (
        ["predict", str(out / "images/train"), "--out", str(out / "masks/train"), *model],
        ["predict", str(out / "images/train/a.png"), "--out", str(out / "images/val"), *model],
        ["eval", str(out), "--report", str(out / "report"), *model],
        ["eval", str(out), "--json", str(out / "notes.json"), *model],
        ["data", "inspect", str(out), "--out", str(out)],
        ["data", "inspect", str(out), "--json", str(out / "notes.json")],
        ["export", str(place / "model"), "--out", str(out / "a.onnx")],
        ["explain", str(out / "images/train/a.png"), "--out", str(out / "a_explained.png"), *model],
        ["bench", str(place / "model"), "--json", str(out / "notes.json")],
    ):
        assert main(command) == 2, command
        (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("pan: "))
        assert "overwr" in line
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("verb", ["train", "convert"])
def test_3_and_4_a_second_run_into_a_folder_is_refused(
    place: Path, out: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    command = training(place / "data", out) if verb == "train" else ["data", "convert", str(place / "data"), str(out)]
    first = other_process(OWNING, out)
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{out} is in use by process {first.pid}" in line
    end(first)


def test_5_a_long_name_stops_nothing(place: Path, tmp_path: Path, out: Path) -> None:
    for name in ("a", "n" * 241, "z"):
        shutil.copy(place / "data/images/train/a.png", tmp_path / f"{name}.jpg")
    command = ["predict", str(tmp_path), "--out", str(out), "--model", str(place / "model"), "--overlay"]
    assert main(command) == 0
    assert len(list(out.glob("*.png"))) == 3


@pytest.mark.parametrize("file", ["street.onnx", "model.safetensors", "config.json"])
def test_6_a_damaged_model_says_so(
    place: Path, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    if file == "street.onnx":
        model = damaged = tmp_path / file
        shutil.copy(str(locate("pan-street").path), model)
    else:
        model = tmp_path / "model"
        damaged = shutil.copytree(place / "model", model) / file
    whole = damaged.read_bytes()
    rng = np.random.default_rng(6)
    for at in [*rng.integers(0, len(whole), 12), len(whole) - 1]:
        content = bytearray(whole)
        content[at] ^= 1 << rng.integers(8)
        damaged.write_bytes(content)
        assert main(["predict", str(place / "data/images"), "--out", str(out), "--model", str(model)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("pan: ")
        assert str(tmp_path) in line
    damaged.write_bytes(whole)
    assert main(["predict", str(place / "data/images"), "--out", str(out), "--model", str(model)]) == 0


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [100, 5_000, 500_000])
def test_7_a_full_disk_ends_a_training_in_one_line_and_it_can_be_resumed(
    place: Path, out: Path, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    with small_disk(size):
        assert main(training(place / "data", out)) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("pan: ")] == [said[-1]]
    assert str(out) in said[-1]
    assert main([*training(place / "data", out), "--resume"]) == 0
    assert not list(out.rglob(".*"))


def test_7_an_export_needs_no_folder_of_temporary_files(
    place: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "none"))
    assert main(["export", str(place / "model"), "--out", str(out / "a.onnx")]) == 0


def test_7_what_a_killed_prediction_left_is_cleared(place: Path, out: Path) -> None:
    command = ["predict", str(place / "data/images"), "--out", str(out), "--model", str(place / "model")]
    assert main(command) == 0
    for folder in (out, out / "val"):
        end(other_process(WRITING, folder))
    assert main([*command, "--resume"]) == 0
    assert not [path for path in out.rglob("*") if path.name == "new.png"]


def test_8_a_jpeg_of_two_kilobytes_that_claims_144_megapixels_is_refused(
    place: Path, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 64), (90, 120, 40)).save(path)
    content = path.read_bytes()
    size = content.index(b"\xff\xc0") + 5  # T.81, B.2.2: the frame's height and width
    path.write_bytes(content[:size] + struct.pack(">HH", 12000, 12000) + content[size + 4 :])
    assert main(["predict", str(path), "--out", str(out), "--model", str(place / "model")]) == 2
    assert "a.jpg" in capsys.readouterr().err.splitlines()[-1]


def test_9_damaged_tiffs_are_told_by_name_and_libtiff_is_silent(
    tmp_path: Path, place: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for kind in ("tiff_lzw", "tiff_adobe_deflate", "jpeg"):
        path = tmp_path / f"{kind}.tif"
        Image.fromarray(pixels).save(path, compression=kind)
        whole = path.read_bytes()
        path.write_bytes(whole[:300] + b"\xff" * 700 + whole[1000:])
    assert main(["predict", str(tmp_path), "--out", str(out), "--model", str(place / "model")]) == 1
    said = capfd.readouterr().err.splitlines()
    assert sum(str(tmp_path) in line for line in said) == 3
    assert not [line for line in said if not line.startswith(("failed: ", "pan: ", "segmenting: "))]


def test_9_importing_writes_nothing_into_the_folder_of_temporary_files(tmp_path: Path) -> None:
    code = "import pyramid_attention, onnxruntime, pyramid_attention.inference"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, check=True)
    assert not list(tmp_path.iterdir())
