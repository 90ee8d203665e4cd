"""A trained network as one file that needs no PyTorch, compared with the network before it is kept."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from ..artifacts import Flops, Located, Model, ModelInfo, load_model, locate, read_info
from ..artifacts.info import LIBRARY_VERSION
from ..artifacts.network import describe_network
from ..artifacts.onnx_file import write_file
from ..classes import ClassTable
from ..data import Dataset, Reading
from ..errors import UserError
from ..evaluation import open_as_trained
from ..files import result_files
from ..inference.ensemble import combine
from ..inference.options import MIN_SIDE
from ..models import SegmentationModel
from ..models.attention import class_of_channels
from ..models.cost import measure_cost
from .graph import Ensemble, build_ensemble, build_graph
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
    model: SegmentationModel | Model | Sequence[Model],
    out: str | os.PathLike[str] | None = None,
    *,
    int8: bool = False,
    calibrate: str | os.PathLike[str] | Dataset | None = None,
    data_format: str | None = None,
    reading: Reading | None = None,
    max_loss: float = MAX_LOSS,
    max_size: int | None = None,
    explain: bool = False,
    on_step: Callable[[str], None] | None = None,
) -> Exported:
    """Write a trained model as one file.

    Args:
        model: a run folder, a model folder, a name on the hub, or a network, which stays as it is; or several folders
            or names, whose probabilities the file averages.
        out: the file, or the folder for `model.onnx` (`model-int8.onnx`); by default the folder that is exported.
        int8: quantise to 8 bits.
        calibrate: the data set to calibrate with (its "train") and to measure the loss on (its "val").
        data_format: of the data set, where looking does not find it.
        reading: how the data set is read, where looking does not tell; by default as the model's recipe says.
        max_loss: percentage points of mIoU that may be lost by 8 bits.
        max_size: the longer side, in pixels, to which the Segmenter is to shrink larger images for this model; by
            default they stay as they are.
        explain: the file keeps the network's attention, which `pan explain` shows without PyTorch.
        on_step: called with what is being done, a line at a time.

    Raises:
        UserError: there is no such model; it cannot be exported; the file differs from the network, or loses more than
            `max_loss`; it cannot be written. Then no file is kept.
    """
    if int8 and calibrate is None:
        raise UserError("8 bits are calibrated and measured on images with masks: name them, calibrate=DATA")
    if calibrate is not None and not int8:
        raise UserError("calibrate= is for int8=True; add it, or leave both out")
    if explain and int8:
        raise UserError("explain=True keeps attention as the network computes it, which 8 bits do not; leave one out")
    if not max_loss >= 0:
        raise UserError(f"max_loss= is a number of percentage points of mIoU, 0 or more, not {max_loss}")
    if max_size is not None and max_size < MIN_SIDE:
        raise UserError(f"max_size= is a number of pixels, {MIN_SIDE} or more, not {max_size}")
    if not isinstance(model, (SegmentationModel, str, os.PathLike, Located)):
        models = list(model)
        if len(models) > 1:
            if int8 or explain:
                raise UserError(f"{'int8' if int8 else 'explain'}=True is for one model; export each by itself")
            return _export_ensemble(models, out, max_size, on_step or (lambda line: None))
        model = models[0]
    if isinstance(model, SegmentationModel):
        network, info, folder = copy.deepcopy(model).cpu().eval(), describe_network(model), None
    else:
        found = _locate_folder(model)
        network, info, folder = load_model(found), read_info(found), found.path
    path = _place(folder, None if out is None else Path(out), int8)
    data = None
    if calibrate is not None:
        if isinstance(calibrate, Dataset):
            data = calibrate
        else:
            data = open_as_trained(Path(calibrate), info, data_format, reading)
    tell = on_step or (lambda line: None)

    info = replace(
        info,
        classes=network.classes or ClassTable.of(network.num_classes),
        max_size=max_size or info.max_size,
        provenance={**info.provenance, "source_sha256": info.weights_sha256},
        flops=count_flops(network),
        class_of_channels=tuple(class_of_channels(network).tolist()) if explain and network.head is not None else (),
        library_version=LIBRARY_VERSION,
    )
    with result_files(path.parent, [path.name]) as place:
        tell("building the graph")
        graph = build_graph(network, cheaper=not int8, explains=explain)
        info = replace(info, attention=graph.attention)
        fp32 = place / "fp32.onnx"
        write_file(graph.model, fp32, info)
        tell("comparing it with the network")
        verification = verify(network, fp32)
        verification.check()
        info = _with_provenance(info, verification=verification.to_dict())
        if data is None:
            quantised, result = None, fp32
            write_file(graph.model, result, info, graph.training)
        else:
            result = place / "int8.onnx"
            quantised = quantise(fp32, result, data, max_loss, tell)
            quantised.check(max_loss)
            info = _with_provenance(replace(info, precision="int8"), quantisation=quantised.to_dict())
            write_file(onnx.load(result), result, info)
        os.replace(result, place / path.name)
    return Exported(path, verification, quantised)


def _locate_folder(model: Model) -> Located:
    found = locate(model)
    if found.kind == "onnx":
        raise UserError(f"{found} is exported already; name the run folder or model folder it was made from")
    return found


def _export_ensemble(
    models: Sequence[Model], out: str | os.PathLike[str] | None, max_size: int | None, tell: Callable[[str], None]
) -> Exported:
    """Write several trained models as one file, see `export`."""
    found = [_locate_folder(model) for model in models]
    infos = [read_info(one) for one in found]
    combined = combine(infos)
    if len({info.size_divisor for info in infos}) > 1:
        raise UserError(
            "the models of the ensemble pad images in different ways (size_divisor); name models that agree"
        )
    path = _place(None, None if out is None else Path(out), int8=False)
    networks = [load_model(one) for one in found]
    costs = [count_flops(network) for network in networks]
    info = replace(
        combined,
        max_size=max_size or combined.max_size,
        flops=Flops(sum(cost.per_pixel for cost in costs), sum(cost.constant for cost in costs)),
        library_version=LIBRARY_VERSION,
    )
    with result_files(path.parent, [path.name]) as place:
        tell("building the graph")
        graph = build_ensemble(networks)
        result = place / "fp32.onnx"
        write_file(graph, result, info)
        tell("comparing it with the networks")
        verification = verify(Ensemble(networks), result)
        verification.check()
        write_file(graph, result, _with_provenance(info, verification=verification.to_dict()))
        os.replace(result, place / path.name)
    return Exported(path, verification)


def _with_provenance(info: ModelInfo, **more: object) -> ModelInfo:
    return replace(info, provenance={**info.provenance, **more})


def count_flops(network: SegmentationModel) -> Flops:
    """What a network costs for an image of any size, from what it costs for two."""
    small, large = (measure_cost(network, (side, side)).flops for side in (256, 512))
    per_pixel = (large - small) / (512**2 - 256**2)
    return Flops(per_pixel, small - per_pixel * 256**2)


def _place(folder: Path | None, out: Path | None, int8: bool) -> Path:
    """Where the file goes; `folder` is that of the model, where it has one."""
    name = "model-int8.onnx" if int8 else "model.onnx"
    if out is not None:
        path = out / name if out.is_dir() else out
        if path.suffix != ".onnx":
            raise UserError(f"{path} is to be an .onnx file; write out={path}.onnx, or name a folder that is there")
    elif folder is not None:
        path = folder / name
    else:
        raise UserError("a network that lies in no folder needs out=, the file to write")
    return path
