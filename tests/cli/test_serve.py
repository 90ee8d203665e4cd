"""`pan serve` as a process: what it says, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from pyramid_attention.artifacts import save_model
from pyramid_attention.cli import main
from pyramid_attention.images import encode_image
from pyramid_attention.models import build_model

PNG = encode_image(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8), "PNG")


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a free port, and its address."""
    command = [sys.executable, "-m", "pyramid_attention.cli", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            assert found, line or process.communicate()
            yield process, found[0]
        finally:
            process.kill()


def test_a_request_to_end_loses_nothing_and_is_no_failure() -> None:
    """Sixteen clients ask without a pause; every request is answered, and the last answer says that it is the last."""
    with serving() as (process, address):

        def ask_until_the_end(number: int) -> int:
            with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
                for count in range(1, 1000):
                    answer = client.post("/v1/segment", content=PNG)
                    assert answer.status_code == 200
                    if answer.headers.get("connection") == "close":
                        return count
                    if number == 0 and count == 3:
                        process.send_signal(signal.SIGTERM)
            return 0

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(ask_until_the_end, range(16)))
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert "all that was accepted is answered" in process.stdout.read()


def test_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PAN_API_KEY", "k")
    with serving("street=pan-street") as (_, address):
        assert httpx.get(f"{address}v1/models", trust_env=False).status_code == 401
        found = httpx.get(f"{address}v1/models", headers={"x-api-key": "k"}, trust_env=False).json()
        assert found["default"] == "street"


def test_a_model_that_is_not_exported_is_exported_first(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_model(build_model("pan", num_classes=3, backbone="test_resnet", channels=8), tmp_path / "mine" / "model")
    with serving(str(tmp_path / "mine"), "pan-street") as (process, address):
        found = httpx.get(f"{address}v1/models", trust_env=False).json()
        assert [(one["name"], len(one["classes"])) for one in found["models"]] == [("mine", 3), ("pan-street", 11)]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["model"]


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["serve", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = mistake(capsys, "--port", str(port))
    assert f"port {port} of 127.0.0.1 cannot be used (Address already in use)" in said
    assert "--port" in said


def test_mistakes_are_told_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "there is no model" in mistake(capsys, "nothing-here")
    assert "two models are called 'pan-street'" in mistake(capsys, "pan-street", "pan-street")
    assert "--queue must be above 0" in mistake(capsys, "--queue", "0")
    assert "--fetch is a list of addresses" in mistake(capsys, "--fetch", "/etc")
    assert "--api-key is empty" in mistake(capsys, "--api-key", "")
    (tmp_path / "model.onnx").write_bytes(b"no")
    assert "model.onnx" in mistake(capsys, str(tmp_path / "model.onnx"))


def test_without_pytorch_a_model_folder_is_told_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else object())
    assert "pip install 'pyramid-attention[train]'" in mistake(capsys, str(tmp_path))
