"""Several networks as one file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pyramid_attention.artifacts import save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.cli import main
from pyramid_attention.errors import UserError
from pyramid_attention.export import export
from pyramid_attention.inference import Segmenter
from pyramid_attention.models import build_model
from support import shaken


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A fine and a coarse grid: PAN's decoder ends at 1/4 of the image, the bare backbone's at 1/16."""
    folders = []
    for name, options in (("pan", {"channels": 8}), ("baseline", {})):
        torch.manual_seed(len(folders))
        network = shaken(build_model(name, num_classes=3, backbone="test_resnet", pretrained=False, **options))
        torch.nn.init.normal_(network.head.weight, std=0.5)
        network.classes = ClassTable.of(["a", "b", "c"])
        folders.append(tmp_path_factory.mktemp(name))
        save_model(network, folders[-1])
    return folders


def test_one_file_gives_what_the_models_give_together(models: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "all.onnx"
    done = export(models, path)
    assert done.verification.agreement > 0.999
    together, exported = Segmenter.load(models, device="cpu"), Segmenter.load(path)
    assert exported.classes == together.classes
    for size in ((64, 96), (45, 131)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        found, expected = exported(image), together(image)
        assert (found.labels == expected.labels).mean() > 0.999
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)
    alone = [Segmenter.load(model, device="cpu")(image).labels for model in models]
    assert all((found.labels != own).any() for own in alone), "neither model decides alone"


def test_what_cannot_be_one_file(models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="needs out=, the file to write"):
        export(models)
    with pytest.raises(UserError, match="int8=True is for one model"):
        export(models, tmp_path / "x.onnx", int8=True, calibrate="shapes")
    assert main(["export", *map(str, models), "--web", str(tmp_path / "page")]) == 2
    assert "--web writes a page of one model" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
