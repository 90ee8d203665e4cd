"""A network as a program of PyTorch's exporter, for any batch and any size of images from 32×32 on."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.fx.experimental._config
from torch import Tensor, nn

from ..models import SegmentationModel
from .replacements import replace_layers

LEAST_SIZE = 32


def export_program(network: SegmentationModel) -> torch.export.ExportedProgram:
    """Trace a network from normalised images to logits, as `SegmentationModel.forward` gives them.

    `torch.export.export(network, …)` does the same for images of one size; for others some layers need another form.

    Args:
        network: in evaluation mode; stays as it is.

    Returns:
        A program whose input is N×C×H×W (float32), N ≥ 1, H and W ≥ 32, and whose output is N×num_classes×H×W.
    """
    own = copy.deepcopy(network).eval()
    replace_layers(own, {"any size"})
    return trace(own, torch.zeros(2, network.backbone.in_channels, 64, 96), (2, 3))


def trace(
    module: nn.Module, example: Tensor, sides: tuple[int, int], least: int = LEAST_SIZE
) -> torch.export.ExportedProgram:
    """Trace a module with one input, whose first dimension is a batch, for any batch and any height and width.

    Args:
        module: its layers have the forms that are needed.
        example: an input.
        sides: which of its dimensions are height and width.
        least: of height and width.
    """
    height, width = sides
    dims = {
        0: torch.export.Dim("batch", min=1),
        height: torch.export.Dim("height", min=least),
        width: torch.export.Dim("width", min=least),
    }
    config: Any = torch.fx.experimental._config
    # A map has one pixel for some sizes of the image and more for others. PyTorch would bind the graph to the kind of
    # its example, although one pixel is nothing special to any operation here.
    with config.patch(backed_size_oblivious=True), torch.no_grad():
        return torch.export.export(
            module,
            (example,),
            dynamic_shapes=(dims,),
            prefer_deferred_runtime_asserts_over_guards=True,  # what torch cannot prove of sizes is checked later
        )
