"""`pan ablate`: every variant of a study trained with every seed on the same budget, and the tables that come of it.

A study's folder holds `study.yaml` and `recipe.yaml` (what was asked, to be asked again), one run folder a variant and
seed under `runs/`, and the results, written anew after each run: `table.md`, `table.csv`, `per_class.csv`, `runs.csv`,
`cost.png`. Runs go seed by seed, so that a study that is stopped has compared all variants with the first seeds. A run
counts with the weights of its last epoch: the best of many validations would favour the variants that scatter most.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..data import Dataset, reduce_samples
from ..errors import UserError
from ..files import holds_files, owned, whole_file
from ..inference.devices import resolve_device
from ..models import list_options
from ..models.cost import Cost, measure_cost
from ..report.comparison import Comparison, Variant, write_comparison
from ..training.initial import build_network, describe
from ..training.loaders import open_samples
from ..training.recipe import ModelRecipe, Recipe, load_recipe
from ..training.resolve import NO_EFFECT, as_decided, resolve
from ..training.trainer import train
from .study import Study, load_study


@dataclass
class AblationResult:
    """What a study found.

    Attributes:
        folder: of the study.
        comparison: what its tables show.
        failures: why, by "variant, seed n" (or by the variant, where its network cannot be built).
    """

    folder: Path
    comparison: Comparison
    failures: dict[str, str] = field(default_factory=dict)


def run_study(
    study: str | Path | Study,
    data: str | Path,
    *,
    fields: Mapping[str, Any] | None = None,
    recipe: str | None = None,
    seeds: tuple[int, ...] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    format: str | None = None,
    device: str = "auto",
) -> AblationResult:
    """Train and compare the variants of a study.

    Args:
        study: a built-in name, a .yaml file, or a `Study`.
        data: a data set's folder in any format the readers know, or "shapes".
        fields: recipe fields for every variant by their dotted names, {"train.epochs": 5}, over those of the study.
        recipe: another than the study's.
        seeds: others than the study's.
        out: the study's folder; by default studies/NAME, with a number where that is taken.
        resume: go on with the study in `out`.
        format: the reader's name; found by looking where it is not given.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: a study, recipe or data set that is wrong, or a folder that holds something else. What fails while a
            variant is built or trained is kept in the result instead, and the other variants go on.
    """
    resolve_device(device)  # before anything is trained or written
    name = "study" if isinstance(study, Study) else Path(study).stem
    study = study if isinstance(study, Study) else load_study(study, seeds)
    if out is not None and not resume and holds_files(Path(out)):
        raise UserError(f"{out} already holds files; go on with its study with resume=True, or choose another out=")
    if resume and out is None:
        raise UserError("resume=True needs out=, the folder of the study to go on with")
    shared, recipes, dataset = _resolve_all(study, data, fields or {}, recipe, format)
    wanted = Path("studies") / name if out is None else Path(out)
    if out is not None:
        _refuse_another_study(wanted, recipes)  # before anything is written there
    with owned(wanted, "study", numbered=out is None) as folder:
        _refuse_another_study(folder, recipes)
        _keep_study(study, folder, shared)
        open_samples(shared.data.model_copy(update={"cache": False}), dataset)  # what is broken is known at once
        result = AblationResult(folder, _comparison(study, recipes, dataset))
        _train_all(study, data, recipes, dataset, device, result)
    return result


def _train_all(
    study: Study, data: str | Path, recipes: dict[str, Recipe], dataset: Dataset, device: str, result: AblationResult
) -> None:
    """Train what is not trained yet, writing the tables anew after each run."""
    folder = result.folder
    for variant in study.variants:
        try:
            result.comparison.variants[variant].cost = _cost(recipes[variant], dataset, result.comparison.size)
        except Exception as error:  # one broken variant must not stop the others
            _fail(result, variant, error)
    write_comparison(result.comparison, result.failures, folder)
    todo = [
        (variant, seed)
        for seed in study.seeds
        for variant in study.variants
        if result.comparison.variants[variant].cost
    ]
    for number, (variant, seed) in enumerate(todo, 1):
        run = folder / "runs" / variant / f"seed-{seed}"
        try:
            if not (run / "metrics.json").exists():
                print(f"[{number}/{len(todo)}] {variant}, seed {seed}", file=sys.stderr, flush=True)
                train(data, _seeded(recipes[variant], seed), out=run, resume=True, device=device)
            shutil.rmtree(run / "checkpoints", ignore_errors=True)  # only a run that is to go on needs them
            metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
            result.comparison.variants[variant].runs[seed] = metrics["last"]
        except Exception as error:
            _fail(result, f"{variant}, seed {seed}", error)
        write_comparison(result.comparison, result.failures, folder)


def _resolve_all(
    study: Study, data: str | Path, fields: Mapping[str, Any], recipe: str | None, format: str | None
) -> tuple[Recipe, dict[str, Recipe], Dataset]:
    """The recipe that all variants share, that of each, resolved, and the data set.

    A shared option that only some of the networks have (channels, for a baseline) goes to those; what a variant sets
    itself, and what no network of the study has, is left for the network to refuse.
    """
    shared, dataset = resolve(data, recipe or study.recipe, {**study.fields, **fields}, format)
    model = describe(shared.model)
    shared = shared.model_copy(update={"model": model})
    models = {name: describe(load_recipe(shared, own).model) for name, own in study.variants.items()}
    known = {name: list_options(one.architecture, one.context, one.decoder) for name, one in models.items()}
    of_some = set().union(*known.values())
    recipes = {}
    for name, own in study.variants.items():
        options = {
            option: value for option, value in model.options.items() if option in known[name] or option not in of_some
        }
        fitting = shared.model_copy(
            update={
                "model": model.model_copy(update={"options": options}),
                "train": shared.train.model_copy(update={"validate_every": shared.train.epochs}),
                "data": shared.data.model_copy(update={"check": False}),  # once, for all
            }
        )
        own_recipe = load_recipe(fitting, own)
        recipes[name] = own_recipe.model_copy(update={"model": describe(own_recipe.model)})
    return shared, recipes, dataset


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    return recipe.model_copy(update={"seed": seed})


def _refuse_another_study(folder: Path, recipes: dict[str, Recipe]) -> None:
    """A folder to be resumed must hold runs of these recipes only."""
    if holds_files(folder) and not (folder / "study.yaml").exists():
        raise UserError(f"{folder} is not a study's folder (it has no study.yaml); choose another out=")
    for path in sorted(folder.glob("runs/*/seed-*/recipe.yaml")):
        variant = path.parent.parent.name
        stored = load_recipe(path)
        if variant not in recipes:
            continue  # a variant that was taken out of the study since: its runs stay, unused
        asked = as_decided(_seeded(recipes[variant], stored.seed), stored, ())
        changed = [name for name in asked.differences(stored) if name not in NO_EFFECT]
        if changed:
            raise UserError(
                f"{path.parent} was begun with another {', '.join(changed)}; resume with the same study and"
                " fields=, or begin a new one with another out="
            )


def _keep_study(study: Study, folder: Path, shared: Recipe) -> None:
    """Write `study.yaml`, and beside it the recipe that its variants share."""
    shared.save(folder / "recipe.yaml")
    text = yaml.safe_dump(
        {**study.model_dump(mode="json"), "recipe": "recipe.yaml", "fields": {}}, sort_keys=False, allow_unicode=True
    )
    with whole_file(folder / "study.yaml") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _start(model: ModelRecipe) -> str:
    """Where the weights of a recipe's network come from, in words."""
    if model.init is not None:
        return f"from {model.init}"
    return "pre-trained" if model.pretrained else "from scratch"


