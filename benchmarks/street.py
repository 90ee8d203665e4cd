"""The models in the package: how they are made, how good they are, how fast, and what they are worth as a beginning.

    python benchmarks/street.py train    --data DATA --model MODEL       # the whole recipe, to the file in the package
    python benchmarks/street.py card     --data DATA --json FILE         # mIoU, its interval, corruptions
    python benchmarks/street.py speed    --yolo yolo26n-sem.onnx         # beside others in ONNX Runtime
    python benchmarks/street.py finetune --data DATA --json FILE         # beside training from scratch, little data
    python benchmarks/street.py image                                  # the README's first image

DATA is CamVid. The other network is Ultralytics' (AGPL), so its file is made elsewhere, in an environment of its own:

    sed 's/^nc: 19/nc: 11/' .../ultralytics/cfg/models/26/yolo26-sem.yaml > yolo26n-sem.yaml
    python -c "from ultralytics import YOLO; YOLO('yolo26n-sem.yaml').export(format='onnx', imgsz=(384, 480))"
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

RECIPES = Path(__file__).parent / "street"
RUNS = Path("runs")
MEAN = "mean"
STAGES = {
    "pan-street-l": ("large", "whole"),
    "pan-street": ("surfaces", "detail", "weather", MEAN),
}
"""The parts of each model's training, each with a recipe of its name and from the weights of the one before; the mean
is of the two before it."""
SIZE = (384, 480)
RESAMPLES = 2000
Pixels = NDArray[np.uint8]


def train(arguments: argparse.Namespace) -> None:
    """Every part of the model's training, each resumed where it was broken off; the verified export."""
    from pyramid_attention import train as run
    from pyramid_attention.artifacts.locate import FOLDER
    from pyramid_attention.export import export

    for stage in STAGES[arguments.model]:
        out = RUNS / f"street-{stage}"
        if stage == MEAN:
            average(arguments.data, out)
        elif not (out / "metrics.json").exists():
            run(arguments.data, RECIPES / f"{stage}.yaml", out=out, resume=(out / "recipe.yaml").exists(), device="cpu")
    file = FOLDER / f"{arguments.model}.onnx"
    print(export(out, file, max_size=max(SIZE), on_step=print))
    print(f"for PACKAGED in artifacts/locate.py: {hashlib.sha256(file.read_bytes()).hexdigest()}")


