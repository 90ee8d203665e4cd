"""The named architectures, and `build_model`, which makes any of them or a free combination of their parts."""

from __future__ import annotations

import inspect
import typing
from os import PathLike, fspath
from typing import Any, NamedTuple

import pydantic
from torch import nn

from ..errors import UserError, nearest
from .backbone import Backbone
from .context.aspp import ASPP
from .context.fpa import FPA
from .context.global_pooling import GlobalPooling
from .context.none import NoContext
from .context.parsenet import ParseNetContext
from .context.ppm import PPM
from .context.pyramid_attention import PyramidAttentionContext
from .context.se import SEContext
from .decoder.bilinear import BilinearDecoder
from .decoder.deeplab import DeepLabDecoder
from .decoder.dfn import DFNDecoder
from .decoder.fcn import FCNDecoder
from .decoder.gau import GAUDecoder
from .decoder.unet import UNetDecoder
from .network import SegmentationModel


class Architecture(NamedTuple):
    """A named pair of a context and a decoder, and the paper it is from (authors and place, a colon, the title)."""

    context: str
    decoder: str
    paper: str


ARCHITECTURES = {
    "pan": Architecture("fpa", "gau", "Li et al., BMVC 2018: Pyramid Attention Network for Semantic Segmentation"),
    "baseline": Architecture("none", "bilinear", "Li et al., BMVC 2018: its dilated backbone alone"),
    "fcn": Architecture(
        "none", "fcn", "Long et al., CVPR 2015: Fully Convolutional Networks for Semantic Segmentation"
    ),
    "unet": Architecture("none", "unet", "Ronneberger et al., MICCAI 2015: U-Net"),
    "parsenet": Architecture("parsenet", "bilinear", "Liu et al., arXiv 2015: ParseNet: Looking Wider to See Better"),
    "senet": Architecture("se", "bilinear", "Hu et al., CVPR 2018: Squeeze-and-Excitation Networks"),
    "pspnet": Architecture("ppm", "bilinear", "Zhao et al., CVPR 2017: Pyramid Scene Parsing Network"),
    "deeplabv3": Architecture("aspp", "bilinear", "Chen et al., arXiv 2017: Rethinking Atrous Convolution"),
    "deeplabv3plus": Architecture(
        "aspp", "deeplab", "Chen et al., ECCV 2018: Encoder-Decoder with Atrous Separable Convolution"
    ),
    "dfn": Architecture("global_pooling", "dfn", "Yu et al., CVPR 2018: Learning a Discriminative Feature Network"),
}
"""By name, in the order of the comparison."""

CONTEXTS: dict[str, type[nn.Module]] = {
    "fpa": FPA,
    "pyramid_attention": PyramidAttentionContext,
    "none": NoContext,
    "parsenet": ParseNetContext,
    "se": SEContext,
    "ppm": PPM,
    "aspp": ASPP,
    "global_pooling": GlobalPooling,
}

DECODERS: dict[str, type[nn.Module]] = {
    "gau": GAUDecoder,
    "bilinear": BilinearDecoder,
    "fcn": FCNDecoder,
    "unet": UNetDecoder,
    "deeplab": DeepLabDecoder,
    "dfn": DFNDecoder,
}


class Network(typing.TypedDict):
    """What every architecture has in common, with its types; checked like the options of the parts."""

    num_classes: typing.Annotated[int, pydantic.Field(ge=1, le=255)]
    output_stride: typing.Literal[8, 16, 32]
    dilate_first: bool
    in_channels: pydantic.PositiveInt
    align_corners: bool
    pretrained: bool | str


def list_architectures() -> list[str]:
    """The names of the architectures `build_model` knows."""
    return list(ARCHITECTURES)


def list_options(architecture: str = "pan", context: str | None = None, decoder: str | None = None) -> list[str]:
    """The names of the options that an architecture, or its parts under other names, have.

    Raises:
        UserError: a name that does not exist.
    """
    named = _choose("architecture", architecture, ARCHITECTURES)
    parts: tuple[type[nn.Module], ...] = (
        _choose("context", context or named.context, CONTEXTS),
        _choose("decoder", decoder or named.decoder, DECODERS),
    )
    return sorted({name for part in parts for name in _keywords(part)} - set(Network.__annotations__))


