"""Training: recipes, losses, schedules, the Lightning task and the run folder.

Importing this, or reading a recipe, imports no PyTorch; a name is resolved when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .recipe import Recipe, load_recipe
    from .recipe_files import list_recipes
    from .trainer import TrainResult, train

__all__ = ["Recipe", "TrainResult", "list_recipes", "load_recipe", "train"]

_HOMES = {
    "Recipe": ".recipe",
    "TrainResult": ".trainer",
    "list_recipes": ".recipe_files",
    "load_recipe": ".recipe",
    "train": ".trainer",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
