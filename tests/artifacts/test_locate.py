"""Where a model is: paths, packaged names and the hub are told apart, and a mistyped path asks nobody."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from pyramid_attention.artifacts import Located, load_model, locate, read_info, save_model
from pyramid_attention.artifacts.locate import FOLDER, PACKAGED
from pyramid_attention.errors import MissingExtra, UserError
from pyramid_attention.models import build_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("run") / "model"
    save_model(build_model("baseline", num_classes=3, backbone="test_resnet"), path)
    return path


@pytest.fixture
def hub(folder, tmp_path) -> Path:
    """A cache of the hub, as its own program lays it out, that holds the model "somebody/pan" at two revisions."""
    repository = tmp_path / "cache" / "models--somebody--pan"
    for revision, commit in {"main": "a" * 40, "old": "b" * 40}.items():
        shutil.copytree(folder, repository / "snapshots" / commit)
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / revision).write_text(commit)
    return tmp_path / "cache"


@pytest.fixture
def no_hub(monkeypatch):
    """Nobody may be asked."""

    def refuse(*_, **__):
        pytest.fail("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)


def refusal(model) -> str:
    with pytest.raises(UserError) as caught:
        locate(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_folder_and_a_model_folder_name_the_same_model(folder):
    assert locate(folder.parent) == locate(str(folder)) == locate(folder) == Located("folder", folder)
    assert locate(locate(folder)) == locate(folder)


def test_an_exported_file(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    assert locate(tmp_path / "model.onnx") == Located("onnx", tmp_path / "model.onnx")


def test_a_folder_of_a_packaged_models_name_goes_first(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("pan-street") == Located("onnx", FOLDER / "pan-street.onnx", PACKAGED["pan-street"])
    shutil.copytree(folder, "pan-street")
    assert locate("pan-street") == Located("folder", Path("pan-street"))


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("runs/typo", "there is no model runs/typo"),
        ("here/typo", "there is no model here/typo"),
        ("somebody/model.onnx", "there is no model somebody/model.onnx"),
        ("a/b/c", "there is no model a/b/c"),
        ("nowhere", "there is no model nowhere"),
        ("pan-stret", "pan-street"),
        (Path("somebody/pan"), "there is no model somebody/pan"),
        ("here", "here holds no model"),
        ("weights.pt", "weights.pt is not a model"),
    ],
)
def test_a_mistyped_path_is_told_and_the_hub_not_asked(model, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("weights.pt").write_text("x")
    assert message in refusal(model)


def test_a_model_of_the_hub_is_found_at_its_revision(hub, folder):
    found = locate("somebody/pan", revision="old", cache_dir=hub, local_files_only=True)
    assert found == Located("folder", hub / "models--somebody--pan" / "snapshots" / ("b" * 40))
    network = load_model("somebody/pan", cache_dir=hub, local_files_only=True)
    images = torch.randn(1, 3, 40, 40)
    assert torch.equal(network(images), load_model(folder)(images))


def test_what_the_hub_is_asked_for(folder, monkeypatch):
    asked = []

    def download(name, **how):
        asked.append((name, how))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    where = {"revision": "v1", "token": "secret", "cache_dir": Path("there"), "local_files_only": False}
    assert locate("somebody/pan", **where) == Located("folder", folder)
    assert asked == [("somebody/pan", where | {"allow_patterns": ["config.json", "model.safetensors"]})]
    assert read_info("somebody/pan") == read_info(folder)
    assert asked[1][1]["allow_patterns"] == ["config.json"]


def test_a_hub_that_cannot_be_reached(monkeypatch):
    def fail(*_, **__):
        raise LocalEntryNotFoundError("cannot reach the hub\nmore of it")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    assert refusal("somebody/pan") == (
        "there is no model somebody/pan here, and 'somebody/pan' cannot be had from the Hugging Face hub (cannot reach"
        " the hub)"
    )


def test_another_programs_model_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    assert "is no model of pyramid-attention: it holds no config.json" in refusal("somebody/else")


def test_without_the_hubs_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'pyramid-attention\[train\]'"):
        locate("somebody/pan")


def test_finding_and_describing_models_imports_no_torch(folder):
    code = (
        "import sys; from pyramid_attention.artifacts import locate, read_info;"
        f"read_info({str(folder)!r}); read_info('pan-street');"
        "sys.exit(bool({'torch', 'onnx', 'onnxruntime', 'huggingface_hub'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
