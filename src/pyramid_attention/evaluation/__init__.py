"""How good a model is: an exact confusion matrix, the numbers that follow from it, and the images that show it."""

from .confusion import ConfusionMatrix
from .evaluate import Evaluation, evaluate, evaluate_samples

__all__ = ["ConfusionMatrix", "Evaluation", "evaluate", "evaluate_samples"]
