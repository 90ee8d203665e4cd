"""One sheet that shows what a segmentation rests on, with captions."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import require
from ..files import whole_file
from ..inference.explanation import Explanation


def draw_explanation(explanation: Explanation, path: str | Path, title: str) -> None:
    """Draw the sheet.

    Args:
        explanation: what it shows.
        path: of the file, PNG or whatever matplotlib writes.
        title: above all.

    Raises:
        MissingExtra: matplotlib is not installed.
        UserError: the file cannot be written.
    """
    require("drawing an explanation", "matplotlib")
    from matplotlib.figure import Figure

    panels = _panels(explanation)
    columns = 4
    rows = -(-len(panels) // columns)
    height, width = explanation.image.shape[:2]
    figure = Figure(figsize=(4.2 * columns, (3.9 * min(1.3, height / width) + 0.8) * rows + 0.6), dpi=110)
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.08)
    figure.suptitle(title, fontsize=14, x=0.01, ha="left")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (caption, draw) in zip(grid, panels, strict=False):
        draw(axes)
        axes.set_title(caption, fontsize=9.5, loc="left", wrap=True)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    with whole_file(path) as temporary:
        figure.savefig(temporary)


def _panels(explanation: Explanation) -> list[tuple[str, Any]]:
    """Captions, and what draws under each."""
    one, maps = explanation, explanation.maps
    present = np.bincount(one.labels.ravel(), minlength=256)[: len(one.classes)]
    largest = [label for label in np.argsort(-present, kind="stable").tolist() if label in one.relevance]
    panels: list[tuple[str, Any]] = [
        ("The image\n", partial(_show, image=one.image)),
        ("The segmentation:\n" + _few(one), partial(_show, image=one.classes.colourise(one.labels))),
    ]
    if "attention" in maps:
        panels.append(
            (
                "Feature Pyramid Attention: the weight of each place\n(bright: what is seen there counts more)",
                partial(_heat, image=one.image, values=maps["attention"][0]),
            )
        )
    if "global" in maps:
        panels.append(
            (
                "FPA's global branch: what the whole image adds\nto every place, channel by channel",
                partial(_bars, weights=maps["global"], one=one),
            )
        )
    gate = "Global Attention Upsample at 1/"
    for stride in (16, 8, 4):
        if f"channels_{stride}" in maps:
            panels.append(
                (
                    f"{gate}{stride}: how far the scene\nlets each channel of the details pass",
                    partial(_bars, weights=maps[f"channels_{stride}"], one=one),
                )
            )
        if f"places_{stride}" in maps:
            panels.append(
                (
                    f"{gate}{stride}: where details\nare let pass (bright) and where not",
                    partial(_heat, image=one.image, values=maps[f"places_{stride}"][0]),
                )
            )
    for label in largest:
        panels.append(
            (
                f"What '{one.classes.names[label]}' rests on: covering a red place\nmakes the class less probable",
                partial(_relevance, one=one, label=label),
            )
        )
    return panels


def _few(one: Explanation) -> str:
    present = np.bincount(one.labels.ravel(), minlength=256)[: len(one.classes)]
    names = [one.classes.names[label] for label in np.argsort(-present, kind="stable") if present[label]]
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _show(axes: Any, image: NDArray[np.uint8]) -> None:
    axes.imshow(image)
    axes.set_axis_off()


def _enlarged(values: NDArray[np.float32], like: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = like.shape[:2]
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).convert("L"))


def _heat(axes: Any, image: NDArray[np.uint8], values: NDArray[np.float32]) -> None:
    """Values over the grey image, with their scale."""
    axes.imshow(_grey(image), cmap="gray", vmin=0, vmax=255)
    drawn = axes.imshow(_enlarged(values, image), cmap="viridis", alpha=0.65)
    axes.set_axis_off()
    axes.figure.colorbar(drawn, ax=axes, fraction=0.035, pad=0.01).ax.tick_params(labelsize=7)


def _relevance(axes: Any, one: Explanation, label: int) -> None:
    values = one.relevance[label]
    most = max(float(np.abs(values).max()), 1e-6)
    axes.imshow(_grey(one.image), cmap="gray", vmin=0, vmax=255)
    drawn = axes.imshow(_enlarged(values, one.image), cmap="RdBu_r", vmin=-most, vmax=most, alpha=0.6)
    axes.contour(one.labels == label, levels=[0.5], colors="black", linewidths=0.6)
    axes.set_axis_off()
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.035, pad=0.01)
    bar.ax.yaxis.set_major_formatter(lambda fall, _: f"{100 * fall:.{1 if most < 0.03 else 0}f} %")
    bar.ax.tick_params(labelsize=7)


def _bars(axes: Any, weights: NDArray[np.float32], one: Explanation) -> None:
    """A bar a channel: grouped by the class for which it counts most, in that class's colour, the largest first."""
    owners = np.array(one.class_of_channels, int)
    if len(owners) != len(weights):
        owners = np.zeros(len(weights), int)
        colours = np.array([[90, 115, 150]])
    else:
        colours = np.array(one.classes.colours)
    order = np.lexsort((-weights, owners))
    axes.bar(range(len(weights)), weights[order], width=1.0, color=colours[owners[order]] / 255)
    if len(set(owners.tolist())) > 1:
        begins = np.flatnonzero(np.diff(owners[order], prepend=-1))
        ends = [*begins[1:], len(order)]
        middles = [(begin + end - 1) / 2 for begin, end in zip(begins, ends, strict=True)]
        names = [one.classes.names[owners[order][begin]] for begin in begins]
        axes.set_xticks(middles, names, rotation=60, ha="right", fontsize=7, rotation_mode="anchor")
    else:
        axes.set_xticks([])
        axes.set_xlabel("channels, the largest first", fontsize=8)
    axes.set_xlim(-0.5, len(weights) - 0.5)
    axes.tick_params(axis="y", labelsize=7)
    height, width = one.image.shape[:2]
    axes.set_box_aspect(height / width)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
