"""The recipe and the data set of a run: as they are asked for, and as a run that is resumed has them."""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data import Dataset, Reading, fit_masks, open_dataset, remap_classes
from ..errors import UserError
from ..files import holds_files
from ..models import list_architectures, list_options
from .recipe import ModelRecipe, Recipe, load_recipe
from .recipe_files import list_recipes

DEVICES = ("train.devices", "train.nodes", "train.strategy")
"""Fields that say where a run computes."""
NO_EFFECT = ("data.path", "data.workers", "data.cache", "data.check", *DEVICES)
"""Fields that may change when a run is resumed: the data may have moved, and the others do not touch the result."""


def stored_recipe(folder: Path, resume: bool) -> Recipe | None:
    """Return the recipe of the run in a folder that is to be resumed, or None where no run began.

    Raises:
        UserError: the folder holds other files, or a run that is not to be resumed.
    """
    if not resume and holds_files(folder):
        raise UserError(f"{folder} already holds files; go on with its run with resume=True, or choose another out=")
    if (folder / "recipe.yaml").exists():
        return load_recipe(folder / "recipe.yaml")
    if holds_files(folder):
        raise UserError(f"{folder} is not a run folder (it has no recipe.yaml); name the run to resume with out=")
    return None


def refuse_changes(asked: Recipe, stored: Recipe, folder: Path) -> None:
    """Check that a run is resumed with the recipe that it was begun with.

    Raises:
        UserError: a field is another, which the message names.
    """
    changed = [field for field in asked.differences(stored) if field not in NO_EFFECT]
    if changed:
        raise UserError(
            f"the run in {folder} was begun with another {', '.join(changed)}; resume it without recipe= and fields=,"
            " or begin a new run with another out="
        )


def as_decided(asked: Recipe, stored: Recipe, decided: Sequence[str]) -> Recipe:
    """Return the recipe asked for, with what the run decided when it began: `decided` and the fields of `auto`."""
    values = {name: operator.attrgetter(name)(stored) for name in (*asked.auto, *decided)}
    return asked.with_fields(values).model_copy(update={"auto": ()})


def fit_options(model: ModelRecipe, asked: Mapping[str, Any]) -> ModelRecipe:
    """Leave out a recipe's options that are another architecture's, but none that was asked for."""
    known = list_options(model.architecture, model.context, model.decoder)
    others = {option for architecture in list_architectures() for option in list_options(architecture)}
    options = {
        option: value
        for option, value in model.options.items()
        if option in known or option not in others or f"model.options.{option}" in asked
    }
    if foreign := sorted(model.options.keys() - options.keys()):
        print(f"{model.architecture} has no {', '.join(foreign)}; the recipe's is left out", file=sys.stderr)
    return model.model_copy(update={"options": options})


def resolve(
    data: str | Path | Dataset,
    recipe: str | Path | Recipe | None = None,
    fields: Mapping[str, Any] | None = None,
    format: str | None = None,
    stored: Recipe | None = None,
) -> tuple[Recipe, Dataset]:
    """Find the recipe and open the data set; each can decide the other (the format the recipe, the recipe the format).

    The data set has the masks and the classes that the recipe asks for (`data.resize_masks`, `data.classes`).

    Args:
        data, recipe, fields, format: as `train` takes them.
        stored: the recipe of a run that is resumed, where no other is named.

    Raises:
        UserError: as `load_recipe`, `open_dataset` and `remap_classes`.
    """
    recipe = recipe or stored or ("shapes" if str(data) == "shapes" else None)
    resolved = load_recipe(recipe or "finetune", fields)
    dataset = _opened(data, format, resolved)
    if recipe is None and dataset.format in list_recipes():
        resolved = load_recipe(dataset.format, fields)
    if resolved.data.resize_masks:
        dataset = fit_masks(dataset)
    if resolved.data.classes is not None:
        dataset = remap_classes(dataset, resolved.data.classes)
    path = dataset.root if isinstance(data, Dataset) else data
    return resolved.with_data(None if path is None else str(path), dataset.format, dataset.reading.to_dict()), dataset


def _opened(data: str | Path | Dataset, format: str | None, recipe: Recipe) -> Dataset:
    if not isinstance(data, Dataset):
        reading = Reading.of(recipe.data.model_dump())
        return open_dataset(data, format or recipe.data.format, reading=reading, **recipe.data.options)
    if recipe.data.options:
        raise UserError("data.options are of the word shapes; data= is a data set that has been opened")
    return data
