"""`pan explain`: a sheet for an image, by a model as it is saved."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.artifacts import save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.cli import main
from pyramid_attention.models import build_model
from support import shaken


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = shaken(build_model("pan", num_classes=2, backbone="test_resnet", channels=8))
    network.classes = ClassTable.of(["road", "tree"], [[0, 0, 0], [0, 200, 0]])
    save_model(network, tmp_path / "model")
    return tmp_path / "model"


def test_a_sheet_is_drawn_and_is_not_the_same_for_another_image(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets = []
    for seed in (0, 1):
        image = tmp_path / f"{seed}.png"
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 64, 3), dtype=np.uint8)).save(image)
        sheet = tmp_path / f"sheet{seed}.png"
        assert main(["explain", str(image), "--model", str(model), "--device", "cpu", "--out", str(sheet)]) == 0
        assert capsys.readouterr().out == f"the sheet is {sheet}\n"
        sheets.append(np.asarray(Image.open(sheet).convert("RGB")))
    assert sheets[0].shape == sheets[1].shape
    assert (sheets[0] != sheets[1]).any()


def test_an_image_that_is_not_there_is_told_in_a_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(tmp_path / "no.jpg"), "--model", str(model), "--out", str(tmp_path / "s.png")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pan: ")
    assert "no.jpg" in line
    assert not (tmp_path / "s.png").exists()


@pytest.mark.parametrize("name", ["sheet", "sheet.xyz"])
def test_a_sheet_is_a_png(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    Image.new("RGB", (64, 40)).save(tmp_path / "a.png")
    assert main(["explain", str(tmp_path / "a.png"), "--model", str(model), "--out", str(tmp_path / name)]) == 2
    assert capsys.readouterr().err == f"pan: --out {tmp_path / name} is to be a .png file\n"
