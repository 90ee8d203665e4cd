"""`pan train PATH --budget T`, and nothing else, beside segmentation-models-pytorch on data of any field.

    python benchmarks/fields.py steel=PATH nuclei=PATH … [--budget 30m] [--seeds 0 1 2] [--out runs/fields]

Each data set is copied first, a quarter of its images set aside as `judge` by a hash of their names, a fifth of the
rest as `val`. Ours trains on the copy. Then Unet, DeepLabV3Plus and PAN of segmentation-models-pytorch are trained with
the same encoder, the same ImageNet weights, crops, scales, flips and batch, in a plain loop of AdamW on the
cross-entropy, and for as many seconds of processor time as ours took, start and validations included. Theirs is trained
with each of three rates, and the one that is best on val counts. What is reported is the mIoU on `judge`, which nothing
chose by.

Each run leaves its result in the folder as it ends, and is not repeated by a second call. On a machine that does other
work too the results stay comparable, for processor time is counted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from pyramid_attention.data import Dataset, Sample, open_dataset
from pyramid_attention.evaluation import Evaluation
from pyramid_attention.files import make_folder, write_json
from pyramid_attention.inference import Segmenter
from pyramid_attention.models.weights import find_weights
from pyramid_attention.training import Recipe, load_recipe
from pyramid_attention.training.loaders import build_loaders

PEERS = ("Unet", "DeepLabV3Plus", "PAN")
RATES = (3e-4, 1e-3, 3e-3)
SHARES = {"judge": 0.25, "val": 0.2}
"""Of the images that are left, in this order; the rest is `train`."""
MULTIPLE = 32
"""Their networks take images of a multiple of this many pixels."""


def copy_data(path: str, folder: Path) -> None:
    """A data set as PNG files in folders: `train` and `val` in `folder/data`, `judge` in `folder/judge`."""
    dataset = open_dataset(path)
    left = [sample for split in dataset.splits.values() for sample in split]
    places: dict[str, list[Sample]] = {}
    for split, share in SHARES.items():
        held = {sample.name for sample in left if _number(f"{split} {sample.name}") < share}
        places[split] = [sample for sample in left if sample.name in held]
        left = [sample for sample in left if sample.name not in held]
    for split, samples in {**places, "train": left}.items():
        root = folder / "judge" if split == "judge" else folder / "data"
        for sample in samples:
            name = f"{sample.name.replace('/', '__')}.png"
            for kind, pixels in (("images", sample.read_image()), ("masks", sample.read_mask())):
                Image.fromarray(pixels).save(make_folder(root / kind / split) / name)
        names = "".join(f"  - {json.dumps(name)}\n" for name in dataset.classes.names)
        (root / "dataset.yaml").write_text(f"names:\n{names}")


def _number(name: str) -> float:
    """0 … 1, evenly spread over names, the same for one name everywhere and always."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def measure(segment: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], dataset: Dataset, split: str) -> dict[str, Any]:
    """The metrics of what `segment` makes of the images of a split."""
    evaluation = Evaluation(dataset.classes)
    for sample in dataset.split(split):
        evaluation.add(sample.name, sample.read_mask(), segment(sample.read_image()))
    return evaluation.metrics()


