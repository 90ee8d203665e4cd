"""The backbone: feature maps at 1/4, 1/8, 1/16 and 1/32 of any timm model that has them, at a chosen output stride.

At output stride 16 or 8 the deep stages stop shrinking the map and dilate their convolutions instead (Yu and Koltun
2016); their maps then all have that stride. timm keeps the first convolution of such a stage at the dilation of the
stage before it, which is the "dilation 2 from block res5b on" of the PAN paper.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError, nearest
from .blocks import Norm, convert_norms
from .same_padding import make_borders_constant
from .weights import find_weights, read_weights, share_taken

STRIDES = (4, 8, 16, 32)
LEAST_SHARE = 0.5
"""The share of a backbone's parameters that a file of weights has to hold."""
REFUSALS = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What timm and PyTorch raise, in no common way, where a model cannot do what is asked of it."""


class Backbone(nn.Module):
    """Feature maps of a timm model: N×in_channels×H×W → four maps, fine to coarse, for any H and W ≥ 1.

    Its batch norms are `Norm`s, so that it trains on a single small image, too.

    Args:
        name: of the timm model, with or without the tag of its weights ("resnet101c", "resnet18.a1_in1k").
        output_stride: 8, 16 or 32; the image is never shrunk further.
        in_channels: of the images.
        pretrained: load its ImageNet weights (see `weights`), or those of a local file (its path).
        dilate_first: dilate the first convolution of a stage that does not shrink, too, for weights that were trained
            so elsewhere; ResNets only.

    Attributes:
        name, in_channels: as given.
        channels: of the four maps.
        size_divisor: images are extended to a multiple of this by repeating their right and lower border; 1 for usual
            convolutional networks, 32 for those that cut the image into patches and would drop what is over, and for
            those with TensorFlow's padding, which is constant for such images alone (see `same_padding`).
        mean, std: of the images the weights were trained on, one value a channel on the scale 0 … 1.

    Raises:
        UserError: an unknown model; one that lacks the four maps, the output stride or freedom of image size; weights
            that cannot be had.
    """

    def __init__(
        self,
        name: str,
        output_stride: int,
        in_channels: int,
        pretrained: bool | str = False,
        dilate_first: bool = False,
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            hint = nearest(name, timm.list_models())
            raise UserError(f"no timm model is called '{name}'.{hint if len(hint) < 200 else ''}")
        options: dict[str, Any] = {"in_chans": in_channels, "out_indices": _indices(name)}
        if output_stride != 32:  # what every model has; not all know the option
            options["output_stride"] = output_stride
        body, options = _of_any_size(name, output_stride, options)
        if pretrained:
            body = _with_weights(name, pretrained, options)
        if dilate_first:
            _dilate_first(body, name, output_stride)
        same_padded = make_borders_constant(body)
        self.size_divisor = 32 if same_padded or _refusal(body, (1, 1), in_channels, 32) is not None else 1
        self.body: nn.Module = convert_norms(body).train()
        if not pretrained:
            _open_branches(self.body)
        self.name, self.in_channels = name, in_channels
        self.channels: list[int] = body.feature_info.channels()
        config = body.pretrained_cfg
        self.mean = _per_channel(config["mean"], in_channels)
        self.std = _per_channel(config["std"], in_channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """N×in_channels×H×W → the maps at 1/4, 1/8, 1/16, 1/32 (none smaller than 1/output_stride)."""
        if self.size_divisor > 1:
            height, width = images.shape[-2:]
            more_height, more_width = (self.extended(length) - length for length in (height, width))
            images = F.pad(images, (0, more_width, 0, more_height), mode="replicate")
        return _maps(self.body, images)

    def extended(self, length: int) -> int:
        """A height or width, rounded up to a multiple of `size_divisor`."""
        return (length + self.size_divisor - 1) // self.size_divisor * self.size_divisor


def _maps(body: nn.Module, images: Tensor) -> list[Tensor]:
    maps: list[Tensor] = body(images)
    if str(getattr(body, "output_fmt", "NCHW")).endswith("NHWC"):  # some transformers keep channels last
        return [m.permute(0, 3, 1, 2) for m in maps]
    return maps


def _indices(name: str) -> tuple[int, ...]:
    """Which of the model's feature maps have the strides 4, 8, 16 and 32, the deepest where several have one."""
    try:
        with torch.device("meta"):  # shapes without values: costs nothing
            model: Any = timm.create_model(name, features_only=True)
    except REFUSALS as error:
        raise UserError(f"backbone '{name}' gives no feature maps ({_reason(error)}); choose another") from error
    strides = [entry["reduction"] for entry in model.feature_info.info]
    if not set(STRIDES) <= set(strides):
        have = ", ".join(f"1/{stride}" for stride in sorted(set(strides)))
        raise UserError(f"backbone '{name}' has feature maps at {have}, but 1/4, 1/8, 1/16 and 1/32 are needed")
    return tuple(max(i for i, have in enumerate(strides) if have == stride) for stride in STRIDES)


