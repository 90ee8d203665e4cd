"""Training: recipes, losses, schedules, the Lightning task and the run folder."""

from .recipe import Recipe, list_recipes, load_recipe
from .train import TrainResult, train

__all__ = ["Recipe", "TrainResult", "list_recipes", "load_recipe", "train"]
