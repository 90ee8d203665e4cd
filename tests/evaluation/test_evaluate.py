"""Evaluation by whatever runs the model, and what it leaves in the report's folder."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pyramid_attention.artifacts import locate, save_model
from pyramid_attention.classes import IGNORE
from pyramid_attention.cli import main
from pyramid_attention.data import open_dataset
from pyramid_attention.errors import UserError
from pyramid_attention.evaluation import evaluate
from pyramid_attention.inference import Segmenter
from pyramid_attention.models import build_model


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_model("pan", num_classes=7, backbone="test_resnet", channels=8).eval()


@pytest.fixture(scope="module")
def dataset():
    return open_dataset("shapes", train=1, val=5, size=64)


def test_a_live_network_is_evaluated_as_its_segmenter_sees_each_image(network, dataset):
    found = evaluate(dataset, network, device="cpu")
    segmenter = Segmenter(network, device="cpu")
    expected = np.zeros((7, 7), np.int64)
    for sample in dataset.split("val"):
        truth, labels = sample.read_mask(), segmenter(sample.read_image()).labels
        np.add.at(expected, (truth[truth != IGNORE], labels[truth != IGNORE]), 1)
    assert (found.confusion.matrix == expected).all()
    assert found.classes == dataset.classes
    assert (evaluate(dataset, segmenter).confusion.matrix == expected).all()


def test_a_model_is_named_in_every_way_that_the_segmenter_takes(network, dataset, tmp_path):
    network.classes = dataset.classes
    save_model(network, tmp_path)
    expected = evaluate(dataset, network, device="cpu").confusion.matrix
    for model in (str(tmp_path), tmp_path, locate(tmp_path)):
        assert (evaluate(dataset, model, device="cpu").confusion.matrix == expected).all()


def test_a_segmenter_has_its_own_options(network, dataset):
    with pytest.raises(UserError, match="a Segmenter has options of its own"):
        evaluate(dataset, Segmenter(network, device="cpu"), tta=True)


def test_a_report_shows_the_worst_and_the_best_of_all_images_once(network, dataset, tmp_path, monkeypatch):
    shown = []
    from pyramid_attention.evaluation import images

    monkeypatch.setattr(images, "sheet", lambda rows, classes: shown.extend(rows) or np.zeros((2, 2, 3), np.uint8))
    found = evaluate(dataset, network, device="cpu", report=tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        ".pan-results",
        "confusion.png",
        "per_class.md",
        "worst_best.png",
    }
    ranked = sorted(found.image_miou, key=found.image_miou.__getitem__)
    names = [row.title.split()[1].rstrip(":") for row in shown]
    assert names == ranked  # five images: three worst, two best
    assert [row.title.split(":")[0] for row in shown] == ["worst"] * 3 + ["best"] * 2


def test_of_several_models_the_gain_over_the_best_is_said(network, dataset, tmp_path, capsys):
    other = build_model("pan", num_classes=7, backbone="test_resnet", channels=8, pretrained=False).eval()
    for name, net in (("a", network), ("b", other)):
        net.classes = dataset.classes
        save_model(net, tmp_path / name)
    words = [word for name in ("a", "b") for word in ("--model", str(tmp_path / name))]
    data = str(write_data(dataset, tmp_path / "data"))
    assert main(["eval", data, "--device", "cpu", "--json", str(tmp_path / "found.json"), *words]) == 0
    together = json.loads((tmp_path / "found.json").read_text())["miou"]
    alone = [evaluate(data, tmp_path / name, device="cpu").metrics()["miou"] for name in ("a", "b")]
    said = " ".join(capsys.readouterr().out.split())
    assert f"best of 2 members {max(alone):.2%} gain, points of mIoU {100 * (together - max(alone)):+.2f}" in said
    assert evaluate(data, [tmp_path / "a", tmp_path / "b"], device="cpu").metrics()["miou"] == together


def write_data(dataset, folder):
    """The images of val as files."""
    for kind in ("images", "masks"):
        (folder / kind / "val").mkdir(parents=True)
    for sample in dataset.split("val"):
        Image.fromarray(sample.read_image()).save(folder / "images" / "val" / f"{sample.name}.png")
        Image.fromarray(sample.read_mask()).save(folder / "masks" / "val" / f"{sample.name}.png")
    (folder / "dataset.yaml").write_text(f"names: {json.dumps(list(dataset.classes.names))}\n")
    return folder
