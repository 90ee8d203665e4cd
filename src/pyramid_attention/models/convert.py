"""Weights of other libraries' PAN brought into a model folder.

segmentation-models-pytorch (0.6) has a PAN that differs from the paper's reading here in options, all of which
`build_model` knows: attention of one channel, max pooling that rounds sizes down, convolutions with a bias, ReLU behind
the low-level convolution, a sigmoid gate, aligned corners, and in its own ResNets a dilated first convolution.
Configured so, the network here gives the same logits.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..classes import ClassTable
from ..errors import UserError
from .architectures import build_model
from .misfit import misfit
from .network import SegmentationModel

THEIR_OPTIONS: dict[str, Any] = {
    "attention_channels": 1,
    "downsample": "max",
    "rounding": "floor",
    "conv_bias": True,
    "low_activation": "relu",
    "gate_activation": "sigmoid",
    "align_corners": True,
}
PARTS = {
    "decoder.fpa.mid.0": "context.main",
    "decoder.fpa.down1.1": "context.downs.0.2",
    "decoder.fpa.down2.1": "context.downs.1.2",
    "decoder.fpa.down3.1": "context.downs.2.2",
    "decoder.fpa.down3.2": "context.levels.2",
    "decoder.fpa.conv2": "context.levels.1",
    "decoder.fpa.conv1": "context.levels.0",
    "decoder.fpa.branch1.1": "context.pooled",
    "decoder.gau3.conv1.1": "decoder.units.0.channel",
    "decoder.gau3.conv2": "decoder.units.0.low",
    "decoder.gau2.conv1.1": "decoder.units.1.channel",
    "decoder.gau2.conv2": "decoder.units.1.low",
    "decoder.gau1.conv1.1": "decoder.units.2.channel",
    "decoder.gau1.conv2": "decoder.units.2.low",
}
"""Their convolutions with norm, and ours."""
REQUIRED = ("decoder.fpa.mid.0.conv.weight", "segmentation_head.0.weight")


@dataclass(frozen=True)
class _Checkpoint:
    path: Path
    weights: dict[str, Tensor]
    config: dict[str, Any]


def convert_checkpoint(
    source: str | PathLike[str],
    backbone: str | None = None,
    output_stride: int | None = None,
    names: list[str] | None = None,
) -> SegmentationModel:
    """The network of a checkpoint of segmentation-models-pytorch's PAN, in evaluation mode.

    Args:
        source: a file with its state dict (as `torch.save` or safetensors write it, alone or under "state_dict"), or a
            folder written by its `save_pretrained`.
        backbone: its encoder ("resnet18", "tu-mobilenetv3_large_100"); a folder says so itself.
        output_stride: its `encoder_output_stride`, 16 or 32; 16 where neither the folder nor the caller says so.
        names: of the classes. A network with one logit a pixel gets two classes, the first with the logit 0, so that
            the more likely one is the second exactly where its logit is positive.

    Raises:
        UserError: the file is missing, damaged, holds more than tensors, or does not fit a PAN on this backbone.
    """
    checkpoint = _read(Path(source))
    stored = checkpoint.config.get("encoder_name")
    encoder = backbone or stored
    if encoder is None:
        raise UserError(f'{source} does not say which encoder it has; name it, as in backbone="resnet18"')
    if backbone and stored and backbone.removeprefix("tu-") != stored.removeprefix("tu-"):
        raise UserError(f"{source} was made with the encoder {stored}, not {backbone}; leave out backbone=")
    weights = _network_weights(checkpoint)
    stride = output_stride or checkpoint.config.get("encoder_output_stride", 16)
    universal = any(name.startswith("encoder.model.") for name in weights)  # their encoders by way of timm
    if not universal and not encoder.startswith(("resnet", "resnext")):
        raise UserError(
            f"the encoder {encoder} is an implementation of theirs, and weights of those can be taken over for resnet"
            " and resnext only (and for every 'tu-' encoder)"
        )
    head = weights["segmentation_head.0.weight"]
    if len(head) == 1:
        _split_binary(weights)
    network = build_model(
        "pan",
        num_classes=len(weights["segmentation_head.0.weight"]),
        backbone=encoder.removeprefix("tu-"),
        output_stride=stride,
        dilate_first=not universal and stride < 32,
        in_channels=next((w.shape[1] for name, w in weights.items() if name.startswith("encoder.") and w.ndim == 4), 3),
        channels=head.shape[1],
        **THEIR_OPTIONS,
    )
    renamed = {_renamed(name, universal): weight for name, weight in weights.items()}
    problem = misfit(renamed, network.state_dict())
    if problem:
        raise UserError(f"{checkpoint.path} does not fit a PAN on {encoder} at output stride {stride}: it {problem}")
    network.load_state_dict(renamed)
    if names is None and len(head) == 1:
        names = ["background", "object"]
    network.classes = ClassTable.of(network.num_classes if names is None else names)
    return network.eval()


def _read(source: Path) -> _Checkpoint:
    """The tensors of a file or folder, and what the folder says of them."""
    config: dict[str, Any] = {}
    path = source
    if source.is_dir():
        path = source / "model.safetensors"
        try:
            config = json.loads((source / "config.json").read_text(encoding="utf-8"))
            model = config["_model_class"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{source} is no folder that segmentation-models-pytorch saved (no config.json with _model_class)"
            ) from error
        if model != "PAN":
            raise UserError(f"{source} holds a {model} of segmentation-models-pytorch; only its PAN can be taken over")
        _refuse_unlike(source, config)
        for name, kind in (("encoder_name", str), ("encoder_output_stride", int)):
            if not isinstance(config.get(name, kind()), kind):
                raise UserError(f"{source / 'config.json'} has {name}={config[name]!r}; save the model again")
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; give a file of weights or a folder saved by segmentation-models-pytorch"
        )
    try:
        if path.suffix == ".safetensors":
            loaded: Any = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged or holds no weights ({type(error).__name__})") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is refused: it is no file of torch.save, or holds more than tensors, which could run code when it"
            " is loaded; save model.state_dict() instead of the model"
        ) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in loaded.items()
    ):
        raise UserError(f"{path} holds no state dict (tensors by name); save model.state_dict()")
    return _Checkpoint(path, dict(loaded), config)


def _refuse_unlike(source: Path, config: dict[str, Any]) -> None:
    """Refuse settings of theirs that the network here has no option for."""
    expected = {"encoder_depth": 5, "decoder_interpolation": "bilinear", "upsampling": 4}
    for name, value in expected.items():
        if config.get(name, value) != value:
            raise UserError(f"{source} has {name}={config[name]!r}; only {value!r} can be taken over")


def _network_weights(checkpoint: _Checkpoint) -> dict[str, Tensor]:
    """The weights by the names the library gives them, without what a training framework puts before ("model.")."""
    for name in checkpoint.weights:
        if name.endswith(REQUIRED[0]):
            prefix = name.removesuffix(REQUIRED[0])
            weights = {
                key.removeprefix(prefix): value
                for key, value in checkpoint.weights.items()
                if key.startswith(prefix) and not key.startswith(f"{prefix}classification_head.")
            }
            if REQUIRED[1] in weights and weights[REQUIRED[1]].ndim == 4:
                return weights
    some = ", ".join(list(checkpoint.weights)[:3])
    raise UserError(
        f"{checkpoint.path} holds no PAN of segmentation-models-pytorch: {' or '.join(REQUIRED)} is missing or no"
        f" convolution (it has {some}, …)"
    )


def _split_binary(weights: dict[str, Tensor]) -> None:
    """Two logits for one: 0 for the background, theirs for the object."""
    for name in weights.keys() & {"segmentation_head.0.weight", "segmentation_head.0.bias"}:
        weights[name] = torch.cat([torch.zeros_like(weights[name]), weights[name]])


def _renamed(name: str, universal: bool) -> str:
    """Our name of one of their weights; an unknown one keeps its own."""
    encoder = "encoder.model." if universal else "encoder."
    if name.startswith(encoder):
        return "backbone.body." + name.removeprefix(encoder)
    for theirs, ours in PARTS.items():
        for their_layer, our_layer in (("conv", "0"), ("bn", "1")):
            prefix = f"{theirs}.{their_layer}."
            if name.startswith(prefix):
                return f"{ours}.{our_layer}.{name.removeprefix(prefix)}"
    return name.replace("segmentation_head.0.", "head.")
