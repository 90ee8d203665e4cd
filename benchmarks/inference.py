"""From pixels to labels on the CPU: ours beside segmentation-models-pytorch's PAN, eager and exported by hand.

All variants of a backbone take turns in one process, with a pause between two so that the threads of one are at rest
when the next begins; the median over the rounds counts. Both sides go from uint8 pixels of 480×384 to an array of
labels of that size. The networks are trained for some steps first (the maps of an untrained one look like nothing that
is ever segmented). "Ours, configured like theirs" is the one to compare.

    python benchmarks/inference.py latency [--data DATA] [--rounds 21] [--steps 60] [--keep DIR]
    python benchmarks/inference.py folder  [--data DATA] [--count 500]
    python benchmarks/inference.py tiles   --model M [--data DATA]
    python benchmarks/inference.py install
    python benchmarks/inference.py operations --model M --int8 M8 [--data DATA]

Each part prints its table, and with --json writes it to a file. DATA is CamVid for the published figures; "shapes"
needs nothing on the disk.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = 11
BACKBONES = ("resnet18", "mobilenetv3_large_100")
SIZE = (384, 480)
LIKE_THEIRS = {"channels": 32, "attention_channels": 1, "downsample": "max", "gate_activation": "sigmoid"}
PAUSE = 0.05
Run = Callable[[], Any]


def load_data(name: str) -> Any:
    from pyramid_attention.data import open_dataset

    return open_dataset(name, **({"train": 64, "val": 16} if name == "shapes" else {}))


def train(network: Any, data: Any, steps: int) -> Any:
    """Some steps of plain training on crops of 192×256, so that the network's maps look like maps."""
    import torch
    import torch.nn.functional as F

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    samples = data.split("train")
    network.train()
    for _ in range(steps):
        images, masks = [], []
        for index in rng.integers(len(samples), size=4):
            image, mask = samples[int(index)].read_image(), samples[int(index)].read_mask()
            top, left = (int(rng.integers(max(1, a - b + 1))) for a, b in zip(mask.shape, (192, 256), strict=True))
            images.append(image[top : top + 192, left : left + 256])
            masks.append(mask[top : top + 192, left : left + 256])
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        optimizer.zero_grad()
        scores = network((pixels / 255 - mean) / std)
        F.cross_entropy(scores, torch.from_numpy(np.stack(masks)).long(), ignore_index=255).backward()
        optimizer.step()
    return network.eval()