def _of_any_size(name: str, output_stride: int, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The model without weights and the options that made it, found to work on an image it was not made for."""
    first: str | None = None
    # Windowed transformers take images of any size if asked to; the other models do not know the option.
    for attempt in (options, options | {"strict_img_size": False}):
        try:
            body = timm.create_model(name, features_only=True, **attempt).eval()
        except REFUSALS as error:
            refusal: str | None = _reason(error)
        else:
            refusal = _refusal(body, (32, 512), options["in_chans"], output_stride)
            if refusal is None:
                return body, attempt
        first = first or refusal
    raise UserError(
        f"backbone '{name}' does not work at output stride {output_stride} for images of any size ({first});"
        " try output stride 32 or a convolutional backbone"
    )


def _refusal(body: nn.Module, size: tuple[int, int], in_channels: int, output_stride: int) -> str | None:
    """Why a model in evaluation mode does not give its four maps of an image of this size, or None if it does."""
    expected = [tuple(-(-length // min(stride, output_stride)) for length in size) for stride in STRIDES]
    try:
        with torch.no_grad():
            sizes = [tuple(m.shape[-2:]) for m in _maps(body, torch.zeros(1, in_channels, *size))]
    except REFUSALS as error:
        return _reason(error)
    return None if sizes == expected else f"its maps of {size[0]}×{size[1]} pixels have the sizes {sizes}"


def _with_weights(name: str, pretrained: bool | str, options: dict[str, Any]) -> Any:
    """The model with its ImageNet weights, or those of the file `pretrained`, in evaluation mode."""
    source = f"from {pretrained}" if isinstance(pretrained, str) else "from the hub"
    try:
        weights = read_weights(pretrained) if isinstance(pretrained, str) else find_weights(name)
        overlay = None if weights is None else {"state_dict": dict(weights)}  # timm takes some out
        with _quiet():
            body = timm.create_model(
                name, features_only=True, pretrained=True, pretrained_cfg_overlay=overlay, **options
            )
        if weights is not None and share_taken(body, weights) < LEAST_SHARE:  # timm takes what has the right name
            raise ValueError("it holds next to none of the backbone's tensors")
    except (OSError, UnpicklingError, *REFUSALS) as error:
        raise UserError(
            f"cannot load the pre-trained weights of backbone '{name}' {source} ({_reason(error)});"
            " use pretrained=false, or pretrained=FILE with weights of this backbone saved before"
        ) from error
    return body.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the hub client from printing each of its attempts, and timm the names of the classifier that is not used."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "timm")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _open_branches(body: nn.Module) -> None:
    """Start the last norm of a residual branch at weight 0.2 where timm starts it at 0 (Goyal et al. 2017).

    The branch still adds little at first, which is the point of 0, but the gradient reaches what is before the norm
    from the first step on.
    """
    for norm in body.modules():
        if isinstance(norm, Norm) and not norm.weight.any():
            nn.init.constant_(norm.weight, 0.2)


def _dilate_first(body: nn.Module, name: str, output_stride: int) -> None:
    """Give all convolutions of the stages that do not shrink the dilation of the stage."""
    stages = {"layer3": 16 // output_stride, "layer4": 32 // output_stride}
    children = dict(body.named_children())
    if not stages.keys() <= children.keys():
        raise UserError(f"dilate_first is for ResNets, and backbone '{name}' is none")
    for stage, dilation in stages.items():
        for convolution in children[stage].modules():
            if isinstance(convolution, nn.Conv2d) and dilation > 1:
                convolution.dilation = (dilation, dilation)
                convolution.padding = tuple(size // 2 * dilation for size in convolution.kernel_size)


def _reason(error: Exception) -> str:
    """The first line of an error that is no heading, its kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.endswith(":")), type(error).__name__)


def _per_channel(values: tuple[float, ...], in_channels: int) -> tuple[float, ...]:
    """The statistics of RGB for images of three channels, for others their mean in every channel."""
    if in_channels == len(values):
        return tuple(float(value) for value in values)
    return (sum(values) / len(values),) * in_channels
