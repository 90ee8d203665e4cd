"""From a trained network to one `.onnx` file: the graph, its verification, 8-bit quantisation."""

from .exporter import Exported, export

__all__ = ["Exported", "export"]
