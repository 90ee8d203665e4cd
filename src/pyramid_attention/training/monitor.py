"""The progress of a training: loss, mIoU on the validation split, images per second and time left."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..report.progress import clock
from .run_folder import RunFolder


class Monitor(pl.Callback):
    """A callback that shows one bar for the whole run on a terminal, or prints a line an epoch elsewhere, on stderr.

    Args:
        run: the callback that collects the metrics of each epoch.
        batch_size: images a batch.
    """

    def __init__(self, run: RunFolder, batch_size: int) -> None:
        self.run, self.batch_size = run, batch_size
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.line: TaskID | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar at the epoch that the run has reached."""
        self.begun = time.monotonic()
        self.epochs_before = len(self.run.rows)
        self.loss: float | None = None
        if not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("loss {task.fields[loss]}  val mIoU {task.fields[miou]}  {task.fields[rate]} images/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
        )
        total = (trainer.max_epochs or 0) * int(trainer.num_training_batches)
        self.line = self.bar.add_task(
            "", total=total, completed=self.epochs_before * int(trainer.num_training_batches), **self._fields(trainer)
        )
        self.bar.start()

    def _fields(self, trainer: pl.Trainer) -> dict[str, Any]:
        rows = self.run.rows
        mious = [row["val_miou"] for row in rows if row["val_miou"] is not None]
        return {
            "epoch": f"{min(len(rows) + 1, trainer.max_epochs or 0)}/{trainer.max_epochs}",
            "loss": "–" if self.loss is None else f"{self.loss:.3f}",
            "miou": f"{mious[-1]:.1%}" if mious else "–",
            "rate": f"{rows[-1]['images_per_second']:.0f}" if len(rows) > self.epochs_before else "–",
        }

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note when the epoch began, for the rate."""
        self.epoch_begun = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance the bar by a batch."""
        if self.bar is None or self.line is None:
            return
        if batch_idx % 10 == 0:  # reading the loss waits for the device
            loss = outputs["loss"] if isinstance(outputs, dict) else outputs
            assert isinstance(loss, torch.Tensor)
            self.loss = float(loss) * trainer.accumulate_grad_batches
        rate = (batch_idx + 1) * self.batch_size / max(1e-9, time.monotonic() - self.epoch_begun)
        self.bar.update(self.line, advance=1, **{**self._fields(trainer), "rate": f"{rate:.0f}"})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's line where there is no terminal."""
        if self.bar is not None:
            return
        done, epochs = len(self.run.rows), trainer.max_epochs or 0
        left = (time.monotonic() - self.begun) / max(1, done - self.epochs_before) * (epochs - done)
        row = self.run.rows[-1]
        miou = "" if row["val_miou"] is None else f"  val mIoU {row['val_miou']:.2%}"
        print(
            f"epoch {done}/{epochs}  loss {row['train_loss']:.4f}{miou}  {row['images_per_second']:.0f} images/s"
            f"  time left {clock(left)}",
            file=sys.stderr,
            flush=True,
        )

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the bar; it stays on the screen."""
        if self.bar is not None and self.line is not None:
            self.bar.update(self.line, **self._fields(trainer))
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop the bar, so that the error has the terminal for itself."""
        self._stop()
