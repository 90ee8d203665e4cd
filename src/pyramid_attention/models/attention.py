"""What a network's attention is for given images: FPA's maps and the gates of each Global Attention Upsample.

They are computed here beside the network, by its own parts, so that the network itself has no code for it.
"""

from __future__ import annotations

from torch import Tensor

from .blocks import of_global_average
from .context.fpa import FPA
from .decoder.gau import GAU, GAUDecoder
from .network import SegmentationModel

STRIDES = (16, 8, 4)
"""The strides of the low-level maps, in the order in which GAU joins them; deeper maps have the output stride."""


def attention_maps(network: SegmentationModel, images: Tensor) -> dict[str, Tensor]:
    """The attention of a network in evaluation mode.

    Args:
        network: any; one without FPA or GAU has fewer maps, or none.
        images: normalised, N×C×H×W.

    Returns:
        by name, as far as the network has them:
        "attention": FPA's pixel-level attention, N×1×h×w, the mean over its channels;
        "global": FPA's global branch, N×C, what is added to every pixel;
        "channels_16", "channels_8", "channels_4": the weights of each GAU for the channels of its low-level map, N×C;
        "places_16", …: its weights for places, N×1×h×w, from the coarser map.
    """
    maps: dict[str, Tensor] = {}
    features = network.backbone(images)
    context = network.context
    if isinstance(context, FPA):
        maps["attention"] = context.attention(features[-1]).mean(dim=1, keepdim=True)
        if context.pooled is not None:
            maps["global"] = of_global_average(context.pooled, features[-1]).flatten(1)
    if isinstance(network.decoder, GAUDecoder):
        high = network.decoder.project(context(features[-1]))
        for stride, unit, low in zip(STRIDES, network.decoder.units, reversed(features[:-1]), strict=True):
            assert isinstance(unit, GAU)
            if unit.channel is not None:
                maps[f"channels_{stride}"] = of_global_average(unit.channel, high).flatten(1)
            if unit.spatial is not None:
                maps[f"places_{stride}"] = unit.spatial(high)
            high = unit(low, high)
    return maps


def class_of_channels(network: SegmentationModel) -> Tensor:
    """The class for which each channel of the decoder's map counts most: C class ids.

    A channel counts for a class by the sum of the absolute weights that the head gives it.
    """
    assert network.head is not None, "a decoder that gives logits has no other map"
    return network.head.weight.abs().sum(dim=(2, 3)).argmax(dim=0)
