"""The models that come with the package: there, described, found by name, and as good as their card says."""

from __future__ import annotations

import hashlib
import re
import shutil

import numpy as np
import pytest
import torch

from pyramid_attention import Segmenter, evaluate
from pyramid_attention.artifacts import Located, load_model, locate, read_info
from pyramid_attention.artifacts.locate import PACKAGED
from pyramid_attention.cli import main
from pyramid_attention.errors import UserError
from pyramid_attention.inference import DEFAULT_MODEL
from support import CAMVID


def test_the_default_is_there_and_small():
    assert DEFAULT_MODEL in PACKAGED
    assert all(locate(name).path.stat().st_size <= 20e6 for name in PACKAGED)


@pytest.mark.parametrize("name", PACKAGED)
def test_the_digest_in_the_code_is_the_files(name, tmp_path):
    path = locate(name).path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == PACKAGED[name]
    other = tmp_path / path.name
    shutil.copy(path, other)
    Segmenter.load(other)
    with pytest.raises(UserError, match="is damaged: its weights are not those that were written"):
        Segmenter.load(Located("onnx", other, sha256="0" * 64))  # a file that fits itself is not yet the packaged one


@pytest.mark.parametrize("name", PACKAGED)
def test_the_card_says_what_the_file_says(name):
    card, info = locate(name).path.with_suffix(".md").read_text(encoding="utf-8"), read_info(name)
    found = re.search(r"\*\*mIoU ([\d.]+) %\*\*", card)
    assert found
    assert float(found[1]) == pytest.approx(100 * info.validation["miou"], abs=0.051)
    assert info.provenance["source_sha256"] in card
    assert f"seed {info.recipe['seed']}" in " ".join(card.split())
    assert info.classes is not None
    for label in info.classes.names:
        assert f"| {label} |" in card
    for heading in ("Data", "Recipe", "Accuracy", "Corruptions", "Speed", "Known failures", "Terms"):
        assert f"\n## {heading}\n" in card


def test_it_is_what_is_used_where_no_model_is_named(capsys):
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    segmenter = Segmenter.load()
    np.testing.assert_array_equal(segmenter(image).labels, Segmenter.load(DEFAULT_MODEL)(image).labels)
    assert segmenter.max_size == 480
    assert segmenter(np.zeros((700, 900, 3), np.uint8)).labels.shape == (700, 900)
    assert main(["models"]) == 0
    assert DEFAULT_MODEL in capsys.readouterr().out


def test_it_can_be_trained_again():
    network, engine = load_model(DEFAULT_MODEL), Segmenter.load(DEFAULT_MODEL, engine="onnxruntime").engine
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), dtype=np.uint8)
    with torch.no_grad():
        logits = network.coarse_logits(network.normalise(torch.from_numpy(image)))
    np.testing.assert_allclose(engine(image), logits, atol=1e-3 * float(logits.abs().max()))


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not here")
@pytest.mark.parametrize("name", PACKAGED)
def test_it_is_as_good_on_val_as_its_card_says(name):
    miou = evaluate(CAMVID, name).metrics()["miou"]
    assert miou == pytest.approx(read_info(name).validation["miou"], abs=5e-4)
