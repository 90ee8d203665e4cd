"""Ours beside the PAN of segmentation-models-pytorch, trained on CamVid from scratch for the same number of epochs.

Both have the same backbone, crops, flips, random scale, batch and poly schedule; both are measured on the images
of val at their own size. Theirs is trained as one trains by hand: AdamW on the cross-entropy, once with each of three
learning rates, of which the best counts. Ours is `pan train` with its recipe: colour jitter, Dice beside the
cross-entropy, averaged weights, warm-up, one learning rate.

    python benchmarks/camvid_vs_peer.py --data DATA [--epochs 15] [--backbone regnetx_002] [--out runs/vs_peer]

Each run leaves its result in the folder as it ends, and is not repeated by a second call.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pyramid_attention import train
from pyramid_attention.data import open_dataset
from pyramid_attention.evaluation import Evaluation
from pyramid_attention.files import make_folder, write_json
from pyramid_attention.training import Recipe, load_recipe
from pyramid_attention.training.loaders import build_loaders

RATES = (1e-3, 2e-3, 4e-3)
MULTIPLE = 32
"""Their network takes images of a multiple of this many pixels."""


def segment(network: nn.Module, image: NDArray[np.uint8], normalise: Any) -> NDArray[np.uint8]:
    """The labels of an image H×W×3, its border repeated up to the size that the network takes."""
    height, width = image.shape[:2]
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    padded = F.pad(normalise(pixels), (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
    labels: Tensor = network(padded)[0, :, :height, :width].argmax(0)
    return labels.numpy().astype(np.uint8)


def train_peer(recipe: Recipe, data: Any, rate: float) -> dict[str, Any]:
    """Their network by a plain loop; the metrics on val after the last epoch."""
    torch.manual_seed(recipe.seed)
    backbone = recipe.model.backbone
    encoder = backbone if backbone.startswith("resnet") else f"tu-{backbone}"
    network = smp.PAN(
        encoder, encoder_weights=None, encoder_output_stride=recipe.model.output_stride, classes=len(data.classes)
    )
    plain = recipe.model_copy(update={"data": recipe.data.model_copy(update={"jitter": 0.0, "noise": 0.0})})
    loader, _ = build_loaders(plain, data.split("train"), data.split("val"), torch.device("cpu"), 0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=recipe.train.weight_decay)
    steps = recipe.train.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, steps, recipe.train.power)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def normalise(pixels: Tensor) -> Tensor:
        return (pixels.float() - mean) / std

    network.train()
    for epoch in range(recipe.train.epochs):
        loader.sampler.set_epoch(epoch)
        losses = []
        for batch in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(normalise(batch["image"])), batch["mask"].long(), ignore_index=255)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        print(f"peer at {rate:g}: epoch {epoch + 1}/{recipe.train.epochs}, loss {np.mean(losses):.3f}", flush=True)
    network.eval()
    evaluation = Evaluation(data.classes)
    with torch.inference_mode():
        for sample in data.split("val"):
            evaluation.add(sample.name, sample.read_mask(), segment(network, sample.read_image(), normalise))
    return evaluation.metrics()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--backbone", default="regnetx_002")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/vs_peer"))
    arguments = parser.parse_args()

    budget = {"train.epochs": arguments.epochs, "train.validate_every": arguments.epochs}
    common = {"data.workers": 0, "model.backbone": arguments.backbone, "seed": arguments.seed}
    recipe = load_recipe("camvid", {**budget, **common})
    data = open_dataset(arguments.data)
    folder = make_folder(arguments.out)
    results: dict[str, float] = {}
    stem = f"{arguments.backbone}-{arguments.epochs}-seed{arguments.seed}"

    ours = folder / f"{stem}-ours"
    if not (ours / "metrics.json").exists():
        train(arguments.data, recipe, out=ours, resume=(ours / "recipe.yaml").exists(), device="cpu")
    results["ours"] = json.loads((ours / "metrics.json").read_text())["last"]["miou"]
    for rate in RATES:
        path = folder / f"{stem}-peer-{rate:g}.json"
        if not path.exists():
            write_json(path, train_peer(recipe, data, rate))
        results[f"segmentation-models-pytorch, rate {rate:g}"] = json.loads(path.read_text())["miou"]
    best = max(value for name, value in results.items() if name != "ours")
    print("| | mIoU on val |\n|---|---:|")
    for name, value in results.items():
        print(f"| {name} | {value:.1%} |")
    print(f"ours is {100 * (results['ours'] - best):+.1f} points above their best")


if __name__ == "__main__":
    main()
