"""What several tests need."""

from pathlib import Path

import torch
from torch import nn

CAMVID = Path(__file__).parents[2] / "shared" / "camvid"
"""Real images, where they are; a test that uses them skips where they are not."""


def shaken(module):
    """In evaluation mode, with statistics and biases unlike those at the start."""
    torch.manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return module.eval()