def build_model(
    architecture: str = "pan",
    *,
    num_classes: int,
    backbone: str = "resnet18",
    pretrained: bool | str | PathLike[str] = False,
    output_stride: int = 16,
    dilate_first: bool = False,
    in_channels: int = 3,
    align_corners: bool = False,
    context: str | None = None,
    decoder: str | None = None,
    **options: Any,
) -> SegmentationModel:
    """Make a network, in training mode.

    Args:
        architecture: one of `list_architectures()`; says which context and decoder are used where they are not named.
        num_classes: 1 to 255.
        backbone: any timm model with feature maps at 1/4 … 1/32.
        pretrained: start the backbone from its ImageNet weights (see `weights`), or from those of a file.
        output_stride: 8, 16 or 32; dilate_first: see `Backbone`.
        in_channels: of the images.
        align_corners: of every bilinear resampling.
        context, decoder: names, for a combination of one's own.
        options: those of the context and the decoder (`FPA`, `GAUDecoder`, …); one that both have goes to both.

    Raises:
        UserError: a name or option that does not exist (with the nearest that do), a value out of range, a backbone
            that cannot do it, weights that cannot be had.
    """
    named = _choose("architecture", architecture, ARCHITECTURES)
    context = context or named.context
    decoder = decoder or named.decoder
    if isinstance(pretrained, PathLike):
        pretrained = fspath(pretrained)
    common: dict[str, Any] = {
        "num_classes": num_classes,
        "output_stride": output_stride,
        "dilate_first": dilate_first,
        "in_channels": in_channels,
        "align_corners": align_corners,
        "pretrained": pretrained,
    }
    types = typing.get_type_hints(Network, include_extras=True)
    common = {name: _valid(name, value, types[name]) for name, value in common.items()}
    context_class = _choose("context", context, CONTEXTS)
    decoder_class = _choose("decoder", decoder, DECODERS)
    context_options = _options(context_class, options | common)
    decoder_options = _options(decoder_class, options | common)
    known = context_options | decoder_options
    for name in options:
        if name not in known:
            raise UserError(f"{context} and {decoder} have no option '{name}'.{nearest(name, known)}")

    body = Backbone(
        backbone, common["output_stride"], common["in_channels"], common["pretrained"], common["dilate_first"]
    )
    top = context_class(body.channels[-1], **context_options)
    back = decoder_class(body.channels, top.out_channels, **decoder_options)
    names = {"architecture": architecture, "backbone": backbone, "context": context, "decoder": decoder}
    return SegmentationModel(body, top, back, config=names | known | common)


def PAN(num_classes: int, backbone: str = "resnet18", **options: Any) -> SegmentationModel:
    """The Pyramid Attention Network: `build_model("pan", …)`."""
    return build_model("pan", num_classes=num_classes, backbone=backbone, **options)


T = typing.TypeVar("T")


def _choose(what: str, name: str, known: dict[str, T]) -> T:
    if name not in known:
        raise UserError(f"no {what} is called '{name}'.{nearest(name, known)}")
    return known[name]


def _options(part: type[nn.Module], given: dict[str, Any]) -> dict[str, Any]:
    """The options of a part, its keyword-only arguments: those given, checked by their types, and defaults."""
    types = typing.get_type_hints(part.__init__, include_extras=True)
    return {name: _valid(name, given.get(name, default), types[name]) for name, default in _keywords(part).items()}


def _keywords(part: type[nn.Module]) -> dict[str, Any]:
    """The keyword-only arguments of a part, with their defaults."""
    parameters = inspect.signature(part).parameters.items()
    return {name: parameter.default for name, parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def _valid(name: str, value: Any, type_: Any) -> Any:
    """A value as its type has it (a list from JSON becomes a tuple, the text "16" a number)."""
    try:
        return pydantic.TypeAdapter(type_).validate_python(value)
    except pydantic.ValidationError as error:
        raise UserError(f"option {name}={value!r} is not possible: {error.errors()[0]['msg']}") from None