def _comparison(study: Study, recipes: dict[str, Recipe], dataset: Dataset) -> Comparison:
    recipe = recipes[study.reference]
    image = reduce_samples(dataset.split(recipe.data.val_split), recipe.data.reduce)[0].read_image()
    train_, model, images = recipe.train, describe(recipe.model), len(dataset.split(recipe.data.train_split))
    budget = (
        f"{train_.epochs} epoch{'s' * (train_.epochs > 1)} of {images} images, batches of"
        f" {train_.batch_size * train_.accumulate}, crops of {recipe.data.crop[1]}×{recipe.data.crop[0]}, backbone"
        f" {model.backbone} {_start(model)}"
    )
    return Comparison(
        title=study.title,
        budget=budget,
        split=recipe.data.val_split,
        size=image.shape[:2],
        reference=study.reference,
        seeds=study.seeds,
        classes=dataset.classes.names,
        variants={name: Variant() for name in study.variants},
    )


def _cost(recipe: Recipe, dataset: Dataset, size: tuple[int, int]) -> Cost:
    from_scratch = describe(recipe.model).model_copy(update={"pretrained": False})
    return measure_cost(build_network(from_scratch, dataset.classes, recipe.seed), size)


def _fail(result: AblationResult, what: str, error: Exception) -> None:
    """Keep why something did not work, and say so."""
    reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    result.failures[what] = " ".join(reason.split())
    print(f"{what} failed: {result.failures[what]}", file=sys.stderr, flush=True)
