"""Whole runs of two processes on the CPU: what lies in the run folder, a process that dies, and going on."""

import os
import signal
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from pyramid_attention import evaluate, train
from pyramid_attention.artifacts import read_info
from pyramid_attention.data import open_dataset
from pyramid_attention.errors import UserError
from pyramid_attention.training import processes
from support import assert_same_weights, last_weights, rows

LONGER = {
    "data.options": {"train": 8, "val": 3, "size": 64},
    "data.crop": [48, 48],
    "data.workers": 0,
    "model.backbone": "test_resnet",
    "model.options.channels": 8,
    "train.batch_size": 3,
    "train.epochs": 3,
    "train.optimizer": "sgd",
    "train.learning_rate": 0.01,
    "train.weight_decay": 0.0,
    "train.validate_every": 1,
    "train.ema": 0.9,
}
TWO = {**LONGER, "train.devices": 2}  # batches of three: two images and one
pytestmark = pytest.mark.skipif(processes.machine_cores() < 2, reason="two processes need two cores")


class Dies(pl.Callback):
    """Kills the second process in the second epoch, as a system does whose memory runs out."""

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.current_epoch == 1 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def of_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("one") / "run"
    train("shapes", fields=LONGER, out=run, device="cpu")
    return run


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("two") / "run"
    train("shapes", fields=TWO, out=run, device="cpu")
    return run


def test_two_processes_leave_the_run_of_one(of_one: Path, of_two: Path) -> None:
    for mine, theirs in zip(rows(of_two), rows(of_one), strict=True):
        assert mine["step"] == theirs["step"]
        assert float(mine["train_loss"]) == pytest.approx(float(theirs["train_loss"]), rel=1e-5)
    one, two = last_weights(of_one), last_weights(of_two)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-4, msg=name)
    names = [sorted(path.name for path in run.rglob("*") if "tfevents" not in path.name) for run in (of_one, of_two)]
    assert names[0] == names[1]


def test_the_images_of_validation_are_shared_and_counted_once(of_two: Path) -> None:
    measured = read_info(of_two / "model").validation
    again = evaluate(open_dataset("shapes", **LONGER["data.options"]), of_two / "model", device="cpu").metrics()
    assert {name: measured[name] for name in again} == again  # three images, of which one process has one


def test_a_process_that_dies_ends_the_run_which_can_go_on(
    of_two: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=r"process 1 of the run \(pid \d+\) was ended by SIGKILL"):
        train("shapes", callbacks=[Dies()], fields=TWO, out=tmp_path, device="cpu")
    assert [row["epoch"] for row in rows(tmp_path)] == ["1"]
    train("shapes", out=tmp_path, resume=True, device="cpu")
    assert_same_weights(tmp_path, of_two)


def test_more_devices_than_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "machine_cores", lambda: 2)
    with pytest.raises(
        UserError, match=r"train\.devices=3, but this machine has 2 cores; set train.devices to at most 2"
    ):
        train("shapes", fields={**TWO, "train.devices": 3}, out=tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_nobody_knows_where_other_machines_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.nodes=2, and nothing says where the other machines are"):
        train("shapes", fields={**TWO, "train.nodes": 2}, out=tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []
