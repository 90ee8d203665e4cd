"""Eight bits: static quantisation of the exported graph, judged by mIoU alone.

ONNX Runtime's tools put a quantisation before and behind every operation (QDQ), with ranges read off while the fp32
graph runs on training images. What is left to decide, and is decided by measuring, is the quantisation scheme, and
which layers stay in floating point.

Processors without VNNI instructions add two 8-bit products in 16 bits, which can overflow where activations are
unsigned and weights use all 8 bits (U8S8). Two remedies: weights of 7 bits (reduced range), or unsigned weights (U8U8),
for which ONNX Runtime uses slower instructions that do not overflow. All three are measured.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ..artifacts import locate
from ..artifacts.onnx_file import INPUT, SCORES, read_info, write_file
from ..data import Dataset, Sample
from ..errors import UserError
from ..evaluation.evaluate import as_trained, check_classes, evaluate_samples
from ..images import ArrayImage
from ..inference import Segmenter
from ..inference.engines.onnxruntime import OnnxRuntimeEngine
from ..inference.plan import pad

CALIBRATION_IMAGES = 32
MEASURED_IMAGES = 500
TRIAL_IMAGES = 40
"""So many of the measured images decide which layers stay in floating point."""
PARTS = 8
"""The network's convolutions, in the order in which they are computed, are judged in so many parts."""
OPERATIONS = ("Conv", "ConvTranspose", "Add", "Mul", "MaxPool", "Resize")

SCHEMES: dict[str, dict[str, Any]] = {
    "U8S8": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8},
    "U8S8, reduced range": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "reduce_range": True},
    "U8U8": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8},
}
"""Activations, then weights; in the order of preference at equal mIoU (the first two are equally fast)."""


@dataclass(frozen=True)
class Trial:
    """One way of quantising, and its mIoU on the images of the trials."""

    scheme: str
    in_float: int
    miou: float


@dataclass(frozen=True)
class Quantised:
    """What 8 bits cost.

    Attributes:
        before, after: mIoU of the fp32 and of the int8 file.
        images: how many images both were measured on.
        scheme: the one that was chosen, a key of `SCHEMES`.
        in_float: how many of the convolutions stay in floating point, of how many.
        trials: everything that was tried, in order.
    """

    before: float
    after: float
    images: int
    scheme: str
    in_float: tuple[int, int]
    trials: tuple[Trial, ...] = field(default=())

    @property
    def loss(self) -> float:
        """In percentage points of mIoU."""
        return 100 * (self.before - self.after)

    def check(self, max_loss: float) -> None:
        """Raise where more is lost than may be.

        Raises:
            UserError: then no file is to be kept.
        """
        if self.loss > max_loss:
            raise UserError(
                f"8 bits cost {self.loss:.2f} percentage points of mIoU ({self.before:.2%} to {self.after:.2%}), more"
                f" than {max_loss:g}; no file is kept; stay with fp32, or allow it with max_loss={self.loss:.1f}"
            )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, for the file's metadata."""
        return {
            "miou_fp32": self.before,
            "miou_int8": self.after,
            "images": self.images,
            "scheme": self.scheme,
            "convolutions_in_float": self.in_float[0],
            "convolutions": self.in_float[1],
            "trials": [asdict(trial) for trial in self.trials],
        }


