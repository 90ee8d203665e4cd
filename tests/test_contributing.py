"""What CONTRIBUTING says of adding a part is done here, word for word."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pyramid_attention.artifacts import ModelInfo
from pyramid_attention.artifacts.onnx_file import write_file
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.inference import Segmenter, engines
from pyramid_attention.models import architectures, build_model, list_options
from support import brightest, shaken

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def chapter(heading: str) -> str:
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def written_module(name: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The first block of Python in a chapter as the module it would be, lying in another folder."""
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    path = folder / f"{name.rpartition('.')[2]}.py"
    path.write_text(code[1], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_an_engine_is_a_file_and_a_row(tmp_path, monkeypatch):
    text = chapter("How to add an engine")
    written_module("pyramid_attention.inference.engines.reference", text, tmp_path, monkeypatch)
    row = re.search(r"its row, `(.*?)`", text)
    assert row is not None
    for name, engine in eval(f"{{{row[1]}}}", vars(engines)).items():
        monkeypatch.setitem(engines.ENGINES, name, engine)

    classes = ClassTable.of(["red", "green", "blue"])
    write_file(brightest(), tmp_path / "model.onnx", ModelInfo(classes=classes))
    assert "reference" in engines.engines_for(tmp_path / "model.onnx")
    image = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    for options in ({}, {"tile": 128}, {"tta": True}):
        found, expected = (
            Segmenter.load(tmp_path / "model.onnx", engine=name, **options)(image)
            for name in ("reference", "onnxruntime")
        )
        np.testing.assert_array_equal(found.labels, expected.labels)
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-6)
    with pytest.raises(UserError, match=r"classes= is an option of onnxruntime and openvino"):
        Segmenter.load(tmp_path / "model.onnx", engine="reference", classes=["a"])


def test_a_decoder_is_a_file_and_a_row(tmp_path, monkeypatch):
    text = chapter("How to add a decoder or a context")
    module = written_module("pyramid_attention.models.decoder.skip", text, tmp_path, monkeypatch)
    row = re.search(r"its row, `(.*?)`", text)
    assert row is not None
    for name, part in eval(f"{{{row[1]}}}", vars(module)).items():
        monkeypatch.setitem(architectures.DECODERS, name, part)

    net = shaken(build_model(context="aspp", decoder="skip", num_classes=3, backbone="test_resnet", channels=8))
    assert (net.spec["architecture"], net.spec["decoder"], net.spec["channels"]) == (None, "skip", 8)
    assert list_options(context="none", decoder="skip") == ["channels"]

    images = torch.randn(2, 3, 64, 96)
    features = net.backbone(images)
    low, high = (
        F.batch_norm(F.conv2d(x, part[0].weight), *(part[1].running_mean, part[1].running_var, *part[1].parameters()))
        for x, part in ((features[0], net.decoder.low), (net.context(features[-1]), net.decoder.high))
    )
    logits = net.head(low + F.interpolate(high, (16, 24), mode="bilinear"))
    expected = F.interpolate(logits, (64, 96), mode="bilinear")
    torch.testing.assert_close(net(images), expected, atol=1e-5, rtol=1e-5)

    again = build_model(**net.spec)
    again.load_state_dict(net.state_dict())
    assert torch.equal(again.eval()(images), net(images))
