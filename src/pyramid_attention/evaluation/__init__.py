"""How good a model is: an exact confusion matrix, the metrics that follow from it, and the images that show it."""

from .confusion import ConfusionMatrix
from .evaluate import check_classes, evaluate, evaluate_samples, open_as_trained
from .result import Evaluation

__all__ = ["ConfusionMatrix", "Evaluation", "check_classes", "evaluate", "evaluate_samples", "open_as_trained"]
