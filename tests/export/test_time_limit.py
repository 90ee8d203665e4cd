"""A computation that does not end is stopped."""

import contextlib
import threading

import pytest
import torch

from pyramid_attention.artifacts import save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.export import export, graph
from pyramid_attention.export.time_limit import TimeIsUp, time_limit
from pyramid_attention.models import build_model


def never_ends(*_, **__):
    while True:
        with contextlib.suppress(Exception):  # as a library that tries the next way
            sum(range(1000))


def test_what_never_ends_is_stopped():
    with pytest.raises(TimeIsUp, match=r"it had not ended after 0\.05 s"), time_limit(0.05):
        never_ends()


def test_what_ends_is_let_alone_and_leaves_no_alarm():
    with time_limit(60):
        assert sum(range(10)) == 45
    with pytest.raises(TimeIsUp), time_limit(0.05):  # the first limit is gone
        never_ends()


def test_another_thread_has_no_limit():
    done = []

    def work():
        with time_limit(1e-6):
            done.append(sum(range(1_000_000)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [499999500000]


def test_an_export_that_does_not_end_is_one_line(tmp_path, monkeypatch):
    network = build_model(num_classes=2, backbone="test_resnet", channels=8).eval()
    network.classes = ClassTable.of(2)
    save_model(network, tmp_path / "model")
    monkeypatch.setattr(graph, "TIME_LIMIT", 0.05)
    monkeypatch.setattr(torch.export, "export", never_ends)
    with pytest.raises(UserError, match=r"test_resnet with .* cannot be exported: it had not ended after"):
        export(tmp_path / "model", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
