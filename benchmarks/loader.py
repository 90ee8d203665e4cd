"""Training images a second: decode and augment at crop 512, beside torchvision's reference and albumentations.

Each pipeline reads the same JPEG images and PNG masks (synthetic, drawn once, of VOC's and of Cityscapes' size),
scales them by 0.5 to 2, cuts a window of 512×512 (padded where they are smaller), mirrors every second one, and gives
uint8 tensors in batches of 8; normalisation, which ours does on the device, is left out of all. The pipelines take
turns, so that what else the machine does meets all of them; the median over the rounds counts.

    python benchmarks/loader.py [--rounds 7] [--images 64] [--workers 1 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from pyramid_attention.data import FileSample, open_dataset
from pyramid_attention.data.loading import EpochSampler, TrainingSet
from pyramid_attention.data.samples import id_lookup
from pyramid_attention.data.transforms import FILL, TrainTransform

CROP, BATCH = 512, 8
SIZES = {"VOC's size, 500×375": (500, 375), "Cityscapes' size, 2048×1024": (2048, 1024)}
Files = list[tuple[Path, Path]]


def draw(folder: Path, size: tuple[int, int], count: int) -> Files:
    """Synthetic scenes enlarged to `size`, with a little noise so that a JPEG has as much to code as an image's."""
    shapes = open_dataset("shapes", seed=0, train=count, val=1, test=1, size=256).split("train")
    rng = np.random.default_rng(0)
    files = []
    for sample in shapes:
        image = np.asarray(Image.fromarray(sample.read_image()).resize(size, Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        mask = Image.fromarray(sample.read_mask()).resize(size, Image.Resampling.NEAREST)
        stem = folder / f"{len(files):04}"
        Image.fromarray(noisy).save(stem.with_suffix(".jpg"), quality=90)
        mask.save(stem.with_suffix(".png"))
        files.append((stem.with_suffix(".jpg"), stem.with_suffix(".png")))
    return files


def ours(files: Files) -> Dataset[Any]:
    lookup = id_lookup(range(7), [255])
    samples = [FileSample(image.stem, image, mask, lookup) for image, mask in files]
    return TrainingSet(samples, TrainTransform((CROP, CROP)), seed=0)


class TorchvisionReference(Dataset[Any]):
    """`SegmentationPresetTrain` of torchvision's references/segmentation/presets.py, backend "pil"."""

    def __init__(self, files: Files, base_size: int) -> None:
        self.files = files
        self.transform = v2.Compose(
            [
                v2.RandomResize(min_size=int(0.5 * base_size), max_size=int(2.0 * base_size)),
                v2.RandomHorizontalFlip(0.5),
                v2.RandomCrop(CROP, pad_if_needed=True, fill={tv_tensors.Mask: 255, "others": FILL}),
                v2.PILToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image, mask = self.files[index]
        original = Image.open(image).convert("RGB")
        labels = tv_tensors.Mask(v2.functional.pil_to_tensor(Image.open(mask)))
        shown, labels = self.transform(original, labels)
        return {"image": shown, "mask": labels[0]}


class Albumentations(Dataset[Any]):
    """OpenCV decoding and albumentations' counterpart of the same augmentation."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.transform = A.Compose(
            [
                A.RandomScale((-0.5, 1.0), p=1.0),
                A.PadIfNeeded(CROP, CROP, border_mode=cv2.BORDER_CONSTANT, fill=FILL, fill_mask=255),
                A.RandomCrop(CROP, CROP),
                A.HorizontalFlip(0.5),
                A.ToTensorV2(),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image, mask = self.files[index]
        original = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
        done = self.transform(image=original, mask=cv2.imread(str(mask), cv2.IMREAD_UNCHANGED))
        return {"image": done["image"], "mask": done["mask"]}


def one_thread(_: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def rate(make: Callable[[], Dataset[Any]], workers: int) -> float:
    """Images a second over one pass, the start of the workers left out."""
    dataset = make()
    sampler = EpochSampler(len(dataset), seed=0) if isinstance(dataset, TrainingSet) else None
    loader = DataLoader(
        dataset, BATCH, sampler=sampler, num_workers=workers, worker_init_fn=one_thread, persistent_workers=True
    )
    for _ in loader:  # the workers start, the files come into the architecture's cache
        pass
    began = time.perf_counter()
    images = sum(len(batch["image"]) for batch in loader)
    return images / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, size in SIZES.items():
            where = Path(folder, title.split()[0])
            where.mkdir()
            files = draw(where, size, options.images)
            pipelines: dict[str, Callable[[], Dataset[Any]]] = {
                "ours": lambda files=files: ours(files),
                "torchvision": lambda files=files, size=size: TorchvisionReference(files, min(size)),
                "albumentations": lambda files=files: Albumentations(files),
            }
            for workers in options.workers:
                rates: dict[str, list[float]] = {name: [] for name in pipelines}
                for _ in range(options.rounds):
                    for name, make in pipelines.items():
                        rates[name].append(rate(make, workers))
                median = {name: statistics.median(values) for name, values in rates.items()}
                row = {name: median["ours"] / median[name] for name in ("torchvision", "albumentations")}
                results[f"{title}, {workers} worker{'s' * (workers > 1)}"] = row
                print(f"{title}, {workers} workers: ours {median['ours']:.1f} images/s,", end=" ")
                print(", ".join(f"{ratio:.2f}× {name}" for name, ratio in row.items()), flush=True)
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, {options.rounds} rounds")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
