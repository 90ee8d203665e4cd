"""The run folder: the files that a training run writes while it goes on, each whole or not at all.

After every epoch the row of metrics, the best model and the checkpoint are written, in this order. The rows live in the
checkpoint too and `metrics.csv` is written from them, so a run that is killed anywhere and resumed holds every epoch
exactly once.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from ..artifacts import save_model
from ..artifacts.info import LIBRARY_VERSION
from ..data import Sample
from ..errors import UserError
from ..evaluation.images import write_samples
from ..files import make_folder, whole_file, write_json
from ..inference import Segmenter
from ..report.curves import plot_curves
from .processes import fail, is_first, rank
from .recipe import Recipe
from .task import SegmentationTask

COLUMNS = (
    "epoch",
    "step",
    "train_loss",
    "learning_rate",
    "val_miou",
    "val_pixel_accuracy",
    "images_per_second",
    "seconds",
)
SHEET_ROWS = 6
Row = dict[str, float | int | None]


def last_checkpoint(folder: Path) -> Path:
    """Return the path of a run's newest checkpoint."""
    return folder / "checkpoints" / "last.ckpt"


def finished_epochs(checkpoint: Path) -> int:
    """Return after how many epochs a checkpoint was written.

    Raises:
        UserError: the file is no checkpoint of ours.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return len(state["callbacks"][RunFolder.__name__]["rows"])
    except Exception as error:  # torch.load raises many types on a damaged file
        raise UserError(f"{checkpoint} is damaged or of another program; remove it to begin the run anew") from error


class RunFolder(pl.Callback):
    """A callback that writes `metrics.csv`, the best model, the checkpoint and the curves after each epoch.

    Every process of a run has one, and the first one's writes.

    Args:
        folder: the run folder.
        recipe: the resolved recipe, for the model's info.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        self.rows: list[Row] = []
        self.best: dict[str, Any] | None = None
        self.last: dict[str, Any] | None = None
        self._curves_due = 0.0

    @property
    def state_key(self) -> str:
        """The name of this callback's state in a checkpoint."""
        return type(self).__name__

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, and the metrics of the best and of the last validation."""
        return {"rows": self.rows, "best": self.best, "last": self.last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the epochs of the checkpoint; rows of later epochs are removed from the folder."""
        self.rows, self.best, self.last = state_dict["rows"], state_dict["best"], state_dict["last"]
        self._write_rows()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make random numbers a function of (seed, epoch, process), so that a resumed run draws the same ones."""
        torch.manual_seed((self.recipe.seed * 1_000_003 + len(self.rows) + 1 + rank() * 1_000_000_007) % 2**63)
        if len(self.rows) + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1  # the last epoch is always validated
        self._epoch_began = time.monotonic()
        self._batches = 0
        self._losses: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Count the batch and note the time: after the last batch of an epoch, validation begins."""
        self._batches += 1
        self._training_ended = time.monotonic()

    def _mean_loss(self, task: SegmentationTask) -> float:
        """Return the mean loss of the epoch so far.

        Raises:
            UserError: it is not finite: training diverged.
        """
        self._losses += task.take_losses()
        loss = sum(self._losses) / len(self._losses)
        if not math.isfinite(loss):
            fail(
                f"the loss is {loss} in epoch {len(self.rows) + 1}; lower train.learning_rate (now"
                f" {self.recipe.train.learning_rate:g}) or set train.clip=1, in a new run"
            )
        return loss

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop a run whose loss is not finite before its network is measured."""
        assert isinstance(pl_module, SegmentationTask)
        self._mean_loss(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's row, the model if it is the best so far, and the checkpoint."""
        task = pl_module
        assert isinstance(task, SegmentationTask)
        epoch = len(self.rows) + 1
        loss = self._mean_loss(task)
        metrics = task.take_validation()
        if metrics and not metrics["pixels"]:
            fail(
                f"all masks of the split '{self.recipe.data.val_split}' are void, so no mIoU can be measured; label"
                " some of its images, or choose another with data.val_split"
            )
        seconds = self._training_ended - self._epoch_began
        self.rows.append(
            {
                "epoch": epoch,
                "step": trainer.global_step,
                "train_loss": loss,
                "learning_rate": trainer.optimizers[0].param_groups[-1]["lr"],
                "val_miou": metrics["miou"] if metrics else None,
                "val_pixel_accuracy": metrics["pixel_accuracy"] if metrics else None,
                "images_per_second": round(self._batches * self.recipe.train.batch_size / max(seconds, 1e-9), 2),
                "seconds": round(time.monotonic() - self._epoch_began, 2),
            }
        )
        if metrics:
            self.last = {"epoch": epoch, **metrics}
            if self.best is None or metrics["miou"] > self.best["miou"]:
                self.best = self.last
                if is_first():
                    save_model(
                        task.best_network,
                        self.folder / "model",
                        recipe=self.recipe.model_dump(mode="json"),
                        validation=self.best,
                    )
        self._write_rows()
        if trainer.logger is not None:
            scalars = {key: value for key, value in self.rows[-1].items() if value is not None and key != "step"}
            trainer.logger.log_metrics(scalars, step=epoch)
        if not is_first():
            trainer.save_checkpoint(last_checkpoint(self.folder))  # writes nothing, but the first waits for it
            return
        make_folder(self.folder / "checkpoints")
        with whole_file(last_checkpoint(self.folder)) as temporary:
            trainer.save_checkpoint(temporary)
        if time.monotonic() > self._curves_due:  # drawing takes a moment: at most one a minute
            self.draw_curves()
            self._curves_due = time.monotonic() + 60

    def _write_rows(self) -> None:
        if not is_first():
            return
        with (
            whole_file(self.folder / "metrics.csv") as temporary,
            open(temporary, "w", newline="") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)

    def draw_curves(self) -> None:
        """Draw loss, learning rate and validation mIoU by epoch into `curves.png`."""
        plot_curves(self.rows, self.folder / "curves.png")

    def finish(self, segmenter: Segmenter, samples: Sequence[Sample]) -> None:
        """Write what only a finished run has: `metrics.json`, the last curves, and `samples.png` by the best model."""
        best_and_last = {"best": self.best, "last": self.last}
        summary = {"version": LIBRARY_VERSION, "seed": self.recipe.seed, "epochs": len(self.rows), **best_and_last}
        write_json(self.folder / "metrics.json", summary)
        self.draw_curves()
        count = min(SHEET_ROWS, len(samples))
        chosen = [samples[i * len(samples) // count] for i in range(count)]
        write_samples(segmenter, chosen, self.folder / "samples.png")
