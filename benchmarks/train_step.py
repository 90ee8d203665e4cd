"""One training step of PAN beside the PAN of segmentation-models-pytorch, on the CPU.

A step is forward, cross-entropy, backward and an SGD update in single precision, resnet18 from scratch, 11 classes. The
variants take turns in one process, so that what else the machine does meets all of them; the median over the rounds
counts. The peak memory of each is that of a process of its own. The first ratio is the one to compare: our network
configured like theirs.

    python benchmarks/train_step.py [--rounds 7] [--batch 8] [--size 352] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import nn

from pyramid_attention import PAN

CLASSES = 11
LIKE_THEIRS = {"channels": 32, "attention_channels": 1, "downsample": "max", "gate_activation": "sigmoid"}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "segmentation-models-pytorch": lambda: smp.PAN("resnet18", encoder_weights=None, classes=CLASSES),
    "ours, configured like theirs": lambda: PAN(CLASSES, "resnet18", **LIKE_THEIRS),
    "ours by default": lambda: PAN(CLASSES, "resnet18"),
}
FORMATS = {"": torch.contiguous_format, ", channels_last": torch.channels_last}
VARIANTS = [(name, suffix) for suffix in FORMATS for name in NETWORKS]


def stepper(name: str, suffix: str, batch: int, size: int) -> Callable[[], None]:
    torch.manual_seed(0)
    memory_format = FORMATS[suffix]
    network = NETWORKS[name]().to(memory_format=memory_format).train()  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=memory_format)
    labels = torch.randint(CLASSES, (batch, size, size))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def peak_mebibytes(name: str, suffix: str, batch: int, size: int) -> float:
    step = stepper(name, suffix, batch, size)
    for _ in range(2):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=352)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    spawn = multiprocessing.get_context("spawn")
    peaks = []
    for variant in VARIANTS:
        with ProcessPoolExecutor(1, mp_context=spawn) as one:
            peaks.append(one.submit(peak_mebibytes, *variant, options.batch, options.size).result())
    steps = [stepper(*variant, options.batch, options.size) for variant in VARIANTS]
    for step in steps:
        step()  # the first one prepares kernels and buffers
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(options.rounds):
        for step, taken in zip(steps, times, strict=True):
            taken.append(seconds(step))

    medians = [statistics.median(taken) for taken in times]
    result = {
        "torch": torch.__version__,
        "segmentation_models_pytorch": smp.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "batch": options.batch,
        "size": options.size,
        "rounds": options.rounds,
        "throughput_ratio": medians[0] / medians[1],
        "variants": {
            name + suffix: {
                "seconds_per_step": median,
                "images_per_second": options.batch / median,
                "throughput_ratio": medians[0] / median,
                "peak_mebibytes": peak,
                "seconds": taken,
            }
            for (name, suffix), median, peak, taken in zip(VARIANTS, medians, peaks, times, strict=True)
        },
    }
    print(f"{options.batch}×3×{options.size}×{options.size}, {result['threads']} threads, torch {torch.__version__}")
    print(f"{'':45}{'s/step':>8}{'images/s':>10}{'ratio':>7}{'peak MiB':>10}")
    for name, row in result["variants"].items():
        print(
            f"{name:45}{row['seconds_per_step']:8.2f}{row['images_per_second']:10.2f}"
            f"{row['throughput_ratio']:7.2f}{row['peak_mebibytes']:10.0f}"
        )
    print(f"throughput ratio, ours configured like theirs: {result['throughput_ratio']:.3f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
