"""Variants of a network compared over seeds: tables in Markdown and CSV, and a plot of accuracy against cost.

A spread is the sample standard deviation over seeds. A difference from the reference is taken seed by seed and then
averaged, since runs of one seed share the order of the images and their augmentation.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import require
from ..files import whole_file
from .tables import markdown

if TYPE_CHECKING:
    from ..models.cost import Cost


@dataclass
class Variant:
    """One network of a comparison.

    Attributes:
        cost: None where it could not be built.
        runs: the metrics of a run (`Evaluation.metrics`) by its seed, those that ended.
    """

    cost: Cost | None = None
    runs: dict[int, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class Comparison:
    """Networks trained on the same budget.

    Attributes:
        title, budget: what is compared, and what each was given, in words.
        split: what it was measured on; size: (height, width) of its images.
        reference: the variant the others are compared with.
        seeds: of the runs.
        classes: their names.
        variants: by name.
    """

    title: str
    budget: str
    split: str
    size: tuple[int, int]
    reference: str
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    variants: dict[str, Variant]

    def miou(self, name: str) -> Spread:
        """The mIoU of a variant over its seeds."""
        return spread(run["miou"] for run in self.variants[name].runs.values())

    def miou_difference(self, name: str) -> Spread:
        """How far the mIoU of a variant is from the reference's, over the seeds that both have."""
        return spread(mine["miou"] - theirs["miou"] for mine, theirs in self._pairs(name))

    def iou(self, name: str, class_name: str) -> Spread:
        """The IoU of a class; seeds in whose evaluation it does not occur are left out."""
        runs = self.variants[name].runs.values()
        values = [run["per_class"][class_name]["iou"] for run in runs]
        return spread(value for value in values if value is not None)

    def iou_difference(self, name: str, class_name: str) -> Spread:
        """How far the IoU of a class is from the reference's."""
        pairs = [
            [run["per_class"][class_name]["iou"] for run in pair]  # mine, theirs
            for pair in self._pairs(name)
        ]
        return spread(mine - theirs for mine, theirs in pairs if mine is not None and theirs is not None)

    def _pairs(self, name: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        mine, theirs = self.variants[name].runs, self.variants[self.reference].runs
        return [(mine[seed], theirs[seed]) for seed in self.seeds if seed in mine and seed in theirs]


class Spread(NamedTuple):
    """Mean and sample standard deviation; None where there are too few values."""

    mean: float | None
    deviation: float | None

    def text(self, sign: str = "") -> str:
        """The spread in percent: "41.2 ± 0.8"; `sign` "+" writes one before the mean."""
        if self.mean is None:
            return "–"
        spread_ = "" if self.deviation is None else f" ± {100 * self.deviation:.1f}"
        return f"{round(100 * self.mean, 1) + 0.0:{sign}.1f}{spread_}"  # + 0.0: no minus before a zero


def spread(values: Iterable[float]) -> Spread:
    """Mean and sample standard deviation of some values."""
    known = list(values)
    return Spread(
        statistics.mean(known) if known else None,
        statistics.stdev(known) if len(known) > 1 else None,
    )


def write_comparison(comparison: Comparison, failures: Mapping[str, str], folder: Path) -> None:
    """Write table.md, table.csv, per_class.csv, runs.csv and cost.png; each whole or not at all.

    Args:
        comparison: what was measured.
        failures: what did not work and why.
        folder: exists.

    Raises:
        MissingExtra: matplotlib is not installed.
        UserError: a file cannot be written.
    """
    with whole_file(folder / "table.md") as temporary:
        temporary.write_text(_page(comparison, failures), encoding="utf-8")
    _write_csv(folder / "table.csv", _overall_rows(comparison))
    _write_csv(folder / "per_class.csv", _class_rows(comparison))
    _write_csv(folder / "runs.csv", _run_rows(comparison))
    _plot(comparison, folder / "cost.png")


def overall_table(comparison: Comparison) -> str:
    """mIoU, its difference from the reference and the cost of every variant, in Markdown."""
    height, width = comparison.size
    rows = [("variant", "mIoU %", f"difference from {comparison.reference}", "seeds", "M parameters", "GFLOPs")]
    for name, variant in comparison.variants.items():
        difference = "" if name == comparison.reference else comparison.miou_difference(name).text("+")
        parameters = "–" if variant.cost is None else f"{variant.cost.parameters / 1e6:.2f}"
        gflops = "–" if variant.cost is None else f"{variant.cost.flops / 1e9:.2f}"
        rows.append((name, comparison.miou(name).text(), difference, str(len(variant.runs)), parameters, gflops))
    note = f"GFLOPs: for one image of {width}×{height}, a multiply-add counted as 2."
    return f"{markdown(rows)}\n\n{note}\n"


def class_table(comparison: Comparison) -> str:
    """IoU of every class for the reference, and the differences of the other variants, in Markdown."""
    others = [name for name in comparison.variants if name != comparison.reference]
    rows = [("class", comparison.reference, *others)]
    for class_name in comparison.classes:
        differences = [comparison.iou_difference(name, class_name).text("+") for name in others]
        rows.append((class_name, comparison.iou(comparison.reference, class_name).text(), *differences))
    return markdown(rows) + "\n"


def _page(comparison: Comparison, failures: Mapping[str, str]) -> str:
    failed = "".join(f"- {what}: {why}\n" for what, why in failures.items())
    return f"""# {comparison.title}

Each: {comparison.budget}; measured on {comparison.split} after the last epoch. Mean ± standard deviation over the seeds
{", ".join(map(str, comparison.seeds))}; differences are taken seed by seed.

{overall_table(comparison)}
![Accuracy against cost](cost.png)

## By class

IoU % of {comparison.reference}, and the differences of the others.

{class_table(comparison)}{f"{chr(10)}## Failed{chr(10) * 2}{failed}" if failed else ""}"""


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0] if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _overall_rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "variant": name,
            "seeds": len(variant.runs),
            **_columns("miou", comparison.miou(name)),
            **_columns("difference", comparison.miou_difference(name)),
            "parameters": variant.cost.parameters if variant.cost else None,
            "flops": variant.cost.flops if variant.cost else None,
        }
        for name, variant in comparison.variants.items()
    ]


