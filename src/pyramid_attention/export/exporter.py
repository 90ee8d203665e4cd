"""A trained network as one file that needs no PyTorch, compared with the network before it is kept."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from safetensors.torch import save

from ..classes import ClassTable
from ..data import Dataset, open_dataset
from ..errors import UserError
from ..files import make_folder, scratch, whole_file
from ..inference.engines.exported import KEY, Description
from ..inference.load import find_model
from ..inference.options import MIN_SIDE
from ..inference.segmenter import MAX_SIZE
from ..models import SegmentationModel
from ..models.cost import measure_cost
from ..models.folder import LIBRARY_VERSION
from .graph import build_graph, save_graph
from .int8 import Quantised, quantise
from .verify import Verification, verify

MAX_LOSS = 1.0
"""Percentage points of mIoU that 8 bits may cost, unless the user allows more."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: of the file.
        verification: how its fp32 graph compares with the network.
        quantised: what 8 bits cost, where they were asked for.
    """

    path: Path
    verification: Verification
    quantised: Quantised | None = None


def export(
    model: str | os.PathLike[str] | SegmentationModel,
    out: str | os.PathLike[str] | None = None,
    *,
    int8: bool = False,
    calibrate: str | os.PathLike[str] | Dataset | None = None,
    data_format: str | None = None,
    max_loss: float = MAX_LOSS,
    max_size: int | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Exported:
    """Write a trained model as one file.

    Args:
        model: a run folder, a model folder, a name on the hub, or a network, which stays as it is.
        out: the file, or the folder for `model.onnx` (`model-int8.onnx`); by default the folder that is exported.
        int8: quantise to 8 bits.
        calibrate: the data set to calibrate with (its "train") and to measure the loss on (its "val").
        data_format: of the data set, where looking does not find it.
        max_loss: percentage points of mIoU that may be lost by 8 bits.
        max_size: the longer side, in pixels, to which the Segmenter is to shrink larger images for this model; by
            default they stay as they are.
        on_step: called with what is being done, a line at a time.

    Raises:
        UserError: there is no such model; it cannot be exported; the file differs from the network, or loses more than
            `max_loss`; it cannot be written. Then no file is kept.
    """
    if int8 and calibrate is None:
        raise UserError("8 bits are calibrated and measured on images with masks: name them, calibrate=DATA")
    if calibrate is not None and not int8:
        raise UserError("calibrate= is for int8=True; add it, or leave both out")
    if max_loss < 0:
        raise UserError(f"max_loss= is a number of percentage points of mIoU, 0 or more, not {max_loss}")
    if max_size is not None and max_size < MIN_SIDE:
        raise UserError(f"max_size= is a number of pixels, {MIN_SIDE} or more, not {max_size}")
    found = model if isinstance(model, SegmentationModel) else find_model(model)
    if isinstance(found, Path) and found.suffix == ".onnx":
        raise UserError(f"{found} is exported already; name the run folder or model folder it was made from")
    path = _place(found, None if out is None else Path(out), int8)
    data = None
    if calibrate is not None:
        data = calibrate if isinstance(calibrate, Dataset) else open_dataset(Path(calibrate), data_format)
    tell = on_step or (lambda line: None)

    if isinstance(found, SegmentationModel):
        network = copy.deepcopy(found).cpu().eval()
    else:
        network = SegmentationModel.from_pretrained(found)
    description = describe_network(network)
    if max_size is not None:
        description.metadata[MAX_SIZE] = max_size
    tell("building the graph")
    graph = build_graph(network, description, cheaper=not int8)
    with scratch(path.parent) as place:
        fp32 = place / "fp32.onnx"
        save_graph(graph, fp32)
        tell("comparing it with the network")
        verification = verify(network, fp32)
        verification.check()
        quantised = None
        result = fp32
        if data is not None:
            result = place / "int8.onnx"
            quantised = quantise(fp32, result, data, max_loss, tell)
            quantised.check(max_loss)
        _describe_file(result, description, verification, quantised)
        with whole_file(path) as temporary:
            os.replace(result, temporary)
    return Exported(path, verification, quantised)


def describe_network(network: SegmentationModel) -> Description:
    """What a file says of itself: what is saved with the model, and what it was made from."""
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    small, large = (measure_cost(network, (side, side)).flops for side in (256, 512))
    per_pixel = (large - small) / (512**2 - 256**2)
    metadata: dict[str, Any] = {
        **network.metadata,
        "library_version": LIBRARY_VERSION,
        "model": network.spec,
        "source_sha256": hashlib.sha256(save(weights, {"format": "pt"})).hexdigest(),  # of the model folder's file
        "precision": "fp32",
        "flops": {"per_pixel": per_pixel, "constant": small - per_pixel * 256**2},
    }
    classes = network.classes or ClassTable.of(network.num_classes)
    return Description(classes, network.backbone.size_divisor, network.align_corners, metadata)


def _describe_file(
    path: Path, description: Description, verification: Verification, quantised: Quantised | None
) -> None:
    """Write into a file what was found out about it."""
    description.metadata["verification"] = verification.to_dict()
    if quantised is not None:
        description.metadata["precision"] = "int8"
        description.metadata["quantisation"] = quantised.to_dict()
    model = onnx.load(path)
    if quantised is None:
        written = next(entry.value for entry in model.metadata_props if entry.key == KEY)
        description = dataclasses.replace(description, trainable=Description.from_json(written, path).trainable)
    onnx.helper.set_model_props(model, {KEY: description.to_json()})
    save_graph(model, path)


def _place(found: str | Path | SegmentationModel, out: Path | None, int8: bool) -> Path:
    """Where the file goes, its folder made."""
    name = "model-int8.onnx" if int8 else "model.onnx"
    if out is not None:
        path = out / name if out.is_dir() else out
        if path.suffix != ".onnx":
            raise UserError(f"{path} is to be an .onnx file; write out={path}.onnx, or name a folder that is there")
    elif isinstance(found, SegmentationModel):
        raise UserError("a network that lies in no folder needs out=, the file to write")
    else:
        path = found / name if isinstance(found, Path) else Path(found.rpartition("/")[2]).with_suffix(".onnx")
    make_folder(path.parent)
    return path
