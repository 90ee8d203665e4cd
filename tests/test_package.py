"""The wheel, installed alone: what a user without PyTorch has. And the floors of the design."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pyramid_attention.artifacts import save_model
from pyramid_attention.export import export
from pyramid_attention.inference import Segmenter
from pyramid_attention.models import build_model

ROOT = Path(__file__).parent.parent


def test_the_floors_hold() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_recipes_and_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    recipes = {Path(name).stem for name in names if "training/recipes/" in name}
    assert recipes == {"camvid", "cityscapes", "finetune", "shapes", "voc"}
    assert "pyramid_attention/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "docs"))]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model folder, and the file that was made of it."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    save_model(build_model("pan", num_classes=5, backbone="test_resnet", channels=8), folder)
    return folder, export(folder).path


@pytest.mark.timeout(900)
def test_the_base_install_runs_models_without_torch_and_says_what_is_missing(
    wheel: Path, exported: tuple[Path, Path], tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python, pan = tmp_path / "venv" / "bin" / "python", tmp_path / "venv" / "bin" / "pan"
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True, capture_output=True)
    assert subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode != 0

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([pan, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert "train" in run("--help").stdout
    assert run("--version").stdout.startswith("pan ")
    for verb in ("train", "eval", "predict", "demo", "export", "bench"):
        assert run(verb, "--help").returncode == 0
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    for arguments in (["train", "shapes"], ["demo"], ["eval", "shapes", "--model", "model"], ["export", "model"]):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert "pip install 'pyramid-attention[train]'" in done.stderr
        assert done.stderr.count("\n") == 1
    # What needs no PyTorch works: exported models, the readers, the class table, the decoding.
    folder, file = exported
    for index, size in enumerate([(40, 57), (5, 9), (300, 200)]):
        noise = np.random.default_rng(index).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{index}.png")
    done = run("predict", "0.png", "1.png", "2.png", "--model", str(file), "--overlay", "--confidence")
    assert done.returncode == 0, done.stderr
    segmenter = Segmenter.load(folder, device="cpu")
    for index in range(3):
        labels = np.array(Image.open(tmp_path / "predictions" / f"{index}.png"))
        assert (labels == segmenter(tmp_path / f"{index}.png").labels).mean() >= 0.999
    done = run("predict", "0.png", "--overlay", "--out", "street")  # the model in the package
    assert done.returncode == 0, done.stderr
    labels = np.array(Image.open(tmp_path / "street" / "0.png"))
    assert (labels == Segmenter.load()(tmp_path / "0.png").labels).mean() >= 0.999
    assert "pan-street" in run("models").stdout
    done = run("eval", "shapes", "--model", str(file), "--json", "numbers.json", "--tile", "128")
    assert done.returncode == 2  # five classes are not the shapes' seven, and that is told without PyTorch
    assert "the model has 5 classes but the data set 7" in done.stderr
    done = run("bench", str(file), "--size", "64x64", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert "onnxruntime" in done.stdout
    done = run("predict", "0.png", "--model", str(file), "--engine", "openvino")
    assert done.returncode == 2
    assert "pip install 'pyramid-attention[openvino]'" in done.stderr
    code = (
        "import pyramid_attention as p; from pyramid_attention.data import open_dataset;"
        "d = open_dataset('shapes', seed=1); s = d.split('val')[0];"
        "assert s.read_image().shape[:2] == s.read_mask().shape; print(len(d.classes))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 6
