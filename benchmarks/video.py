"""How steady the labels of a video are with and without `--smooth`, and what a video costs beside its network.

    python benchmarks/video.py --camvid ../shared/camvid --frames 40 --json video.json

Two sequences with their truth: CamVid's val, whose images are one sequence at 15 frames a second, and a drawn drive
(`scene.drive`). Of each: mIoU, flicker and the mIoU of warped neighbours (`evaluation.flicker`), with the motion found
by optical flow in the images themselves. Speed: frames a second of the whole way from a video to a video, over those
of the network alone on one frame after the other, in turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention import Segmenter
from pyramid_attention.evaluation.flicker import measure_flicker
from pyramid_attention.evaluation.result import Evaluation
from pyramid_attention.inference.options import VideoOptions
from pyramid_attention.inference.predict_files import predict_files
from pyramid_attention.inference.sources import find_images
from pyramid_attention.inference.video.smoothing import SmoothedEngine, brought_along, flow_between
from pyramid_attention.report.overlays import steady_overlay
from scene import drive

Drawn = tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]


def camvid(folder: Path) -> Drawn:
    files = sorted((folder / "val").glob("*.*"))
    masks = [next((folder / "valannot").glob(f"{file.stem}.*")) for file in files]
    return [np.array(Image.open(file).convert("RGB")) for file in files], [np.array(Image.open(mask)) for mask in masks]


def steadiness(segmenter: Segmenter, images: Sequence[NDArray[np.uint8]], masks: Sequence[NDArray[np.uint8]]) -> dict:
    """mIoU (over the classes that the truth has), flicker and mIoU of neighbours, all in percent."""
    result = Evaluation(segmenter.classes)
    found = []
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        found.append(segmenter(image).labels)
        result.add(str(index), np.where(mask < len(segmenter.classes), mask, 255).astype(np.uint8), found[-1])
    greys = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    flows = [None, *(flow_between(grey, before) for before, grey in itertools.pairwise(greys))]
    flicker = measure_flicker(
        found, len(segmenter.classes), lambda labels, index: brought_along(labels, flows[index], nearest=True)
    )
    return {
        "miou": 100 * statistics.mean(one["iou"] for one in result.metrics()["per_class"].values() if one["pixels"]),
        "flicker": 100 * flicker.flicker,
        "neighbour_miou": 100 * flicker.neighbour_miou,
    }


def speed(segmenter: Segmenter, images: Sequence[NDArray[np.uint8]], rounds: int) -> dict:
    """Frames a second over 1/latency of the network alone, as a median of ratios; with and without smoothing."""
    ratios: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        with av.open(str(clip), "w") as file:
            stream = file.add_stream("libx264", rate=15, options={"crf": "18"})
            stream.height, stream.width = images[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            for image in images:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(stream.encode(None))
        segmenter.engine(images[0][None])
        for number in range(rounds):
            for smooth in (False, True):
                alone = seconds(lambda: [segmenter.engine(image[None]) for image in images])
                options = VideoOptions(draw=steady_overlay(), smooth=smooth)
                out = Path(folder) / f"{number}{smooth}"
                whole = seconds(lambda: predict_files(segmenter, find_images([clip]), out, videos=options))  # noqa: B023
                alone = (alone + seconds(lambda: [segmenter.engine(image[None]) for image in images])) / 2
                ratios[smooth].append(alone / whole)
    return {"plain": ratios[False], "smooth": ratios[True]}


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path)
    parser.add_argument("--frames", type=int, default=40, help="of the drive, and of the clip whose speed is measured")
    parser.add_argument("--rounds", type=int, default=5, help="of the speed")
    parser.add_argument("--models", nargs="+", default=["pan-street", "pan-street-l"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sequences = {}
    if arguments.camvid:
        sequences["camvid val"] = camvid(arguments.camvid)
    drawn = list(drive(arguments.frames))
    sequences["drive"] = [np.array(image) for image, _ in drawn], [mask for _, mask in drawn]
    report: dict = {}
    for name in arguments.models:
        segmenter = Segmenter.load(name)
        for sequence, (images, masks) in sequences.items():
            for smooth in (False, True):
                steady = Segmenter(SmoothedEngine(segmenter.engine)) if smooth else segmenter
                found = steadiness(steady, images, masks)
                report[f"{name}, {sequence}, {'smooth' if smooth else 'plain'}"] = found
                print(name, sequence, "smooth" if smooth else "plain", found, flush=True)
    found = speed(
        Segmenter.load(arguments.models[0]), next(iter(sequences.values()))[0][: arguments.frames], arguments.rounds
    )
    report["speed"] = found
    for kind, ratios in found.items():
        print(f"frames a second over 1/latency, {kind}: {statistics.median(ratios):.2f} of {np.round(ratios, 2)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
