"""The network as an ONNX graph: images in, labels and logits out, for any batch and any size from 32×32 on."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import onnx
import torch
from torch import Tensor, nn

from ..artifacts.onnx_file import INPUT, LABELS, SCORES
from ..artifacts.onnx_weights import Folding, encode
from ..errors import UserError
from ..inference.tta import LEAST
from ..models import SegmentationModel
from ..models.attention import attention_maps
from ..models.blocks import Resize
from ..models.network import without_missing
from .folding import find_folding, fold
from .program import trace
from .replacements import Purpose, replace_layers
from .time_limit import TimeIsUp, time_limit

OPSET = 18
"""What ONNX Runtime has known since 1.14 (2023)."""
TIME_LIMIT = 120
"""Seconds that the exporter may compute."""


class PixelsToLabels(nn.Module):
    """All there is between an image and its label map, in one module.

    Args:
        network: is changed, so a copy nobody else uses.
        folding: of its layers.
        cheaper: compute the convolutions that gain by it with fewer multiplications.
        explains: its attention comes out, too.
    """

    def __init__(self, network: SegmentationModel, folding: Folding, cheaper: bool, explains: bool) -> None:
        super().__init__()
        fold(network, folding)
        self.unscaled = folding.pixels is not None
        self.folded = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        purposes: set[Purpose] = {"any size", "onnx"}
        replace_layers(network, purposes | {"speed"} if cheaper else purposes)
        for module in network.modules():
            if hasattr(module, "inplace"):  # in place on a part of a map becomes a copy of the whole in the graph
                setattr(module, "inplace", False)  # noqa: B010  # not every module has it
        self.network, self.explains = network, explains
        self.mean: Tensor
        self.std: Tensor
        scale = network.bands.scale
        self.register_buffer("mean", torch.tensor(network.mean).view(1, -1, 1, 1) * scale)
        self.register_buffer("std", torch.tensor(network.std).view(1, -1, 1, 1) * scale)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """N×H×W×B → labels N×H×W (uint8), coarse logits N×C×h×w (float32), attention in the order of its names.

        Attention and logits are traced one after the other; the exporter keeps once what they have in common.
        """
        height, width = images.shape[1:3]
        values = images.permute(0, 3, 1, 2).float().contiguous()
        pixels = without_missing(values - self.mean, values, self.network.bands)
        pixels = pixels if self.unscaled else pixels / self.std
        logits = self.network.coarse_logits(pixels)
        extended = self.network.backbone.extended(height), self.network.backbone.extended(width)
        full = self.network.upsample(logits, extended)[..., :height, :width]
        attention = attention_maps(self.network, pixels).values() if self.explains else ()
        return full.argmax(dim=1).to(torch.uint8), logits, *attention


def _example(network: SegmentationModel, count: int) -> Tensor:
    """Black images as a network takes them, count×64×96×B."""
    return torch.zeros(count, 64, 96, len(network.bands), dtype=getattr(torch, network.bands.dtype))


class Ensemble(nn.Module):
    """Several networks as one: the logarithm of their mean probability, on the finest grid that one of them has.

    It computes what `inference.ensemble.EnsembleEngine` does, and has what `verify` asks of a network.

    Args:
        networks: of the same classes, size divisor and `align_corners`.
        members: the same as they go into a graph; without them the networks are run as they are.
    """

    def __init__(self, networks: Sequence[SegmentationModel], members: Sequence[PixelsToLabels] = ()) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks if not members else ())
        self.members = nn.ModuleList(members)
        self.resize = Resize(networks[0].align_corners)
        self.extended = networks[0].backbone.extended
        self.bands, self.mean, self.std = networks[0].bands, networks[0].mean, networks[0].std
        example = _example(networks[0], 1)
        with torch.no_grad():
            grids = [own.shape[-1] for own in self._logits(example)]
        self.finest = grids.index(max(grids))
        self.coarser = [grid < max(grids) for grid in grids]

    def _logits(self, images: Tensor) -> list[Tensor]:
        if len(self.members):
            return [member(images)[1] for member in self.members]
        networks = cast(list[SegmentationModel], self.networks)
        return [network.coarse_logits(network.normalise(images)) for network in networks]

    def normalise(self, images: Tensor) -> Tensor:
        """Images N×H×W×B as they are: each network normalises in its own way."""
        return images

    def coarse_logits(self, images: Tensor) -> Tensor:
        """N×H×W×B → logarithms of mean probabilities N×C×h×w."""
        every = self._logits(images)
        size = every[self.finest].shape[-2:]
        logits = [self.resize(own, size) if coarser else own for own, coarser in zip(every, self.coarser, strict=True)]
        mean = torch.stack([own.softmax(1) for own in logits]).mean(0)
        return mean.clamp_min(LEAST).log()

    def full(self, images: Tensor, logits: Tensor) -> Tensor:
        """Coarse logits at the size of the images: N×C×H×W."""
        height, width = images.shape[1:3]
        whole: Tensor = self.resize(logits, (self.extended(height), self.extended(width)))
        return whole[..., :height, :width]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        """N×H×W×B → in a graph labels N×H×W (uint8) and coarse logits; else logits N×C×H×W."""
        logits = self.coarse_logits(images)
        full = self.full(images, logits)
        return (full.argmax(dim=1).to(torch.uint8), logits) if len(self.members) else full


class Graph(NamedTuple):
    """A network as an ONNX graph.

    Attributes:
        model: the graph.
        training: what it takes to train the network again, see `onnx_weights.encode`.
        attention: names of the attention maps that come out.
    """

    model: onnx.ModelProto
    training: dict[str, Any]
    attention: tuple[str, ...] = ()


def build_graph(network: SegmentationModel, cheaper: bool = True, explains: bool = False) -> Graph:
    """The ONNX graph of a network.

    Args:
        network: stays as it is.
        cheaper: compute the convolutions that gain by it with fewer multiplications (see `winograd` and `narrow`); not
            for a graph that is to be quantised, whose products are cheap and whose precision is not enough.
        explains: the network's attention comes out, too, by the names of `attention_maps`.

    Raises:
        UserError: the network cannot be exported, or has no attention.
    """
    member = _Member(network, cheaper, explains)
    parts = f"{network.backbone.name} with {type(network.context).__name__} and {type(network.decoder).__name__}"
    model = _to_onnx(member.whole, network, parts, member.attention)
    return Graph(model, encode(member.own, member.folding, member.whole.folded, model), tuple(member.attention))


def build_ensemble(networks: Sequence[SegmentationModel]) -> onnx.ModelProto:
    """The ONNX graph of several networks of the same classes, whose probabilities are averaged, see `Ensemble`.

    Raises:
        UserError: one of them cannot be exported.
    """
    members = [_Member(network, cheaper=True).whole for network in networks]
    return _to_onnx(Ensemble(networks, members).eval(), networks[0], "the ensemble")


class _Member:
    """A network made ready for a graph."""

    def __init__(self, network: SegmentationModel, cheaper: bool, explains: bool = False) -> None:
        bands = network.bands
        if network.backbone.in_channels != len(bands):
            raise UserError(
                f"the network takes {network.backbone.in_channels} channels, and its bands= say {bands}; set them"
            )
        self.own = copy.deepcopy(network).cpu().eval()
        self.folding = find_folding(self.own)
        self.attention: list[str] = []
        if explains:
            with torch.inference_mode():
                self.attention = list(attention_maps(self.own, torch.zeros(1, len(bands), 64, 64)))
            if not self.attention:
                raise UserError(
                    "explain=True keeps FPA's attention and GAU's gates, and this network has none; leave it out"
                )
        self.whole = PixelsToLabels(copy.deepcopy(self.own), self.folding, cheaper, explains).eval()


def _to_onnx(
    whole: nn.Module, network: SegmentationModel, parts: str, attention: Sequence[str] = ()
) -> onnx.ModelProto:
    """A module from pixels to labels and logits as a graph.

    Args:
        whole: which.
        network: has its classes and its bands.
        parts: what the module is called in messages.
        attention: the names of what it gives besides.

    Raises:
        UserError: it cannot be exported.
    """
    try:
        with _quiet(), time_limit(TIME_LIMIT):
            images = _example(network, 2)
            program = trace(whole, images, (1, 2))
            exported = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=[LABELS, SCORES, *attention],
                opset_version=OPSET,
                verbose=False,
            )
    except (Exception, TimeIsUp) as error:  # the exporter fails in as many ways as there are networks
        cause: BaseException = error
        while cause.__cause__ is not None:  # the first that went wrong says what; those above, where
            cause = cause.__cause__
        text = str(cause).strip()
        reason = text.splitlines()[0] if text else type(cause).__name__
        if "TORCH_LOGS" in text:  # advice on how to debug PyTorch follows
            reason = "it computes something else for some sizes of images, and a file is for all"
        raise UserError(
            f"{parts} cannot be exported: {reason}; choose another backbone or other parts (convolutional ones can be"
            " exported)"
        ) from error
    assert exported is not None
    model = exported.model_proto
    _tidy(model, network.num_classes, len(network.bands))
    return model


def _tidy(model: onnx.ModelProto, classes: int, bands: int) -> None:
    """Name the sizes, and leave out what only the exporter's authors need: where in the source each node is from."""
    model.producer_name = "pyramid-attention"
    model.doc_string = "Semantic segmentation; see the metadata."
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.name = "pyramid-attention"
    sizes: dict[str, tuple[str | int, ...]] = {
        INPUT: ("batch", "height", "width", bands),
        LABELS: ("batch", "height", "width"),
        SCORES: ("batch", classes, "score_height", "score_width"),
    }
    ours = [dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim]
    for value in model.graph.output[2:]:  # maps of channels, and of places
        name, channels = value.name, value.type.tensor_type.shape.dim[1].dim_value
        is_map = len(value.type.tensor_type.shape.dim) == 4
        sizes[name] = ("batch", channels, *((f"{name}_height", f"{name}_width") if is_map else ()))
    names = {theirs: str(name) for theirs, name in zip(ours, sizes[INPUT], strict=True) if theirs}
    for value in (*model.graph.input, *model.graph.output):
        for dim, size in zip(value.type.tensor_type.shape.dim, sizes[value.name], strict=True):
            dim.Clear()
            if isinstance(size, str):
                dim.dim_param = size
            else:
                dim.dim_value = size
    # The sizes in between stay: of two maps that it knows to be of one size, a runtime adds one in passing.
    for value in model.graph.value_info:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), dim.dim_param)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and warnings from the user; what goes wrong is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