def _class_rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "variant": name,
            "class": class_name,
            **_columns("iou", comparison.iou(name, class_name)),
            **_columns("difference", comparison.iou_difference(name, class_name)),
        }
        for name in comparison.variants
        for class_name in comparison.classes
    ]


def _run_rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "variant": name,
            "seed": seed,
            **{key: run[key] for key in ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")},
            **{f"iou {class_name}": run["per_class"][class_name]["iou"] for class_name in comparison.classes},
        }
        for name, variant in comparison.variants.items()
        for seed, run in variant.runs.items()
    ]


def _columns(what: str, values: Spread) -> dict[str, float | None]:
    return {f"{what}_mean": values.mean, f"{what}_deviation": values.deviation}


def _plot(comparison: Comparison, path: Path) -> None:
    """mIoU against GFLOPs, one dot a variant, bars of one standard deviation."""
    require("drawing the comparison", "matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, (name, variant) in enumerate(comparison.variants.items()):
        found = comparison.miou(name)
        if variant.cost is None or found.mean is None:
            continue
        axes.errorbar(
            variant.cost.flops / 1e9,
            100 * found.mean,
            yerr=None if found.deviation is None else 100 * found.deviation,
            fmt="o*sD^vP"[number % 7],
            color=f"C{number % 10}",
            capsize=3,
            label=f"{name} ({variant.cost.parameters / 1e6:.1f} M)",
        )
    height, width = comparison.size
    axes.set(
        xlabel=f"GFLOPs for an image of {width}×{height}",
        ylabel=f"mIoU on {comparison.split}, %",
        title=comparison.title,
    )
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, title="parameters")
    with whole_file(path) as temporary:
        figure.savefig(temporary)