def quantise(
    fp32: Path, int8: Path, dataset: Dataset, max_loss: float, tell: Callable[[str], None] | None = None
) -> Quantised:
    """Quantise a file and measure what it costs.

    The three schemes are tried first, with everything in 8 bits. Where the best of them loses more than it
    may, the part of the network whose return to floating point helps most returns to it, one after another.

    Args:
        fp32: the verified file.
        int8: where the result goes, whatever it costs.
        dataset: calibrated on its "train", measured on its "val".
        max_loss: percentage points of mIoU that may be lost.
        tell: called with what is being done, a line at a time.

    Raises:
        UserError: the data set lacks these splits, has other classes, or its files cannot be read.
    """
    tell = tell or (lambda line: None)
    segmenter = Segmenter(OnnxRuntimeEngine(locate(fp32), "cpu"))
    dataset = as_trained(dataset, segmenter)
    check_classes(segmenter.classes, dataset.classes)
    calibration = spread(dataset.split("train"), CALIBRATION_IMAGES)
    measured = spread(dataset.split("val"), MEASURED_IMAGES)
    tried = spread(measured, TRIAL_IMAGES)
    tell(f"measuring fp32 on {len(measured)} images of val")
    before = miou_of(fp32, measured)
    reference = before if len(tried) == len(measured) else miou_of(fp32, tried)

    convolutions = [node.name for node in quantisable(onnx.load(fp32)) if node.op_type == "Conv"]
    trials: list[Trial] = []

    def attempt(scheme: str, in_float: Sequence[str]) -> float:
        write_quantised(fp32, int8, calibration, scheme, in_float)
        miou = miou_of(int8, tried)
        trials.append(Trial(scheme, len(in_float), miou))
        tell(f"{scheme}, {len(in_float)} of {len(convolutions)} convolutions in float: {miou - reference:+.2%}")
        return miou

    results = {scheme: attempt(scheme, ()) for scheme in SCHEMES}
    best = max(results, key=lambda scheme: results[scheme])
    parts = [[str(name) for name in part] for part in np.array_split(np.array(convolutions), PARTS) if len(part)]
    in_float: list[str] = []
    miou = results[best]
    while 100 * (reference - miou) > max_loss and parts:
        gains = [attempt(best, in_float + part) for part in parts]
        miou = max(gains)
        in_float += parts.pop(gains.index(miou))
    write_quantised(fp32, int8, calibration, best, in_float)
    tell(f"measuring int8 on {len(measured)} images of val")
    return Quantised(
        before, miou_of(int8, measured), len(measured), best, (len(in_float), len(convolutions)), tuple(trials)
    )


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` of the samples, evenly spread over them."""
    chosen = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    return [samples[int(index)] for index in chosen]


def miou_of(path: Path, samples: Sequence[Sample]) -> float:
    """The mIoU of a file in ONNX Runtime, each image at its own size."""
    evaluation = evaluate_samples(Segmenter(OnnxRuntimeEngine(locate(path), "cpu")), samples)
    miou = evaluation.metrics()["miou"]
    if miou is None:
        raise UserError("the masks of the data set hold no labelled pixel, so nothing can be measured on them")
    return float(miou)


def quantisable(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that may be quantised: of `OPERATIONS`, before the logits; what makes labels of them stays exact."""
    needed, nodes = {SCORES}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            if node.op_type in OPERATIONS:
                nodes.append(node)
    return nodes[::-1]


def write_quantised(fp32: Path, int8: Path, samples: Sequence[Sample], scheme: str, in_float: Sequence[str]) -> None:
    """Quantise a file by one scheme, its ranges from the samples' images, some nodes left out."""
    segmenter = Segmenter(OnnxRuntimeEngine(locate(fp32), "cpu"))
    nodes = [node.name for node in quantisable(onnx.load(fp32)) if node.name not in set(in_float)]
    with _kept_to(int8.parent):
        quantize_static(
            fp32,
            int8,
            _Images(segmenter, samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=list(OPERATIONS),
            nodes_to_quantize=nodes,
            **SCHEMES[scheme],
        )
    write_file(onnx.load(int8), int8, replace(read_info(fp32), precision="int8"))


class _Images(CalibrationDataReader):  # type: ignore[misc]  # has no types
    """Images, one at a time and as the network will be given them, as the calibration asks for them."""

    def __init__(self, segmenter: Segmenter, samples: Sequence[Sample]) -> None:
        self._segmenter = segmenter
        self._samples = iter(samples)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next image as the graph takes it, or None after the last."""
        sample = next(self._samples, None)
        if sample is None:
            return None
        image = ArrayImage(sample.read_image())
        plan = self._segmenter.plan(image.height, image.width)
        return {INPUT: pad(plan.prepare(image)[None], 32)}


@contextmanager
def _kept_to(folder: Path) -> Iterator[None]:
    """Keep the tool's temporary files in a folder, and its advice, which is for its own command line, from the user."""
    before = logging.root.manager.disable, tempfile.tempdir
    logging.disable(logging.WARNING)
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        logging.disable(before[0])
        tempfile.tempdir = before[1]
