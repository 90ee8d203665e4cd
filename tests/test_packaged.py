"""The models that come with the package: there, described, found by name, and as good as their card says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pyramid_attention import Segmenter, evaluate
from pyramid_attention.cli import main
from pyramid_attention.errors import UserError
from pyramid_attention.inference.load import find_model
from pyramid_attention.inference.options import DEFAULT_MODEL as DEFAULT
from pyramid_attention.inference.packaged import list_packaged, packaged_path
from pyramid_attention.training.initial import load_trained
from support import CAMVID

MODELS = list_packaged()


def test_the_default_is_there_and_small():
    assert DEFAULT in [model.name for model in MODELS]
    assert all(model.path.stat().st_size <= 12e6 for model in MODELS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_card_says_what_the_file_says(model):
    card, metadata = model.card.read_text(encoding="utf-8"), model.description.metadata
    found = re.search(r"\*\*mIoU ([\d.]+) %\*\*", card)
    assert found
    assert float(found[1]) == pytest.approx(100 * metadata["validation"]["miou"], abs=0.051)
    assert metadata["source_sha256"] in card
    assert f"seed {metadata['recipe']['seed']}" in " ".join(card.split())
    for name in model.description.classes.names:
        assert f"| {name} |" in card
    for heading in ("Data", "Recipe", "Accuracy", "Corruptions", "Speed", "Known failures", "Terms"):
        assert f"\n## {heading}\n" in card


def test_it_is_what_is_used_where_no_model_is_named(capsys):
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    segmenter = Segmenter.load()
    np.testing.assert_array_equal(segmenter(image).labels, Segmenter.load(DEFAULT)(image).labels)
    assert segmenter.max_size == 480
    assert segmenter(np.zeros((700, 900, 3), np.uint8)).labels.shape == (700, 900)
    assert main(["models"]) == 0
    assert DEFAULT in capsys.readouterr().out


def test_a_folder_of_the_same_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model(DEFAULT) == packaged_path(DEFAULT)
    (tmp_path / DEFAULT).mkdir()
    (tmp_path / DEFAULT / "config.json").write_text("{}")
    assert find_model(DEFAULT) == Path(DEFAULT)


def test_an_unknown_name_tells_the_known_ones():
    with pytest.raises(UserError, match="pan-street"):
        find_model("pan-stret")


def test_it_can_be_trained_again():
    network, engine = load_trained(DEFAULT).eval(), Segmenter.load(DEFAULT, engine="onnxruntime").engine
    import torch

    image = np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), dtype=np.uint8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (network.mean, network.std))
    with torch.no_grad():
        scores = network.coarse_logits((torch.from_numpy(image).permute(0, 3, 1, 2).float() - mean) / std)
    np.testing.assert_allclose(engine(image), scores, atol=1e-3 * float(scores.abs().max()))


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not here")
def test_it_is_as_good_on_val_as_its_card_says():
    miou = evaluate(CAMVID).metrics()["miou"]
    (model,) = (model for model in MODELS if model.name == DEFAULT)
    assert miou == pytest.approx(model.description.metadata["validation"]["miou"], abs=5e-4)
