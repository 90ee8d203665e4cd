"""From a network to the description it is saved with, and back to a network without its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .info import ModelInfo

if TYPE_CHECKING:
    from ..models import SegmentationModel


def describe_network(
    network: SegmentationModel,
    *,
    recipe: Mapping[str, Any] | None = None,
    validation: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    max_size: int | None = None,
) -> ModelInfo:
    """The description of a network, with what is known of it besides; see `ModelInfo`."""
    return ModelInfo(
        network=network.spec or {},
        classes=network.classes,
        bands=network.bands,
        mean=network.mean,
        std=network.std,
        max_size=max_size,
        size_divisor=network.backbone.size_divisor,
        align_corners=network.align_corners,
        recipe=recipe or {},
        validation=validation or {},
        provenance=provenance or {},
    )


def build_described(info: ModelInfo, path: object, parts: Iterable[type | str] = ()) -> SegmentationModel:
    """The network of a description, its weights not those of the saved model yet.

    Args:
        info: the description.
        path: where it is from, for messages.
        parts: own parts that it names, see `build_model`.

    Raises:
        UserError: it describes no network, or one that cannot be built.
    """
    from ..models import build_model

    if not info.network:
        raise UserError(f"{path} does not say how its network is built, so it can be run but not built again")
    try:
        network = build_model(**{**info.network, "pretrained": False}, parts=parts)
        network.spec = dict(info.network)  # with what training started from; the weights are here
        network.classes = info.classes
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except TypeError as error:  # an argument that build_model does not have
        raise UserError(f"{path} describes no network that this version can build ({error})") from error
    network.bands, network.mean, network.std = info.bands, info.mean, info.std
    return network
