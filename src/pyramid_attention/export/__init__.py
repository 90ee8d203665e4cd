"""From a trained network to one `.onnx` file: the graph, its verification, 8-bit quantisation."""

from .exporter import Exported, export
from .program import export_program

__all__ = ["Exported", "export", "export_program"]
