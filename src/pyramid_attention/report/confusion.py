"""The confusion matrix as an image: each row in shares of its true class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import require
from ..files import whole_file


def plot_confusion(matrix: NDArray[np.int64], names: tuple[str, ...], path: str | Path) -> None:
    """Draw a confusion matrix (C×C counts, rows truth, columns prediction) with a percentage in each cell.

    A row adds up to 100 %; a class without a true pixel has an empty row. Cells below 0.5 % carry no number.

    Raises:
        MissingExtra: matplotlib is not installed.
        UserError: the file cannot be written.
    """
    require("drawing a confusion matrix", "matplotlib")
    from matplotlib.figure import Figure

    pixels = matrix.sum(axis=1, keepdims=True)
    shares = np.where(pixels > 0, matrix / np.maximum(pixels, 1), np.nan)
    classes = len(names)
    side = max(5.0, 0.5 * classes + 2)
    figure = Figure(figsize=(side + 0.8, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(classes), names, rotation=45, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(classes), names)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.85", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    bar.set_label("share of the true class's pixels")
    with whole_file(path) as temporary:
        figure.savefig(temporary, bbox_inches="tight")  # the label of the y axis would be cut off
