"""The named architectures, and `build_model`, which makes any of them or a free combination of their parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import Field, PositiveInt

from ..errors import UserError, nearest
from .backbone import Backbone
from .blocks import Head, Resize
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
from .parts import Context, Decoder, check_class, check_part, import_path, option_names, own_parts, to_json, validate

T = TypeVar("T")


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

CONTEXTS: dict[str, type[Context]] = {
    "fpa": FPA,
    "pyramid_attention": PyramidAttentionContext,
    "none": NoContext,
    "parsenet": ParseNetContext,
    "se": SEContext,
    "ppm": PPM,
    "aspp": ASPP,
    "global_pooling": GlobalPooling,
}
"""A row a context; its options are its class's `Options`."""

DECODERS: dict[str, type[Decoder]] = {
    "gau": GAUDecoder,
    "bilinear": BilinearDecoder,
    "fcn": FCNDecoder,
    "unet": UNetDecoder,
    "deeplab": DeepLabDecoder,
    "dfn": DFNDecoder,
}
"""A row a decoder; its options are its class's `Options`."""


@dataclass(frozen=True)
class NetworkOptions:
    """What every network has, whatever its parts; the arguments of `build_model` of the same names."""

    num_classes: Annotated[int, Field(ge=1, le=255)]
    output_stride: Literal[8, 16, 32]
    dilate_first: bool
    in_channels: PositiveInt
    align_corners: bool
    pretrained: bool | str


def list_architectures() -> list[str]:
    """The names of the architectures `build_model` knows."""
    return list(ARCHITECTURES)


def list_options(
    architecture: str | None = "pan",
    context: str | type[Context] | None = None,
    decoder: str | type[Decoder] | None = None,
) -> list[str]:
    """The names of the options that an architecture, or its parts where others are named, have.

    Raises:
        UserError: a name that does not exist.
    """
    chosen = _choose_parts(architecture, context, decoder, {})
    return sorted({name for part in chosen for name in option_names(part.Options)} - set(option_names(NetworkOptions)))


def build_model(
    architecture: str | None = "pan",
    *,
    num_classes: int,
    backbone: str = "resnet18",
    pretrained: bool | str | PathLike[str] = False,
    output_stride: int = 16,
    dilate_first: bool = False,
    in_channels: int = 3,
    align_corners: bool = False,
    context: str | type[Context] | None = None,
    decoder: str | type[Decoder] | None = None,
    parts: Iterable[type | str] = (),
    **options: Any,
) -> SegmentationModel:
    """Make a network, in training mode.

    Args:
        architecture: one of `list_architectures()`; says which context and decoder are used where they are not named.
            None where both are.
        num_classes: 1 to 255.
        backbone: any timm model with feature maps at 1/4 … 1/32.
        pretrained: start the backbone from its ImageNet weights (see `weights`), or from those of a file.
        output_stride: 8, 16 or 32; dilate_first: see `Backbone`.
        in_channels: of the images.
        align_corners: of every bilinear resampling.
        context, decoder: for a combination of one's own: the name of a part, or a class of one's own (see `parts`).
        parts: classes of one's own that `context` and `decoder` name by "package.module:Class", as the `spec` of a
            network does; or such paths, which are then imported.
        options: those of the context and the decoder (`FPAOptions`, `GAUOptions`, …); one that both have goes to both.

    Raises:
        UserError: a name or option that does not exist (with the nearest that do), a value out of range, a backbone
            that cannot do it, weights that cannot be had, a class that is no part.
    """
    context_class, decoder_class = _choose_parts(architecture, context, decoder, own_parts(parts))
    names = _name(context_class, CONTEXTS), _name(decoder_class, DECODERS)
    known = {*option_names(context_class.Options), *option_names(decoder_class.Options)}
    for name in options:
        if name not in known:
            raise UserError(f"{' and '.join(names)} have no option '{name}'.{nearest(name, known)}")
    given = {
        "num_classes": num_classes,
        "output_stride": output_stride,
        "dilate_first": dilate_first,
        "in_channels": in_channels,
        "align_corners": align_corners,
        "pretrained": fspath(pretrained) if isinstance(pretrained, PathLike) else pretrained,
    }
    common = validate(NetworkOptions, given)
    context_options: Any = validate(context_class.Options, options | vars(common))
    decoder_options: Any = validate(decoder_class.Options, options | vars(common))

    body = Backbone(backbone, common.output_stride, common.in_channels, common.pretrained, common.dilate_first)
    top = check_part("context", context_class(body.channels[-1], context_options), Context)
    back = check_part("decoder", decoder_class(body.channels, top.out_channels, decoder_options), Decoder)
    head = None if back.gives_logits else Head(back.out_channels, common.num_classes)
    network = SegmentationModel(body, top, back, head)
    network.upsample = Resize(common.align_corners)
    network.spec = {
        "architecture": architecture if architecture and ARCHITECTURES[architecture][:2] == names else None,
        "backbone": backbone,
        "context": names[0],
        "decoder": names[1],
        **to_json(context_options),
        **to_json(decoder_options),
        **to_json(common),
    }
    return network


def PAN(num_classes: int, backbone: str = "resnet18", **options: Any) -> SegmentationModel:
    """The Pyramid Attention Network: `build_model("pan", …)`."""
    return build_model("pan", num_classes=num_classes, backbone=backbone, **options)


def describe(spec: Mapping[str, Any]) -> str:
    """What a network is, in words: the architecture and its paper, or the parts that somebody combined."""
    if spec["architecture"] is not None:
        return f"{spec['architecture']} ({ARCHITECTURES[spec['architecture']].paper})"
    context, decoder = (spec[part].rpartition(":")[2] for part in ("context", "decoder"))
    return f"{context} with {decoder} decoder"


def _choose_parts(
    architecture: str | None,
    context: str | type[Context] | None,
    decoder: str | type[Decoder] | None,
    own: Mapping[str, type],
) -> tuple[type[Context], type[Decoder]]:
    """The classes of a network's parts."""
    if architecture is not None:
        named = _choose("architecture", architecture, ARCHITECTURES)
        context, decoder = context or named.context, decoder or named.decoder
    if context is None or decoder is None:
        raise UserError("without an architecture both context and decoder must be named")
    return _part("context", context, CONTEXTS, own), _part("decoder", decoder, DECODERS, own)


def _part(what: str, given: str | type[T], known: Mapping[str, type[T]], own: Mapping[str, type]) -> type[T]:
    """The class of a part that is named or given."""
    if isinstance(given, str) and ":" in given:  # of somebody's own
        found = own.get(given) or own.get(given.rpartition(":")[2])
        if found is None:
            raise UserError(
                f"the {what} {given} is somebody's own, and code is not imported because a file names it; if you trust"
                f" it, name it yourself: load_model(…, parts=['{given}'])"
            )
        given = found
    if isinstance(given, str):
        return _choose(what, given, known)
    check_class(what, given)
    return given


def _name(part: type, known: Mapping[str, type]) -> str:
    """The name of a part: that of its row, or where its class lies."""
    return next((name for name, row in known.items() if row is part), import_path(part))


def _choose(what: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise UserError(f"no {what} is called '{name}'.{nearest(name, known)}")
    return known[name]
