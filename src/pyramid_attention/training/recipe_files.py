"""Recipes as files: YAML, read and laid over one another. What a field may hold is said in `recipe.py`.

The built-in ones lie beside this file in `recipes/`; a file of the user's may name one of them under `base` and change
only what differs. Nothing here needs a package that the base install lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..errors import UserError, nearest

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # from Python 3.11 on

BUILT_IN = resources.files(__package__) / "recipes"

WHOLE = ("data.classes",)
"""Fields whose entries belong together, and in their order: a value takes the place of another, it is not laid over."""


def list_named(folder: Traversable) -> list[str]:
    """Names of the built-in YAML files of a folder, without suffix."""
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def list_recipes() -> list[str]:
    """Names of the built-in recipes."""
    return list_named(BUILT_IN)


def built_in_crops() -> dict[str, tuple[int, int]]:
    """The crop of each built-in recipe, height and width."""
    crops = {name: read_tree(name)["data"]["crop"] for name in list_recipes()}
    return {name: (height, width) for name, (height, width) in crops.items()}


def read_named(what: str, name: str | Path, built_in: Traversable) -> Any:
    """What a YAML file holds: a built-in one by its name, or the user's by its path.

    Args:
        what: it is called in messages ("recipe").
        name: of a file in `built_in` without suffix, or a path that ends in .yaml or .yml.
        built_in: the folder of the built-in ones.

    Raises:
        UserError: there is no such file, or it cannot be read or is no YAML.
    """
    if str(name) in list_named(built_in):
        text = (built_in / f"{name}.yaml").read_text(encoding="utf-8")
    elif Path(name).suffix in (".yaml", ".yml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise UserError(f"cannot read the {what} {name}: {reason}") from None
    else:
        raise UserError(f"no {what} is called '{name}'.{nearest(str(name), list_named(built_in))} A file ends in .yaml")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # an impossible date is a ValueError
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise UserError(f"the {what} {name} is not valid YAML{line}: {getattr(error, 'problem', error)}") from None


def read_tree(name: str | Path, using: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a built-in recipe or of a file, laid over those of its `base`; not validated yet.

    Raises:
        UserError: as `read_named`, or the file is no mapping or has no sensible base.
    """
    if str(name) in using:
        raise UserError(f"recipe {name} is its own base ({' → '.join((*using, str(name)))}); name another under 'base'")
    tree = read_named("recipe", name, BUILT_IN) or {}
    if not isinstance(tree, dict):
        raise UserError(f"the recipe {name} must hold fields, as in train: {{epochs: 5}}, not {tree!r:.40}")
    base = tree.pop("base", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise UserError(f"the recipe {name} has the base {base!r}; write the name of a recipe or a .yaml file")
    if base not in list_recipes():
        base = Path(name).parent / base
    return lay_over(read_tree(base, (*using, str(name))), tree)


def lay_over(below: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe with others in their place, group by group.

    A layer that names a trained model to start from (`model.init`) takes its network: what lies below says nothing of
    `model` any more, unless the layer describes a network itself, by its backbone. A field that a layer gives is no
    longer among those of `auto` below it.
    """
    if below.get("auto"):
        given = {
            f"{group}.{field}" for group, fields in layer.items() if isinstance(fields, Mapping) for field in fields
        }
        below = {**below, "auto": [name for name in below["auto"] if name not in given]}
    model = layer.get("model")
    if isinstance(model, Mapping) and model.get("init") is not None and model.get("backbone") is None:
        below = {**below, "model": {}}
    return _merge(below, layer)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        name = f"{prefix}{key}"
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and name not in WHOLE
        merged[key] = _merge(merged[key], value, f"{name}.") if both else value
    return merged


def tree_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by their dotted names as a tree: {"train.epochs": 5} is {"train": {"epochs": 5}}; later ones win."""
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        for part in reversed(str(name).split(".")):
            value = {part: value}
        tree = _merge(tree, value)
    return tree