def alternate(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """The median seconds of each, all in turns; two rounds to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        for name, run in runs.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            run()
            if number > 1:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peer_runs(network: Any, image: NDArray[np.uint8], scratch: Path) -> dict[str, Run]:
    """Theirs: eager, and exported by hand to ONNX Runtime and OpenVINO, preprocessing and argmax inside."""
    import onnxruntime
    import openvino
    import torch
    from torch import nn

    from pyramid_attention.inference.threads import usable_cores

    class PixelsToLabels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("mean", 255 * torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
            self.register_buffer("std", 255 * torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            pixels = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
            labels: torch.Tensor = self.network(pixels).argmax(1).to(torch.uint8)
            return labels

    whole = PixelsToLabels().eval()
    batch = image[None].copy()
    tensor = torch.from_numpy(batch)
    path = scratch / "peer.onnx"
    program = torch.onnx.export(whole, (tensor,), input_names=["images"], output_names=["labels"], verbose=False)
    assert program is not None
    program.save(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": usable_cores(),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(path, "CPU", properties).create_infer_request()

    def eager() -> Any:
        with torch.inference_mode():
            return whole(tensor).numpy()

    return {
        "smp, eager": eager,
        "smp, by hand to ONNX Runtime": lambda: session.run(None, {"images": batch}),
        "smp, by hand to OpenVINO": lambda: request.infer({0: batch})[0],
    }


def latency(arguments: argparse.Namespace) -> dict[str, Any]:
    import segmentation_models_pytorch as smp
    import torch

    from pyramid_attention import PAN, Segmenter
    from pyramid_attention.artifacts import save_model
    from pyramid_attention.export import export
    from pyramid_attention.inference.bench import matrix_product
    from pyramid_attention.inference.threads import usable_cores
    from pyramid_attention.models.cost import measure_cost

    torch.set_num_threads(usable_cores())
    data = load_data(arguments.data)
    few = dataclasses.replace(data, splits={name: data.split(name)[:16] for name in ("train", "val")})
    original = Image.fromarray(data.split("val")[0].read_image()).resize((SIZE[1], SIZE[0]))
    image = np.asarray(original)
    result: dict[str, Any] = {}
    for backbone in BACKBONES:
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder) if arguments.keep is None else arguments.keep / backbone
            scratch.mkdir(parents=True, exist_ok=True)
            encoder = backbone if backbone.startswith("resnet") else f"tu-{backbone}"
            torch.manual_seed(0)
            peer = smp.PAN(encoder, encoder_weights=None, classes=CLASSES).eval()
            if (scratch / "peer.pt").exists():
                peer.load_state_dict(torch.load(scratch / "peer.pt", weights_only=True))
            else:
                torch.save(train(peer, data, arguments.steps).state_dict(), scratch / "peer.pt")
            runs = peer_runs(peer, image, scratch)
            flops = {}
            for name, options in (("ours, configured like theirs", LIKE_THEIRS), ("ours by default", {})):
                torch.manual_seed(0)
                network = PAN(CLASSES, backbone, **options)
                network.classes = data.classes
                flops[name] = measure_cost(network, SIZE).flops
                place = scratch / name.replace(" ", "_").replace(",", "")
                files = {"": place / "model.onnx"} | ({", int8": place / "model-int8.onnx"} if options else {})
                if not files[""].exists():
                    save_model(train(network, data, arguments.steps), place)
                    export(place)
                    if options:
                        export(place, int8=True, calibrate=few, max_loss=100)
                for suffix, file in files.items():
                    for engine in ("onnxruntime", "openvino"):
                        segmenter = Segmenter.load(file, device="cpu", engine=engine)
                        runs[f"{name}, {engine}{suffix}"] = lambda segmenter=segmenter: segmenter(image).labels
            products: list[float] = []
            runs["matrix product"] = lambda products=products: products.append(matrix_product())
            medians = alternate(runs, arguments.rounds)
        medians.pop("matrix product")
        peak = max(products)
        base = medians["smp, eager"]
        print(f"\n{backbone}, {SIZE[1]}×{SIZE[0]}, {usable_cores()} cores; a matrix product: {peak / 1e9:.0f} GFLOP/s")
        print("| | of eager's time | times as fast as eager | GFLOP/s | of the best |\n|---|---:|---:|---:|---:|")
        for name, seconds in medians.items():
            own = next((count for key, count in flops.items() if name.startswith(key) and "int8" not in name), None)
            rate = "– | –" if own is None else f"{own / seconds / 1e9:.0f} | {own / seconds / peak:.0%}"
            print(f"| {name} | {seconds / base:.2f} | {base / seconds:.2f} | {rate} |", flush=True)
        result[backbone] = {"medians": medians, "flops": flops, "peak": peak}
    return result


def folder(arguments: argparse.Namespace) -> dict[str, Any]:
    """From JPEG on the disk to a mask on the disk, beside the same network on images that are in memory."""
    import torch

    from pyramid_attention import PAN, Segmenter
    from pyramid_attention.export import export
    from pyramid_attention.inference.predict import predict
    from pyramid_attention.inference.sinks import FileSink
    from pyramid_attention.inference.sources import find_images

    data = load_data(arguments.data)
    images = [sample.read_image() for sample in [*data.split("train"), *data.split("val")]]
    result: dict[str, Any] = {}
    print("| backbone | network alone | from disk to disk | more |\n|---|---:|---:|---:|")
    for backbone in BACKBONES:
        with tempfile.TemporaryDirectory() as place:
            scratch = Path(place)
            torch.manual_seed(0)
            network = train(PAN(CLASSES, backbone, **LIKE_THEIRS), data, arguments.steps)
            network.classes = data.classes
            segmenter = Segmenter.load(export(network, scratch / "model.onnx").path, device="cpu")
            parts, chunk = [], 50
            for first in range(0, arguments.count, chunk):
                part = scratch / f"part{first}"
                part.mkdir()
                for index in range(first, min(first + chunk, arguments.count)):
                    Image.fromarray(images[index % len(images)]).save(part / f"{index}.jpg", quality=90)
                parts.append(part)
            segmenter(images[0])
            alone, whole = [], []
            for number, part in enumerate(parts):  # in turns, so that what else the machine does meets both
                held = [images[(number * chunk + i) % len(images)] for i in range(len(list(part.iterdir())))]
                time.sleep(PAUSE)
                began = time.perf_counter()
                for image in held:
                    segmenter(image)
                alone.append(time.perf_counter() - began)
                time.sleep(PAUSE)
                began = time.perf_counter()
                with FileSink(scratch / "out" / part.name, made_by=segmenter.identity) as sink:
                    predict(segmenter, find_images([part]), sink).check()
                whole.append(time.perf_counter() - began)
        more = sum(whole) / sum(alone) - 1
        per = [1000 * sum(times) / arguments.count for times in (alone, whole)]
        print(f"| {backbone} | {per[0]:.1f} ms | {per[1]:.1f} ms | {more:+.1%} |", flush=True)
        result[backbone] = {"alone": alone, "whole": whole, "more": more}
    return result


def operations(arguments: argparse.Namespace) -> dict[str, Any]:
    """Where the time goes in fp32 and in 8 bits: of each kind of operation, by ONNX Runtime's profile."""
    import onnxruntime

    from pyramid_attention.artifacts.onnx_file import INPUT, SCORES
    from pyramid_attention.inference.engines.pruning import keep_output
    from pyramid_attention.inference.threads import usable_cores

    image = Image.fromarray(load_data(arguments.data).split("val")[0].read_image()).resize((SIZE[1], SIZE[0]))
    images = np.asarray(image)[None]
    result: dict[str, Any] = {}
    for name, file in (("fp32", arguments.model), ("8 bits", arguments.int8)):
        with tempfile.TemporaryDirectory() as scratch:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = usable_cores()
            options.enable_profiling, options.profile_file_prefix = True, str(Path(scratch) / "profile")
            session = onnxruntime.InferenceSession(keep_output(Path(file).read_bytes(), SCORES), options)
            for _ in range(arguments.rounds):
                session.run([SCORES], {INPUT: images})
            events = json.loads(Path(session.end_profiling()).read_text())
        spent: collections.Counter[str] = collections.Counter()
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                spent["convolutions" if "Conv" in event["args"]["op_name"] else event["args"]["op_name"]] += (
                    event["dur"] / arguments.rounds
                )
        result[name] = spent
    whole = sum(result["fp32"].values())
    print("| | fp32 | 8 bits |\n|---|---:|---:|")
    for kind in sorted({kind for spent in result.values() for kind in spent}, key=lambda k: -result["8 bits"][k]):
        shares = [spent[kind] / whole for spent in result.values()]
        if max(shares) >= 0.005:
            print(f"| {kind} | {shares[0]:.2f} | {shares[1]:.2f} |")
    print(f"| all | 1.00 | {sum(result['8 bits'].values()) / whole:.2f} |")
    return result


def tiles(arguments: argparse.Namespace) -> dict[str, Any]:
    """What tiles change: mIoU on val, and how often tiled and whole disagree, on seams and elsewhere.

    And how often they disagree on the pixels of the seams where a single tile is segmented, so without a seam.
    """
    from pyramid_attention import Segmenter
    from pyramid_attention.data import open_dataset
    from pyramid_attention.evaluation import evaluate_samples

    data = open_dataset(arguments.data)
    samples = data.split("val")
    whole = Segmenter.load(arguments.model, device="cpu")
    larger = [Enlarged(sample, arguments.enlarge) for sample in samples]
    base = evaluate_samples(whole, larger).metrics()["miou"]
    labels = [whole(sample.read_image()).labels for sample in larger]
    print(f"whole: mIoU {base:.2%}\n")
    print("| tile | mIoU | change | disagreement at seams | there, one tile alone | elsewhere |")
    print("|---:|---:|---:|---:|---:|---:|")
    result: dict[str, Any] = {"whole": base}
    for tile in arguments.tile:
        tiled = Segmenter(whole.engine, tile=tile)
        miou = evaluate_samples(tiled, larger).metrics()["miou"]
        seams, rest, single = np.zeros(2), np.zeros(2), np.zeros(2)
        for sample, truth in zip(larger, labels, strict=True):
            image = sample.read_image()
            differs = tiled(image).labels != truth
            seam = np.zeros(truth.shape, bool)
            plan = tiled.plan(*truth.shape)
            spans = [plan.rows, plan.columns]
            for axis, along in enumerate(spans):
                for (_, end), (begin, _) in pairwise(along):
                    middle = (begin + end) // 2  # where the weight passes from one tile to the other
                    np.moveaxis(seam, axis, 0)[max(0, middle - 16) : middle + 16] = True
            for top, bottom in spans[0]:
                for left, right in spans[1]:
                    part = np.s_[top:bottom, left:right]
                    alone = whole(image[part]).labels != truth[part]
                    single += alone[seam[part]].sum(), seam[part].sum()
            seams += differs[seam].sum(), seam.sum()
            rest += differs[~seam].sum(), (~seam).sum()
        shares = [differing / max(count, 1) for differing, count in (seams, single, rest)]
        told = " | ".join(f"{share:.2%}" for share in shares)
        print(f"| {tile} | {miou:.2%} | {100 * (miou - base):+.2f} | {told} |", flush=True)
        result[str(tile)] = {"miou": miou} | dict(zip(("seams", "alone", "elsewhere"), shares, strict=True))
    return result


class Enlarged:
    """A sample, so many times larger: images bilinear, masks nearest."""

    def __init__(self, sample: Any, factor: float) -> None:
        self.sample, self.factor, self.name = sample, factor, sample.name

    def _resize(self, array: NDArray[np.uint8], how: Image.Resampling) -> NDArray[np.uint8]:
        height, width = (round(side * self.factor) for side in array.shape[:2])
        return np.asarray(Image.fromarray(array).resize((width, height), how))

    def read_image(self) -> NDArray[np.uint8]:
        return self._resize(self.sample.read_image(), Image.Resampling.BILINEAR)

    def read_mask(self) -> NDArray[np.uint8]:
        return self._resize(self.sample.read_mask(), Image.Resampling.NEAREST)


def install(arguments: argparse.Namespace) -> dict[str, Any]:
    """The base install in a new environment: its size, and the seconds to the first mask."""
    import torch

    from pyramid_attention import PAN
    from pyramid_attention.export import export

    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        torch.manual_seed(0)
        file = export(PAN(CLASSES, "resnet18", **LIKE_THEIRS), scratch / "model.onnx").path
        noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(scratch / "photo.jpg")
        venv.create(scratch / "venv", with_pip=True)
        python = scratch / "venv" / "bin" / "python"
        before = _bytes_below(scratch / "venv")
        subprocess.run([python, "-m", "pip", "install", "--quiet", str(root)], check=True)
        added = _bytes_below(scratch / "venv") - before
        words = [scratch / "venv" / "bin" / "pan", "predict", "photo.jpg", "--model", str(file)]
        began = time.perf_counter()
        subprocess.run(words, check=True, cwd=scratch)
        seconds = time.perf_counter() - began
    print(f"packages of the base install: {added / 1e6:.0f} MB; the first mask after {seconds:.1f} s")
    return {"bytes": added, "first_mask": seconds}


def _bytes_below(place: Path) -> int:
    return sum(os.lstat(Path(root, name)).st_size for root, _, names in os.walk(place) for name in names)


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "latency": latency,
    "folder": folder,
    "tiles": tiles,
    "install": install,
    "operations": operations,
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--model", help="for tiles and operations: an .onnx file, or for tiles a run folder")
    parser.add_argument("--int8", help="for operations: the same model in 8 bits")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="a folder for the trained networks, to measure them again")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--tile", type=int, nargs="+", default=[256, 384])
    parser.add_argument("--enlarge", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(words)
    found = PARTS[arguments.part](arguments)
    if arguments.json is not None:
        machine = {"machine": platform.platform(), "processor": platform.machine()}
        arguments.json.write_text(json.dumps(machine | found, indent=2) + "\n")


if __name__ == "__main__":
    main()
