"""What PAN on popular timm backbones does here: train, export, 8 bits; what each costs; which start without a hub.

    python benchmarks/backbones.py [NAME …] [--out runs/backbones]

PAN with 64 channels, no gate, random weights, 7 classes. A backbone "trains" if a step of AdamW on two images of
128×128 gives a finite loss and every parameter a finite gradient, "exports" if `export` keeps a file (which it compares
with the network first), has "8 bits" if it can be quantised on drawn images. The time is processor time of one image of
480×384 in ONNX Runtime on one thread, in turns with tf_efficientnet_lite0 and as a multiple of it: the median of the
rounds. Each backbone runs in a process of its own and leaves its row in the folder; a second call goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F

from pyramid_attention.classes import ClassTable
from pyramid_attention.data import open_dataset
from pyramid_attention.errors import UserError
from pyramid_attention.export import export
from pyramid_attention.files import make_folder, write_json
from pyramid_attention.models import SegmentationModel, build_model
from pyramid_attention.models.cost import measure_cost
from pyramid_attention.models.weights import PACKAGES

REFERENCE = "tf_efficientnet_lite0"
BACKBONES = (
    REFERENCE,
    "tf_efficientnet_lite2",
    "efficientnet_b0",
    "tf_efficientnetv2_b0",
    "mobilenetv2_100",
    "mobilenetv3_small_100",
    "mobilenetv3_large_100",
    "tf_mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "mnasnet_100",
    "ghostnet_100",
    "fbnetc_100",
    "hardcorenas_a",
    "resnet18",
    "resnet50",
    "resnet101c",
    "resnext50_32x4d",
    "regnetx_002",
    "regnety_004",
    "densenet121",
    "hrnet_w18_small",
    "convnext_atto",
    "edgenext_xx_small",
    "swin_tiny_patch4_window7_224",
    "pvt_v2_b0",
)
CLASSES = 7
LIMIT = 900
"""Seconds after which a backbone's process is given up."""


def build(name: str, output_stride: int) -> SegmentationModel:
    torch.manual_seed(0)
    options = {"channels": 64, "gate": "none", "output_stride": output_stride}
    network = build_model("pan", num_classes=CLASSES, backbone=name, **options)
    network.classes = ClassTable.of(CLASSES)
    return network


def trains(network: SegmentationModel) -> bool:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    labels = torch.randint(0, CLASSES, (2, 128, 128))
    loss = F.cross_entropy(network.train()(torch.randn(2, 3, 128, 128)), labels)
    loss.backward()
    optimizer.step()
    gradients = [parameter.grad for parameter in network.parameters()]
    return bool(loss.isfinite()) and all(one is not None and one.isfinite().all() for one in gradients)


def ratio(file: Path, reference: Path, rounds: int = 7) -> float:
    """The time of an image by `file`, as a multiple of that by `reference`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(str(path), options) for path in (file, reference)]
    image = {"images": np.random.default_rng(0).integers(0, 256, (1, 384, 480, 3), dtype=np.uint8)}
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for own, session in zip(seconds, sessions, strict=True):
            begun = time.process_time()
            session.run(None, image)
            own.append(time.process_time() - begun)
    return statistics.median(one / other for one, other in zip(*seconds, strict=True))


def describe(name: str, folder: Path) -> dict[str, Any]:
    """The row of a backbone."""
    row: dict[str, Any] = {"backbone": name, "offline": name in PACKAGES}
    try:
        network, row["output_stride"] = build(name, 16), 16
    except UserError:
        network, row["output_stride"] = build(name, 32), 32
    cost = measure_cost(network, (512, 512))
    row |= {"parameters": cost.parameters, "gflops": cost.flops / 1e9, "trains": trains(network)}
    with tempfile.TemporaryDirectory() as place:
        begun = time.process_time()
        try:
            file = export(network, Path(place) / "model.onnx").path
        except UserError as error:
            return row | {"exports": False, "why": str(error)}
        row |= {"exports": True, "export_seconds": time.process_time() - begun}
        reference = folder / "reference.onnx"
        row["ratio"] = 1.0 if name == REFERENCE else ratio(file, reference)
        if name == REFERENCE:
            reference.write_bytes(file.read_bytes())
        few = open_dataset("shapes", train=8, val=4, size=128)
        try:
            export(network, Path(place) / "int8.onnx", int8=True, calibrate=few, max_loss=100)
        except UserError as error:
            return row | {"int8": False, "why": str(error)}
        return row | {"int8": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="by default all")
    parser.add_argument("--out", type=Path, default=Path("runs/backbones"))
    parser.add_argument("--here", action="store_true", help="describe one in this process")
    arguments = parser.parse_args()
    folder = make_folder(arguments.out)
    if arguments.here:
        write_json(folder / f"{arguments.names[0]}.json", describe(arguments.names[0], folder))
        return
    for name in dict.fromkeys((REFERENCE, *(arguments.names or BACKBONES))):
        if not (folder / f"{name}.json").exists():
            print(name, file=sys.stderr, flush=True)
            command = [sys.executable, __file__, name, "--out", str(folder), "--here"]
            try:
                subprocess.run(command, check=True, timeout=LIMIT)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                write_json(folder / f"{name}.json", {"backbone": name, "why": type(error).__name__})
    print("| backbone | parameters | GFLOPs | output stride | trains | exports | 8 bits | time | without a hub |")
    print("|---|---:|---:|---:|:-:|:-:|:-:|---:|:-:|")
    for path in sorted(folder.glob("*.json")):
        row = json.loads(path.read_text())
        if "parameters" not in row:
            print(f"| {row['backbone']} | – | – | – | {row['why']} | – | – | – | – |")
            continue
        marks = {key: "yes" if row.get(key) else "no" for key in ("trains", "exports", "int8", "offline")}
        took = f"{row['ratio']:.2f}" if "ratio" in row else "–"
        print(
            f"| {row['backbone']} | {row['parameters'] / 1e6:.1f} M | {row['gflops']:.1f} | {row['output_stride']} |"
            f" {marks['trains']} | {marks['exports']} | {marks['int8']} | {took} | {marks['offline']} |"
        )


if __name__ == "__main__":
    main()
