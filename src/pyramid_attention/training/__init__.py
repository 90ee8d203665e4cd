"""Training: recipes, losses, schedules, the Lightning task and the run folder."""

from .recipe import Recipe, list_recipes, load_recipe
from .train import NO_EFFECT, TrainResult, build_network, check_data, settle, train

__all__ = [
    "NO_EFFECT",
    "Recipe",
    "TrainResult",
    "build_network",
    "check_data",
    "list_recipes",
    "load_recipe",
    "settle",
    "train",
]