def train_ours(folder: Path, judge: Dataset, budget: str, seed: int) -> dict[str, Any]:
    """`pan train` in a process of its own; what its model reaches on `judge`, and what it took."""
    run = folder / f"ours-{seed}"
    command = [sys.executable, "-m", "pyramid_attention.cli", "train", str(folder / "data")]
    command += ["--budget", budget, "--set", f"seed={seed}", "--out", str(run), "--device", "cpu"]
    before, begun = _processor_seconds(), time.monotonic()
    subprocess.run([*command, *(["--resume"] if run.exists() else [])], check=True)
    took = {"processor_seconds": _processor_seconds() - before, "seconds": time.monotonic() - begun}
    segmenter = Segmenter.load(run / "model", device="cpu")
    return measure(lambda image: segmenter(image).labels, judge, "judge") | took


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train_peer(
    name: str, rate: float, recipe: Recipe, data: Dataset, judge: Dataset, processor_seconds: float
) -> dict[str, Any]:
    """One of their networks by a plain loop; its metrics on val and on `judge`."""
    torch.manual_seed(recipe.seed)
    assert recipe.model is not None
    backbone = recipe.model.backbone
    network = getattr(smp, name)(f"tu-{backbone}", encoder_weights=None, classes=len(data.classes))
    encoder, weights = network.encoder.model, find_weights(backbone)
    assert weights is not None
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    network.to(memory_format=torch.channels_last)
    plain = recipe.with_fields({"data.jitter": 0.0, "data.noise": 0.0, "data.workers": 0})
    loader, _ = build_loaders(plain, data.split("train"), data.split("val"), torch.device("cpu"), 0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=recipe.train.weight_decay)
    begun, steps, epoch = time.process_time(), 0, 0
    network.train()
    while (share := (time.process_time() - begun) / processor_seconds) < 1:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for batch in loader:
            share = min(1, (time.process_time() - begun) / processor_seconds)
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 - share) ** recipe.train.power
            loss = F.cross_entropy(network(_normalise(batch["image"])), batch["mask"].long(), ignore_index=255)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            if share == 1:
                break
        epoch += 1
    network.eval()
    with torch.inference_mode():
        found = {
            split: measure(lambda image: _segment(network, image), of, split)
            for split, of in (("val", data), ("judge", judge))
        }
    return {**found, "steps": steps, "rate": rate}


def _normalise(pixels: torch.Tensor) -> torch.Tensor:
    """As TensorFlow's EfficientNets take them: -1 to 1."""
    return (pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _segment(network: nn.Module, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The labels of an image H×W×3, its border repeated up to the size that the network takes."""
    height, width = image.shape[:2]
    pixels = _normalise(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
    padded = F.pad(pixels, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
    labels: torch.Tensor = network(padded)[0, :, :height, :width].argmax(0)
    return labels.numpy().astype(np.uint8)


def compare(name: str, path: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a method and seed: its name, mIoU and the IoU of each class on `judge`."""
    folder = make_folder(arguments.out / name)
    if not (folder / "copied").exists():
        copy_data(path, folder)
        (folder / "copied").touch()
    data, judge = open_dataset(folder / "data"), open_dataset(folder / "judge")
    rows = []
    for seed in arguments.seeds:
        ours = _once(folder / f"ours-{seed}.json", lambda: train_ours(folder, judge, arguments.budget, seed))  # noqa: B023
        rows.append({"field": name, "method": "ours", "seed": seed, **_numbers(ours)})
        recipe = load_recipe(folder / f"ours-{seed}" / "recipe.yaml")
        for peer in arguments.peers:
            results = [
                _once(
                    folder / f"{peer}-{rate:g}-{seed}.json",
                    lambda: train_peer(peer, rate, recipe, data, judge, ours["processor_seconds"]),  # noqa: B023
                )
                for rate in arguments.rates
            ]
            best = max(results, key=lambda one: one["val"]["miou"])
            numbers = _numbers(best["judge"])
            rows.append({"field": name, "method": f"{peer}, rate {best['rate']:g}", "seed": seed, **numbers})
    return rows


def _once(path: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if not path.exists():
        write_json(path, work())
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    return {"miou": metrics["miou"], "ious": {k: one["iou"] for k, one in metrics["per_class"].items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fields", nargs="+", metavar="NAME=PATH")
    parser.add_argument("--budget", default="30m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--out", type=Path, default=Path("runs/fields"))
    arguments = parser.parse_args()
    rows = [row for field in arguments.fields for row in compare(*field.split("=", 1), arguments)]
    print("| field | seed | method | mIoU | classes |\n|---|---:|---|---:|---|")
    for row in rows:
        ious = ", ".join(f"{name} {'–' if iou is None else f'{iou:.1%}'}" for name, iou in row["ious"].items())
        print(f"| {row['field']} | {row['seed']} | {row['method']} | {row['miou']:.1%} | {ious} |")


if __name__ == "__main__":
    main()
