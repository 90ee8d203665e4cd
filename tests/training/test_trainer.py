"""Whole training runs on a tiny data set: what lies in the run folder, resuming, and what a mistake says."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import EarlyStopping
from PIL import Image

from pyramid_attention import PAN, evaluate, train
from pyramid_attention.classes import ClassTable
from pyramid_attention.cli import main
from pyramid_attention.data import Dataset
from pyramid_attention.errors import UserError
from pyramid_attention.models import SegmentationModel
from pyramid_attention.training import budget
from pyramid_attention.training.budget import Speed
from pyramid_attention.training.run_folder import COLUMNS, RunFolder
from pyramid_attention.training.task import SegmentationTask
from support import OWNING, WRITING, assert_same_weights, end, other_process, rows, set_options

TINY = {
    "data.crop": [48, 48],
    "data.workers": 0,
    "model.backbone": "test_resnet",
    "model.pretrained": False,
    "model.options.channels": 8,
    "train.batch_size": 3,
    "train.epochs": 2,
    "train.channels_last": False,
}
LONGER = {**TINY, "train.epochs": 3, "train.ema": 0.9}


def draw(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A dark ground with one bright box and one bright disc; void along the left edge."""
    mask = np.zeros((height, width), np.uint8)
    y, x = np.mgrid[:height, :width]
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    mask[top : top + height // 3, left : left + width // 3] = 1
    mask[(y - height * 0.7) ** 2 + (x - width * 0.7) ** 2 < (min(height, width) // 5) ** 2] = 2
    image = np.array([[40, 50, 60], [200, 60, 50], [60, 90, 210]])[mask] + rng.normal(0, 12, (height, width, 3))
    mask[:, 0] = 255
    return image.clip(0, 255).astype(np.uint8), mask


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(5)
    for split, count in (("train", 8), ("val", 3)):
        (root / "images" / split).mkdir(parents=True)
        (root / "masks" / split).mkdir(parents=True)
        for i in range(count):
            image, mask = draw(rng, 48 + 5 * i, 64 - 3 * i)  # of mixed sizes
            Image.fromarray(image).save(root / "images" / split / f"{i}.png")
            Image.fromarray(mask).save(root / "masks" / split / f"{i}.png")
    (root / "dataset.yaml").write_text("names: [ground, box, disc]\n")
    return root


@pytest.fixture(scope="module")
def finished(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    train(tiny_data, "finetune", fields=LONGER, out=run, device="cpu")
    return run


def test_the_run_folder_holds_what_the_design_says(finished: Path) -> None:
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    wanted = {"recipe.yaml", "metrics.csv", "metrics.json", "curves.png", "samples.png", "checkpoints/last.ckpt"}
    assert wanted | {"model/config.json", "model/model.safetensors", "model/README.md"} <= names
    assert any("events.out.tfevents" in name for name in names)
    assert not [name for name in names if ".tmp" in name]
    for image in ("curves.png", "samples.png"):
        assert Image.open(finished / image).width > 300


def test_the_recipe_is_written_out_in_full(finished: Path, tiny_data: Path) -> None:
    recipe = yaml.safe_load((finished / "recipe.yaml").read_text())
    assert recipe["data"]["path"] == str(tiny_data)
    assert recipe["data"]["format"] == "folder"
    assert recipe["train"]["epochs"] == 3
    assert recipe["train"]["momentum"] == 0.9  # a default, not asked for


def test_the_csv_holds_every_epoch_once(finished: Path) -> None:
    assert [row["epoch"] for row in rows(finished)] == ["1", "2", "3"]
    assert tuple(rows(finished)[0]) == COLUMNS
    assert [row["step"] for row in rows(finished)] == ["2", "4", "6"]  # 8 images, batches of 3, the rest dropped


def test_the_validation_is_what_evaluate_says_of_the_saved_model(finished: Path, tiny_data: Path) -> None:
    summary = json.loads((finished / "metrics.json").read_text())
    best = summary["best"]
    said = evaluate(tiny_data, finished, "val", device="cpu").metrics()
    assert said["miou"] == pytest.approx(best["miou"], abs=1e-6)
    assert said["confusion"] == best["confusion"]
    assert best["miou"] == max(float(row["val_miou"]) for row in rows(finished))
    assert summary["last"]["miou"] == pytest.approx(float(rows(finished)[-1]["val_miou"]))


def test_a_network_learns(tiny_data: Path, tmp_path: Path) -> None:
    longer = {**TINY, "train.epochs": 60, "train.validate_every": 25, "train.ema": None}
    faster = {"train.learning_rate": "5e-3", "train.backbone_factor": 1}
    result = train(tiny_data, "finetune", fields=longer | faster, out=tmp_path / "run", device="cpu")
    assert result.best_miou > 0.6
    losses = [float(row["train_loss"]) for row in rows(result.folder)]
    assert np.mean(losses[-3:]) < 0.6 * losses[0]
    assert [row["val_miou"] != "" for row in rows(result.folder)] == [e in (25, 50, 60) for e in range(1, 61)]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(finished: Path, tiny_data: Path, tmp_path: Path, workers: int) -> None:
    fields = {**LONGER, "data.workers": workers, "data.cache": False}
    train(tiny_data, "finetune", fields=fields, out=tmp_path / "run", device="cpu")
    assert_same_weights(finished, tmp_path / "run")


def losses(run: Path) -> list[float]:
    return [float(row["train_loss"]) for row in rows(run)]


@pytest.mark.parametrize(
    ("field", "value", "tolerance"),
    [("train.compile", True, 1e-5), ("train.channels_last", True, 1e-3), ("train.precision", "bf16", 0.05)],
)
def test_what_is_to_be_faster_computes_the_same(
    finished: Path, tiny_data: Path, tmp_path: Path, field: str, value: object, tolerance: float
) -> None:
    torch_compile = torch.compile
    with pytest.MonkeyPatch.context() as patch:  # Inductor would take a minute; what it compiles is traced all the same
        patch.setattr(torch, "compile", lambda function: torch_compile(function, backend="eager"))
        train(tiny_data, "finetune", fields={**LONGER, field: value}, out=tmp_path / "run", device="cpu")
    assert losses(tmp_path / "run") == pytest.approx(losses(finished), rel=tolerance)


@pytest.mark.parametrize(
    ("fields", "steps"),
    [
        ({"train.accumulate": 2, "train.clip": 1}, [1, 2]),  # of two batches of 3
        ({"train.batch_size": 20}, [1, 2]),  # fewer images than a batch
        ({"train.batch_size": 1, "data.crop": [17, 9], "model.context": "pyramid_attention"}, [8, 16]),
    ],
)
def test_batches_of_any_size(tiny_data: Path, tmp_path: Path, fields: dict[str, object], steps: list[int]) -> None:
    train(tiny_data, "finetune", fields=TINY | fields, out=tmp_path / "run", device="cpu")
    assert [int(row["step"]) for row in rows(tmp_path / "run")] == steps
    assert np.isfinite(losses(tmp_path / "run")).all()


# From Python


@dataclass
class Own:
    """A sample of one's own: no file, no reader."""

    name: str

    def read_image(self) -> np.ndarray:
        return draw(np.random.default_rng(int(self.name)), 48, 64)[0]

    def read_mask(self) -> np.ndarray:
        return draw(np.random.default_rng(int(self.name)), 48, 64)[1]


@pytest.fixture(scope="module")
def own_data() -> Dataset:
    splits = {"train": [Own(str(i)) for i in range(6)], "val": [Own(str(i)) for i in range(6, 8)]}
    return Dataset("own", None, ClassTable.of(["ground", "box", "disc"]), splits)


def own_network(classes: int = 3) -> SegmentationModel:
    torch.manual_seed(1)
    return PAN(classes, "test_resnet", channels=8)


class Epochs(pl.Callback):
    """Notes what a callback can see after each epoch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_validation_end(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        self.seen.append(float(trainer.callback_metrics["val_miou"]))


SMALL = {"crop": (48, 48), "workers": 0, "batch_size": 3, "device": "cpu"}


def test_an_opened_data_set_and_a_live_network_with_callbacks(own_data: Dataset, tmp_path: Path) -> None:
    network, epochs = own_network().eval(), Epochs()
    for parameter in network.backbone.parameters():
        parameter.requires_grad = False
    before = {name: value.clone() for name, value in network.named_parameters()}
    result = train(own_data, network, out=tmp_path / "run", epochs=3, callbacks=[epochs], **SMALL)
    assert epochs.seen == [pytest.approx(float(row["val_miou"]), abs=1e-6) for row in rows(result.folder)]
    assert network.classes == own_data.classes
    moved = {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}
    assert moved  # in place
    assert not [name for name in moved if name.startswith("backbone.")]
    recipe = yaml.safe_load((result.folder / "recipe.yaml").read_text())
    assert (recipe["model"], recipe["train"]["epochs"], recipe["data"]["path"]) == (None, 3, None)
    assert result.best_miou == evaluate(own_data, result.model, device="cpu").metrics()["miou"]


def test_a_run_of_a_live_network_is_resumed_with_it(own_data: Dataset, tmp_path: Path) -> None:
    class Stop(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
            if trainer.current_epoch == 1:
                raise InterruptedError

    train(own_data, own_network(), out=tmp_path / "whole", epochs=2, **SMALL)
    with pytest.raises(InterruptedError):
        train(own_data, own_network(), out=tmp_path / "run", epochs=2, callbacks=[Stop()], **SMALL)
    assert len(rows(tmp_path / "run")) == 1
    assert "give it as network=" in refusal(own_data, out=tmp_path / "run", resume=True)
    train(own_data, own_network(), out=tmp_path / "run", resume=True, device="cpu")
    assert_same_weights(tmp_path / "whole", tmp_path / "run")


def test_a_run_can_be_stopped_early_by_what_it_reaches(own_data: Dataset, tmp_path: Path) -> None:
    stop = EarlyStopping("val_miou", mode="max", stopping_threshold=0.0)
    result = train(own_data, network=own_network(), out=tmp_path / "run", epochs=5, callbacks=[stop], **SMALL)
    assert [row["epoch"] for row in rows(result.folder)] == ["1"]
    assert (result.folder / "samples.png").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"network": own_network(4)}, "the model has 4 classes"),
        ({"network": own_network(), "backbone": "resnet18"}, "network= is trained as it is"),
        ({"network": PAN(3, "test_resnet", channels=8, in_channels=4)}, "takes 4 bands, and the data set has 3 bands"),
        ({"fields": {"data.options.seed": 1}}, "data.options"),
        ({"epoch": 3}, "no field 'epoch'. Did you mean 'train.epochs'?"),
        ({"resume": True}, "resume=True needs out="),
    ],
)
def test_mistakes_from_python_name_the_argument(
    own_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refusal(own_data, **arguments)
    assert not list(tmp_path.iterdir())


def test_each_image_is_decoded_once_in_a_run(tmp_path: Path) -> None:
    decoded: list[str] = []

    class Counting(Own):
        def read_mask(self) -> np.ndarray:
            decoded.append(self.name)
            return super().read_mask()

    splits = {"train": [Counting(str(i)) for i in range(6)], "val": [Own("6")]}
    data = Dataset("own", None, ClassTable.of(["ground", "box", "disc"]), splits)
    train(data, own_network(), out=tmp_path / "run", epochs=3, **SMALL)
    assert sorted(decoded) == [str(i) for i in range(6)]


# Killed and resumed


def test_a_budget_decides_the_epochs_and_the_recipe_says_why(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fields that are given stay; the others follow from the data, and a resumed run keeps what was decided."""
    fields = {name: value for name, value in TINY.items() if name not in ("data.crop", "train.epochs")}
    run = tmp_path / "run"
    monkeypatch.setattr(budget, "measure", lambda *_: Speed(step=600, validation=60))
    train(tiny_data, "finetune", fields=fields, budget="1h", out=run, device="cpu")
    text = (run / "recipe.yaml").read_text()
    recipe = yaml.safe_load(text)
    assert recipe["auto"] == []
    assert recipe["data"]["crop"] == [64, 32]  # the median image is 65×53
    assert recipe["train"]["batch_size"] == 3
    assert recipe["train"]["epochs"] == len(rows(run)) == 2
    assert "epochs: 2  # what a budget of 60 min buys at 6e+02 s a step, 2 steps an epoch" in text
    train(tiny_data, "finetune", fields=fields, budget="2h", out=run, resume=True, device="cpu")
    assert (run / "recipe.yaml").read_text() == text


def test_an_architecture_without_the_recipes_options_trains(tiny_data: Path, tmp_path: Path, capfd) -> None:
    fields = {**TINY, "model.architecture": "unet", "train.epochs": 1}
    del fields["model.options.channels"]
    train(tiny_data, "finetune", fields=fields, out=tmp_path / "run", device="cpu")
    assert "unet has no channels, gate; the recipe's is left out" in capfd.readouterr().err
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["model"]["options"] == {}


def command(data: Path, run: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "pyramid_attention.cli", "train", str(data), "--recipe", "finetune"),
        *("--device", "cpu", "--out", str(run)),
        *set_options({**TINY, "train.epochs": 4, "train.ema": 0.9}),
        *more,
    ]


@pytest.fixture(scope="module")
def unbroken(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("unbroken") / "run"
    subprocess.run(command(tiny_data, run), check=True, capture_output=True)
    return run


def kill_when(process: subprocess.Popen[bytes], reached: Path, delay: float) -> None:
    deadline = time.monotonic() + 120
    while not reached.exists() and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(
    ("reached", "delay"),
    [("recipe.yaml", 0.0), ("checkpoints/last.ckpt", 0.0), ("checkpoints/last.ckpt", 0.4)],
    ids=["before the first epoch", "after a checkpoint", "later"],
)
def test_a_killed_run_resumed_ends_with_the_same_weights(
    unbroken: Path, tiny_data: Path, tmp_path: Path, reached: str, delay: float
) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(command(tiny_data, run), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        kill_when(process, run / reached, delay)
    done = subprocess.run(command(tiny_data, run, "--resume"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_same_weights(unbroken, run)
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3", "4"]
    for mine, theirs in zip(rows(run), rows(unbroken), strict=True):
        for column in ("train_loss", "learning_rate", "val_miou"):
            assert mine[column] == theirs[column]
    best = [json.loads((r / "metrics.json").read_text())["best"] for r in (run, unbroken)]
    assert best[0] == best[1]
    assert (run / "model" / "model.safetensors").read_bytes() == (unbroken / "model" / "model.safetensors").read_bytes()


def test_resuming_a_finished_run_changes_nothing(unbroken: Path, tiny_data: Path) -> None:
    before = (unbroken / "model" / "model.safetensors").read_bytes(), rows(unbroken)
    train(tiny_data, out=unbroken, resume=True, device="cpu")
    assert before == ((unbroken / "model" / "model.safetensors").read_bytes(), rows(unbroken))


def test_resuming_where_nothing_began_begins(tiny_data: Path, tmp_path: Path) -> None:
    result = train(
        tiny_data, "finetune", fields={**TINY, "train.epochs": 1}, out=tmp_path / "new", resume=True, device="cpu"
    )
    assert len(rows(result.folder)) == 1


def refusal(*arguments: object, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        train(*arguments, device="cpu", **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_holds_a_run_is_refused(finished: Path, tiny_data: Path) -> None:
    assert "already holds files" in refusal(tiny_data, "finetune", fields=TINY, out=finished)


def test_resuming_with_another_recipe_is_refused(finished: Path, tiny_data: Path) -> None:
    said = refusal(
        tiny_data, "finetune", fields={**TINY, "train.epochs": 9, "train.ema": 0.9}, out=finished, resume=True
    )
    assert "another train.epochs;" in said


def test_resuming_what_is_no_run_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "something").write_text("mine")
    assert "is not a run folder" in refusal(tiny_data, "finetune", fields=TINY, out=tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


def test_a_damaged_checkpoint_is_named(finished: Path, tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "recipe.yaml").write_bytes((finished / "recipe.yaml").read_bytes())
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"not a checkpoint")
    assert "last.ckpt is damaged" in refusal(tiny_data, out=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train.class_weights": [1, 2]}, "2 values for 3 classes (ground, box, disc)"),
        ({"data.train_split": "training"}, "no split 'training'. Did you mean 'train'"),
        ({"train.class_weights": [0, 0, 0]}, "are all 0"),
        ({"train.precision": "fp16"}, "needs a GPU"),
        ({"model.backbone": "resnet18x"}, "resnet18"),
        ({"model.options.chanels": 8}, "channels"),
        ({"data.options.seed": 1}, "belong to shapes"),
        ({"auto": ["data.flip"]}, "recipe field 'auto'"),
        ({"model.options.backbone": "resnet34"}, "backbone is no option"),
    ],
)
def test_a_wrong_field_is_refused_before_training(
    tiny_data: Path, tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    assert message in refusal(tiny_data, "finetune", fields=TINY | fields, out=tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_a_broken_image_is_found_before_training(tiny_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    whole = (data / "images" / "train" / "7.png").read_bytes()
    (data / "images" / "train" / "7.png").write_bytes(whole[: len(whole) // 2])
    assert "7.png is damaged" in refusal(data, "finetune", fields=TINY, out=tmp_path / "run")


def test_memory_that_runs_out_says_what_to_lower(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_large(*_: object) -> None:
        torch.empty(10**15)  # what torch really raises

    monkeypatch.setattr(SegmentationTask, "training_step", too_large)
    run = str(tmp_path / "run")
    assert (
        main(["train", str(tiny_data), "--recipe", "finetune", "--device", "cpu", "--out", run, *set_options(TINY)])
        == 2
    )
    said = capsys.readouterr().err.strip().splitlines()
    assert "lower train.batch_size (now 3" in said[-1]


def test_a_loss_that_is_not_finite_stops_the_run(tiny_data: Path, tmp_path: Path) -> None:
    said = refusal(
        tiny_data,
        "finetune",
        fields={**TINY, "train.optimizer": "sgd", "train.learning_rate": "1e30"},
        out=tmp_path / "run",
    )
    assert "lower train.learning_rate" in said


def test_validation_without_a_labelled_pixel_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_data, tmp_path / "data")
    for mask in (tmp_path / "data" / "masks" / "val").iterdir():
        Image.fromarray(np.full_like(np.asarray(Image.open(mask)), 255)).save(mask)
    said = refusal(tmp_path / "data", "finetune", fields=TINY, out=tmp_path / "run")
    assert "all masks of the split 'val' are void" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_to_write(tiny_data: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot make the folder" in refusal(tiny_data, "finetune", fields=TINY, out=tmp_path / "run")


def test_what_a_kill_left_half_written_does_not_hinder(tiny_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for code in (OWNING, WRITING):
        end(other_process(code, run))
    train(tiny_data, "finetune", fields={**TINY, "train.epochs": 1}, out=run, resume=True, device="cpu")
    end(other_process(WRITING, run / "model"))
    train(tiny_data, out=run, resume=True, device="cpu")
    assert not list(run.rglob(".*"))


def test_a_second_training_into_a_folder_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    first = other_process(OWNING, tmp_path / "run")
    for resume in (False, True):
        assert f"is in use by process {first.pid}" in refusal(
            tiny_data, "finetune", fields=TINY, out=tmp_path / "run", resume=resume
        )
    end(first)


def test_a_folder_of_hidden_files_is_refused_and_left(tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / ".notes.tmp.txt").write_text("mine")
    assert "already holds files" in refusal(tiny_data, "finetune", fields=TINY, out=tmp_path)
    assert "is not a run folder" in refusal(tiny_data, "finetune", fields=TINY, out=tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == [".notes.tmp.txt"]


def test_a_file_that_breaks_while_training_is_one_line(tiny_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    (data / "images" / "train" / "7.png").write_text("broken")
    fields = {**TINY, "data.check": False, "data.cache": False, "data.workers": 1}
    said = refusal(data, "finetune", fields=fields, out=tmp_path / "run")
    assert "Traceback" not in said
    assert said.startswith(str(data / "images" / "train" / "7.png"))


def test_failed_starts_leave_the_name_free(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        refusal(tiny_data, "finetune", fields={**TINY, "model.backbone": "resnet18x"})
    result = train(tiny_data, "finetune", fields={**TINY, "train.epochs": 1}, device="cpu")
    assert result.folder == Path("runs") / tiny_data.name
    assert (
        train(tiny_data, "finetune", fields={**TINY, "train.epochs": 1}, device="cpu").folder.name
        == f"{tiny_data.name}-2"
    )


def test_rows_of_a_void_epoch_are_dropped_on_resume(tmp_path: Path) -> None:
    from pyramid_attention.training import Recipe

    run = RunFolder(tmp_path, Recipe())
    (tmp_path / "metrics.csv").write_text("epoch\n1\n2\n3\n")
    state = {"rows": [dict.fromkeys(COLUMNS, 1)], "best": None, "last": None}
    run.load_state_dict(state)
    assert len(rows(tmp_path)) == 1


def test_loaders_that_are_asked_to_end_are_an_interrupt() -> None:
    """A service manager sends SIGTERM to all processes at once, and PyTorch then tells of its loader only."""
    from pyramid_attention.training.trainer import _fit

    class Trainer:
        def fit(self, *_: object, **__: object) -> None:
            raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated. ")

    class Task:
        train_recipe = None

    with pytest.raises(KeyboardInterrupt):
        _fit(Trainer(), Task(), (None, None), None)  # type: ignore[arg-type]
