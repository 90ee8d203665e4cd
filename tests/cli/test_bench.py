"""`pan bench` and what it rests on: cores, counts, processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pyramid_attention.artifacts import load_model, save_model
from pyramid_attention.cli import main
from pyramid_attention.errors import UserError
from pyramid_attention.export import export
from pyramid_attention.inference import Segmenter, bench, threads
from pyramid_attention.inference.engines import engines_for
from pyramid_attention.models import build_model
from pyramid_attention.models.cost import measure_cost


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    save_model(build_model("pan", num_classes=3, backbone="test_resnet", channels=8), folder)
    export(folder)
    return folder


def test_the_verb_measures_every_engine_and_size(model, tmp_path, capsys):
    file = tmp_path / "bench.json"
    words = ["bench", str(model / "model.onnx"), "--size", "96x64", "--rounds", "3", "--json", str(file)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "96×64" in printed
    assert "the best of a matrix product" in printed
    found = json.loads(file.read_text())["measurements"]
    assert [(one["engine"], one["width"], one["height"]) for one in found] == [
        ("onnxruntime", 96, 64),
        ("openvino", 96, 64),
    ]
    expected = measure_cost(load_model(model), (64, 96)).flops
    for one in found:
        assert one["flops"] == pytest.approx(expected, rel=0.05)  # 64×96 is no multiple of all strides
        assert one["rate"] == pytest.approx(one["flops"] / one["latency"])
        assert one["share_of_peak"] == pytest.approx(one["rate"] / one["peak"])
        assert one["memory"] > 20e6
        assert one["throughput"] > 0
        assert one["cores"] == threads.usable_cores()


def test_the_count_in_the_file_is_exact_where_all_strides_fit(model):
    segmenter = Segmenter.load(model / "model.onnx")
    network = load_model(model)
    for size in ((256, 256), (384, 512), (768, 1024)):
        assert bench._flops(segmenter, size) == pytest.approx(measure_cost(network, size).flops)


def test_a_model_that_nothing_here_can_run_is_an_extra_to_be_installed(model, monkeypatch, capsys):
    for module in ("pyramid_attention.errors", "pyramid_attention.inference.engines"):
        monkeypatch.setattr(f"{module}.is_installed", lambda name: name != "torch")
    monkeypatch.setattr(bench, "apart", lambda function, *arguments: function(*arguments))
    assert main(["bench", str(model)]) == 2
    assert "the engine torch needs torch, which is not installed; get it with: pip" in capsys.readouterr().err


def test_operations_are_those_of_the_image_that_the_network_is_given(model):
    network = load_model(model)
    expected = measure_cost(network, (256, 512)).flops
    for saved in (model, model / "model.onnx"):
        assert bench._flops(Segmenter.load(saved, max_size=512), (1024, 2048)) == pytest.approx(expected)
        assert bench._flops(Segmenter.load(saved, tile=256), (256, 512)) is None
        assert bench._flops(Segmenter.load(saved, tta=True), (256, 512)) is None


def test_engines_that_can_run_a_model(model, monkeypatch):
    assert engines_for(model) == ["torch"]
    assert engines_for(model / "model.onnx") == ["onnxruntime", "openvino"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert engines_for(model / "model.onnx") == ["onnxruntime"]


@pytest.mark.parametrize("size", ["480", "480x", "x384", "0x5", "axb", "480,384"])
def test_a_size_that_is_none(model, size, capsys):
    assert main(["bench", str(model / "model.onnx"), "--size", size]) == 2
    assert "a --size is width and height with an x between, as in 480x384" in capsys.readouterr().err


def test_errors_of_the_process_are_told_here(model, capsys):
    assert main(["bench", str(model / "model.onnx"), "--engine", "torch", "--size", "64x64"]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert "which torch does not run" in printed[-1]
    with pytest.raises(UserError, match="ended without a result"):
        bench.apart(leave)


def test_pytorch_keeps_to_the_quota_too(model, monkeypatch):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        monkeypatch.setattr("pyramid_attention.inference.engines.torch.usable_cores", lambda: 1)
        Segmenter.load(model, device="cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def leave():
    raise SystemExit(7)


@pytest.mark.parametrize(
    ("text", "quota"),
    [("max 100000", None), ("150000 100000", 1.5), ("50000 100000", 0.5), ("", None), ("rubbish", None), ("0 0", None)],
)
def test_the_quota_of_a_container(tmp_path, monkeypatch, text, quota):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(threads, "CGROUP_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "CGROUP_V1", tmp_path / "none")
    assert threads.container_quota() == quota


def test_the_quota_of_an_older_container(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "CGROUP_V2", tmp_path / "none")
    monkeypatch.setattr(threads, "CGROUP_V1", tmp_path)
    (tmp_path / "cpu.cfs_quota_us").write_text("250000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert threads.container_quota() == 2.5
    (tmp_path / "cpu.cfs_quota_us").write_text("-1\n")
    assert threads.container_quota() is None


@pytest.mark.parametrize(
    ("affinity", "quota", "wanted", "expected"),
    [(8, None, "", 8), (8, 1.5, "", 2), (8, 0.2, "", 1), (8, None, "3", 3), (2, 6.0, "4", 2), (8, None, "rubbish", 8)],
)
def test_the_smallest_limit_counts(monkeypatch, affinity, quota, wanted, expected):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    monkeypatch.setattr(threads, "container_quota", lambda: quota)
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert threads.usable_cores() == expected
