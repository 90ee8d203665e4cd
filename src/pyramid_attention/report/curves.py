"""The curves of a training run: loss, validation mIoU and learning rate by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import require
from ..files import whole_file

CURVES = (
    ("train_loss", "training loss", "tab:red"),
    ("val_miou", "validation mIoU", "tab:blue"),
    ("learning_rate", "learning rate", "tab:gray"),
)


def plot_curves(rows: Sequence[Mapping[str, float | int | None]], path: str | Path) -> None:
    """Draw three curves one below the other, into an image at `path`.

    Args:
        rows: one an epoch, with the keys `epoch`, `train_loss`, `val_miou` and `learning_rate`; None where there is no
            value (an epoch without validation).
        path: the image's file, PNG by its suffix; written whole or not at all.

    Raises:
        MissingExtra: matplotlib is not installed.
        UserError: the file cannot be written.
    """
    require("drawing curves", "matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 8), dpi=120, layout="constrained")
    panels = figure.subplots(len(CURVES), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (key, title, colour) in zip(panels, CURVES, strict=True):
        known = [
            (epoch, value) for row in rows if (epoch := row["epoch"]) is not None and (value := row[key]) is not None
        ]
        if known:
            epochs, values = zip(*known, strict=True)
            panel.plot(epochs, values, color=colour, marker="o" if len(known) <= 40 else None, markersize=3)
        if key == "val_miou" and known:
            best = max(known, key=lambda row: row[1])
            panel.scatter(*best, color=colour, zorder=3)
            panel.set_title(f"{title}: best {best[1]:.1%} after epoch {best[0]}", loc="left")
        else:
            panel.set_title(title, loc="left")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    with whole_file(path) as temporary:
        figure.savefig(temporary)
