"""The wheel, installed alone: what a user without PyTorch has. And the floors of the design."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

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


@pytest.mark.timeout(900)
def test_the_base_install_has_no_torch_and_says_what_is_missing(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python, pan = tmp_path / "venv" / "bin" / "python", tmp_path / "venv" / "bin" / "pan"
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True, capture_output=True)
    assert subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode != 0

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([pan, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert "train" in run("--help").stdout
    assert run("--version").stdout.startswith("pan ")
    for verb in ("train", "eval", "predict", "demo"):
        assert run(verb, "--help").returncode == 0
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    for arguments in (["train", "shapes"], ["demo"], ["eval", "shapes", "--model", "model"]):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert "pip install 'pyramid-attention[train]'" in done.stderr
        assert done.stderr.count("\n") == 1
    # What needs no PyTorch works: the readers, the class table, the decoding.
    code = (
        "import pyramid_attention as p; from pyramid_attention.data import open_dataset;"
        "d = open_dataset('shapes', seed=1); s = d.split('val')[0];"
        "assert s.read_image().shape[:2] == s.read_mask().shape; print(len(d.classes))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 6
