"""What a network costs: its parameters, the work of one image, and the time that takes here."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from .network import SegmentationModel


@dataclass(frozen=True)
class Cost:
    """What a network costs for one image.

    Attributes:
        parameters: how many values are learnt.
        flops: of convolutions and matrix products, one multiply-add counted as 2.
    """

    parameters: int
    flops: int


def measure_cost(network: SegmentationModel, size: tuple[int, int]) -> Cost:
    """Count the parameters, and the operations for one image of `size` = (height, width).

    The network is left in evaluation mode.
    """
    image = torch.zeros(1, network.backbone.in_channels, *size, device=next(network.parameters()).device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(image)
    return Cost(sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops())


def measure_latency(network: SegmentationModel, size: tuple[int, int], rounds: int = 5) -> float:
    """Seconds for one image of `size` = (height, width) on the network's device: the median after one to warm up.

    The network is left in evaluation mode.
    """
    device = next(network.parameters()).device
    image = torch.zeros(1, network.backbone.in_channels, *size, device=device)
    network.eval()
    seconds = []
    with torch.inference_mode():
        for _ in range(rounds + 1):
            began = time.perf_counter()
            network(image).sum().item()  # on the CPU: a GPU has finished by then
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])