def average(data: str, place: Path) -> None:
    """The mean of two parts' weights: better than either (a model soup: Wortsman et al., ICML 2022)."""
    from pyramid_attention import evaluate
    from pyramid_attention.artifacts import load_model, read_info, save_model

    runs = [RUNS / f"street-{stage}" for stage in ("detail", "weather")]
    network, other = map(load_model, runs)
    theirs = other.state_dict()
    mean = {
        name: (tensor + theirs[name]) / 2 if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(mean)
    save_model(
        network,
        place,
        recipe=read_info(runs[-1]).recipe,
        validation=evaluate(data, network).metrics(),
        provenance={"averaged": [run.name for run in runs]},
    )


def gaussian_noise(image: Image, severity: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    return image + 255 * (0.08, 0.18, 0.38)[severity] * rng.normal(size=image.shape)


def blur(image: Pixels, severity: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur((1, 3, 6)[severity])), np.float64)


def brightness(image: Pixels, severity: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    """Lighter or darker, as the image's turn has it: HSV's value plus or minus so much."""
    change = (0.1, 0.3, 0.5)[severity] * rng.choice([-1, 1])
    hsv = np.array(Image.fromarray(image).convert("HSV"))
    hsv[..., 2] = np.clip(hsv[..., 2] + 255 * change, 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"), np.float64)


def jpeg(image: Pixels, severity: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=(25, 15, 7)[severity])
    return np.asarray(Image.open(file).convert("RGB"), np.float64)


def fog(image: Pixels, severity: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    """A veil of 1/f noise, 0 … 1, times (1.5, 2.5, 3), the whole brought back to the range of the image."""
    strength, decay = ((1.5, 2.0), (2.5, 1.7), (3.0, 1.4))[severity]
    height, width = image.shape[:2]
    veil = np.zeros((height, width))
    for octave in range(1, 8):
        points = rng.random((2**octave + 1, 2**octave + 1)).astype(np.float32)
        part = Image.fromarray(points).resize((width, height), Image.Resampling.BICUBIC)
        veil += np.asarray(part, np.float64) / decay**octave
    veil = (veil - veil.min()) / (veil.max() - veil.min())
    largest = float(image.max()) / 255
    return 255 * (image / 255 + strength * veil[..., None]) * largest / (largest + strength)


CORRUPTIONS: dict[str, Callable[[Image, int, np.random.Generator], NDArray[np.floating[Any]]]] = {
    "Gaussian noise": gaussian_noise,
    "blur": blur,
    "brightness": brightness,
    "JPEG": jpeg,
    "fog": fog,
}
"""As in ImageNet-C (Hendrycks and Dietterich, ICLR 2019), severities 1, 3 and 5; brightness goes both ways here."""


class Corrupted:
    """A sample with a corrupted image."""

    def __init__(self, sample: Any, kind: str, severity: int, seed: int) -> None:
        self.sample, self.kind, self.severity, self.seed, self.name = sample, kind, severity, seed, sample.name

    def read_image(self) -> Image:
        rng = np.random.default_rng(self.seed)
        changed = CORRUPTIONS[self.kind](self.sample.read_image(), self.severity, rng)
        return np.clip(changed.round(), 0, 255).astype(np.uint8)

    def read_mask(self) -> Image:
        mask: Image = self.sample.read_mask()
        return mask


def card(arguments: argparse.Namespace) -> dict[str, Any]:
    """mIoU on val with its interval by bootstrap over images, by class, and under corruptions."""
    from pyramid_attention import Segmenter
    from pyramid_attention.data import open_dataset
    from pyramid_attention.evaluation import evaluate_samples
    from pyramid_attention.evaluation.confusion import ConfusionMatrix
    from pyramid_attention.evaluation.metrics import miou

    segmenter = Segmenter.load(arguments.model)
    samples = open_dataset(arguments.data).split("val")
    matrices = []
    for sample in samples:
        single = ConfusionMatrix(len(segmenter.classes))
        single.update(sample.read_mask(), segmenter(sample.read_image()).labels)
        matrices.append(single.matrix)
    stacked = np.stack(matrices)
    whole = evaluate_samples(segmenter, samples).metrics()
    assert miou(stacked.sum(0)) == whole["miou"]
    rng = np.random.default_rng(0)
    drawn = [miou(stacked[rng.integers(len(stacked), size=len(stacked))].sum(0)) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    print(f"mIoU {whole['miou']:.1%}, 95 % interval {low:.1%} to {high:.1%} ({RESAMPLES} resamples of images)")
    print(f"pixel accuracy {whole['pixel_accuracy']:.1%}\n\n| class | IoU | accuracy |\n|---|---:|---:|")
    for name, numbers in whole["per_class"].items():
        print(f"| {name} | {numbers['iou']:.1%} | {numbers['accuracy']:.1%} |")
    print("\n| corruption | severity 1 | 3 | 5 |\n|---|---:|---:|---:|")
    table: dict[str, list[float]] = {}
    for kind in CORRUPTIONS:
        table[kind] = []
        for severity in range(3):
            changed = [Corrupted(sample, kind, severity, seed) for seed, sample in enumerate(samples)]
            table[kind].append(evaluate_samples(segmenter, changed).metrics()["miou"])
        print(f"| {kind} | " + " | ".join(f"{value:.1%}" for value in table[kind]) + " |", flush=True)
    return {"metrics": whole, "interval": [low, high], "corruptions": table}


def speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """From pixels to labels of 480×384 in ONNX Runtime, in turns: ours, theirs, and PAN on resnet18."""
    import onnxruntime

    from pyramid_attention import PAN, Segmenter
    from pyramid_attention.export import export
    from pyramid_attention.inference.threads import usable_cores
    from scene import scene

    image = np.asarray(scene().resize((SIZE[1], SIZE[0])))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    theirs = onnxruntime.InferenceSession(arguments.yolo, options, providers=["CPUExecutionProvider"])
    (given,) = theirs.get_inputs()

    def run_theirs() -> Any:
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
        pixels /= 255
        return theirs.run(None, {given.name: pixels})[0]

    with tempfile.TemporaryDirectory() as folder:
        resnet = Segmenter.load(export(PAN(11, "resnet18"), Path(folder) / "model.onnx").path)
        ours = Segmenter.load(arguments.model)
        runs: dict[str, Callable[[], Any]] = {
            "yolo26n-sem": run_theirs,
            "pan-street": lambda: ours(image).labels,
            "PAN, resnet18, default": lambda: resnet(image).labels,
        }
        assert run_theirs().shape[-2:] == ours(image).labels.shape
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(arguments.rounds + 2):
            for name, run in runs.items():
                time.sleep(0.05)
                began = time.perf_counter()
                run()
                if number > 1:
                    seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    base = medians["yolo26n-sem"]
    print("| | of yolo26n-sem's time |\n|---|---:|")
    for name, value in medians.items():
        print(f"| {name} | {value / base:.2f} |")
    return medians


MERGED = {
    "ground": ["Road", "Pavement"],
    "built": ["Building", "Fence", "Pole", "SignSymbol"],
    "nature": ["Sky", "Tree"],
    "moving": ["Car", "Pedestrian", "Bicyclist"],
}
TRAINED_ON = 80
"""Of the images of val, in their order; the others are measured on."""


def finetune(arguments: argparse.Namespace) -> dict[str, Any]:
    """Little data with other classes: the same network from pan-street's weights and from none, equal epochs.

    100 synthetic images, and 80 images that pan-street was not trained on: CamVid's val, cut in two.
    """
    with tempfile.TemporaryDirectory() as folder:
        streets = Path(folder) / "streets"
        for kind in ("", "annot"):
            files = sorted((Path(arguments.data) / f"val{kind}").iterdir())
            for split, chosen in (("train", files[:TRAINED_ON]), ("val", files[TRAINED_ON:])):
                (streets / f"{split}{kind}").mkdir(parents=True)
                for file in chosen:
                    (streets / f"{split}{kind}" / file.name).symlink_to(file.resolve())
        synthetic = {"data.options": {"train": 100, "val": 100}}
        return {
            "shapes": _compare("shapes", synthetic, arguments.seeds, Path(folder)),
            "images": _compare(str(streets), {"data.classes": MERGED}, arguments.seeds, Path(folder)),
        }


def _compare(data: str, fields: dict[str, Any], seeds: int, folder: Path) -> dict[str, list[float]]:
    """mIoU after 20 epochs of the recipe `finetune` by the way of starting, one a seed."""
    from pyramid_attention import train as run
    from pyramid_attention.training import load_recipe
    from pyramid_attention.training.initial import describe

    common = {**fields, "data.crop": [192, 192], "data.workers": 0, "train.epochs": 20, "train.validate_every": 20}
    trained = {"model.init": "pan-street"}
    network = describe(load_recipe("finetune", trained).model)
    ways = {
        f"{start}, {rate}": {**given, "train.backbone_factor": factor}
        for start, given in (
            ("from pan-street", trained),
            ("from scratch", {"model": network.model_copy(update={"init": None}).model_dump()}),
        )
        for rate, factor in (("backbone at a tenth of the rate", 0.1), ("backbone at the full rate", 1.0))
    }
    result: dict[str, list[float]] = {}
    print(f"\n{Path(data).name}\n\n| | mIoU, mean of seeds | each |\n|---|---:|---|")
    for name, given in ways.items():
        result[name] = []
        for seed in range(seeds):
            out = folder / f"{Path(data).name}, {name}, {seed}"
            run(data, "finetune", out=out, device="cpu", fields={**common, **given}, seed=seed)
            result[name].append(json.loads((out / "metrics.json").read_text())["last"]["miou"])
        each = ", ".join(f"{value:.1%}" for value in result[name])
        print(f"| {name} | {statistics.mean(result[name]):.1%} | {each} |", flush=True)
    return result


def image(arguments: argparse.Namespace) -> None:
    """The README's first image: a drawn street, and what the model sees in it."""
    from pyramid_attention import Segmenter
    from pyramid_attention.images import write_image
    from pyramid_attention.report.legend import legend, present, text_size_for
    from scene import scene

    segmentation = Segmenter.load(arguments.model)(scene())
    both = np.hstack([segmentation.image, segmentation.overlay(0.6)])
    height, width = both.shape[:2]
    names = legend(segmentation.classes, present(segmentation.labels), width, text_size_for(height, width))
    write_image(Path(__file__).parent.parent / "docs" / "images" / "street.jpg", np.vstack([both, names]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"train": train, "card": card, "speed": speed, "finetune": finetune, "image": image}
    parser.add_argument("part", choices=parts)
    parser.add_argument("--data", default="../shared/camvid", help="CamVid's folder")
    parser.add_argument("--model", default="pan-street", help="pan-street or pan-street-l")
    parser.add_argument("--yolo", type=Path, help="the other network's .onnx file")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = parts[arguments.part](arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
