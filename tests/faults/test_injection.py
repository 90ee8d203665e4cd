"""Every step of writing fails once: one line, nothing of others touched, and the next run ends as if nothing had been.

As SQLite is tested: the steps are counted, and a run is repeated with the first failing, then the second, and so on,
until a run takes so few that none fails. `benchmarks/faults.py` does the same below the libraries that write.
"""

from __future__ import annotations

import builtins
import errno
import hashlib
import io
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyramid_attention import files
from pyramid_attention.cli import main
from pyramid_attention.export import exporter
from pyramid_attention.files import RESULTS
from pyramid_attention.inference.manifest import LOGS
from pyramid_attention.serving import web
from support import geotiff, training

ERRORS = (
    OSError(errno.ENOSPC, "No space left on device"),
    KeyboardInterrupt(),
    PermissionError(errno.EACCES, "Permission denied"),
    MemoryError(),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OSError(errno.EIO, "Input/output error"),
)


class Steps:
    """Stands in for `os` in files.py, and for `open`: counts the steps of writing, and has one of them fail."""

    names = frozenset({"mkdir", "open", "write", "ftruncate", "fsync", "chmod", "replace"})

    def __init__(self, failing: int, error: BaseException) -> None:
        self.left, self.error = failing, error

    @property
    def failed(self) -> bool:
        return self.left < 0

    def take(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise self.error

    def __getattr__(self, name: str) -> Any:
        step = getattr(os, name)
        if name not in self.names:
            return step

        def counted(*arguments: Any, **options: Any) -> Any:
            self.take()
            return step(*arguments, **options)

        return counted

    def opener(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if "/.pan-" in str(file) and set(mode) & set("wxa+"):
                self.take()
            return real(file, mode, *arguments, **options)

        return opened


@contextmanager
def failing(at: int) -> Iterator[Steps]:
    """The step of this number, counted from 0, fails; another error for each number."""
    steps = Steps(at, ERRORS[at % len(ERRORS)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "os", steps)
        for module in (builtins, io):
            patch.setattr(module, "open", steps.opener(open))
        yield steps


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file, and every folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


class Broken:
    """A verb run with each of its steps failing.

    Args:
        command: the words of the verb.
        again: those that go on, after a run that failed; by default the same.
        partly: a step may also end a part of the work alone, and the rest is done.
        out: what it writes; a fresh folder for each run holds it.
        same: which of the files there are to be as those of an unbroken run.
    """

    def __init__(
        self,
        command: list[str],
        out: Path,
        same: Callable[[str], bool],
        again: list[str] | None = None,
        partly: bool = False,
    ):
        self.command, self.out, self.same = command, out, same
        self.again, self.codes = again or command, (0, 1, 2) if partly else (0, 2)

    def results(self) -> dict[str, str]:
        found = contents(self.out)
        return {name: digest for name, digest in found.items() if self.same(name) and ".pan-" not in name}

    def check(self, capsys: pytest.CaptureFixture[str], stride: int = 1) -> int:
        """Fail each `stride`th step; how many runs failed."""
        assert main(self.command) == 0
        expected = self.results()
        assert expected
        others = {path: contents(path) for path in self.out.parent.iterdir() if path != self.out}
        for at in itertools.count(0, stride):
            shutil.rmtree(self.out)
            capsys.readouterr()
            with failing(at) as steps:
                code = main(self.command)
            said = capsys.readouterr().err
            if not steps.failed:
                assert (code, self.results()) == (0, expected)
                return at // stride
            interrupted = isinstance(steps.error, KeyboardInterrupt)
            assert code in ((0, 130) if interrupted else self.codes), (at, steps.error, said)
            assert "Traceback" not in said
            assert said.count("pan: ") == (code != 0), (at, steps.error, said)
            if code != 0:
                assert main(self.again) == 0, (at, steps.error, capsys.readouterr().err)
            assert self.results() == expected, (at, steps.error)
            assert not [
                name for name in contents(self.out.parent) if ".pan-" in name.replace(LOGS, "").replace(RESULTS, "")
            ], (
                at,
                steps.error,
            )
            assert {path: contents(path) for path in others} == others
        raise AssertionError


def test_convert(place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "convert", str(place / "data"), str(out)]
    assert Broken(command, out, lambda name: True).check(capsys, stride=5) > 10


def test_predict(place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", str(place / "data/images"), "--out", str(out), "--model", str(place / "model")]
    command += ["--overlay", "--confidence"]
    images = Broken(command, out, lambda name: name.endswith((".png", ".jpg")), [*command, "--resume"], True)
    assert images.check(capsys, stride=7) > 10


def test_eval(place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", str(place / "data"), "--model", str(place / "model"), "--device", "cpu"]
    command += ["--json", str(out / "metrics.json"), "--report", str(out / "report")]
    assert Broken(command, out, lambda name: True).check(capsys, stride=5) > 5


def test_rasters(place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rasterio")
    pytest.importorskip("pyogrio")
    scene = geotiff(place / "scene.tif", np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8))
    command = ["predict", str(scene), "--out", str(out), "--model", str(place / "model"), "--device", "cpu"]
    command += ["--confidence", "--polygons", str(out / "regions.gpkg")]  # which holds the time at which it was made
    rasters = Broken(command, out, lambda name: name.endswith(".tif"), [*command, "--resume"], True)
    assert rasters.check(capsys, stride=7) > 10


def test_ome_zarr(place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.create_group(place / "scene.zarr", overwrite=True)
    group.create_array("0", data=np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8))
    group.attrs["ome"] = {"multiscales": [{"axes": [{"name": name} for name in "cyx"], "datasets": [{"path": "0"}]}]}
    command = ["predict", str(place / "scene.zarr"), "--out", str(out), "--model", str(place / "model")]
    scenes = Broken(
        [*command, "--device", "cpu"], out, lambda name: True, [*command, "--device", "cpu", "--resume"], True
    )
    assert scenes.check(capsys, stride=7) > 5


def test_explain(place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    command = ["explain", str(place / "data/images/val/a.png"), "--model", str(place / "model"), "--device", "cpu"]
    assert Broken([*command, "--out", str(out / "sheet.png")], out, lambda name: True).check(capsys, stride=6) > 1


def test_the_page(place: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    monkeypatch.setattr(web.shutil, "which", lambda name: None)  # no npm: the runtime is left out
    command = ["export", "pan-street", "--web", str(out)]
    assert Broken(command, out, lambda name: True).check(capsys, stride=9) > 2


def test_export(place: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for slow in ("build_graph", "verify"):  # what they give is the same each time
        monkeypatch.setattr(exporter, slow, once(getattr(exporter, slow)))
    monkeypatch.setattr(tempfile, "tempdir", str(place / "none"))  # whether that is full is no matter
    command = ["export", str(place / "model"), "--out", str(out / "model.onnx")]
    assert Broken(command, out, lambda name: True).check(capsys, stride=2) > 5


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    results: list[Any] = []

    def first(*arguments: Any, **options: Any) -> Any:
        if not results:
            results.append(function(*arguments, **options))
        return results[0]

    return first


def test_train(place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = training(place / "data", out)
    kept = ("recipe.yaml", "model/model.safetensors", "model/config.json", "metrics.json", "samples.png")
    trained = Broken(command, out, lambda name: name in kept, [*command, "--resume"])
    assert trained.check(capsys, stride=11) > 5
