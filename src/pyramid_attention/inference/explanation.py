"""What a segmentation rests on: a network's attention, and the image regions that a class's probability needs.

The second asks any engine: parts of the image are covered in turn, and where the probability of a class falls, there
lies what it rests on (occlusion: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014;
here for all pixels that the class has, as they are segmented without a cover).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Model, load_model
from ..classes import ClassTable
from ..errors import UserError, is_installed
from ..images import as_reader
from .engines import Engine
from .engines.onnxruntime import OnnxRuntimeEngine
from .segmenter import Segmenter
from .upsample import best_labels

if TYPE_CHECKING:
    from ..models import SegmentationModel

LARGEST = 4
"""Classes for which relevance is found: those with the most pixels."""
CELLS = 12
"""Covers along the longer side of an image; each is two cells wide, so that neighbours overlap by half."""
BATCH = 8


@dataclass(frozen=True)
class Explanation:
    """What a segmentation rests on.

    Attributes:
        image: as the network was given it, H×W×3 uint8.
        labels: its label map, H×W uint8.
        classes: what the labels mean.
        maps: the network's attention by name, see `models.attention.attention_maps`, of this one image.
        class_of_channels: the class for which each channel of the decoder counts most; empty where nobody knows.
        relevance: by class id, how far the class's mean probability falls where a cell of the image is covered, on a
            grid of cells.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    classes: ClassTable
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    class_of_channels: Sequence[int] = ()
    relevance: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)


def explain(segmenter: Segmenter, image: NDArray[np.uint8], model: Model | SegmentationModel) -> Explanation:
    """Find what the segmentation of an image rests on.

    Args:
        segmenter: of the model.
        image: H×W×3 uint8; not segmented by tiles, but resized to the model's `max_size`.
        model: whose attention is shown: what an exported file keeps of it, or else its network's, where PyTorch is
            installed and its weights can be had.

    Raises:
        UserError: memory runs out.
    """
    plan = segmenter.plan(*image.shape[:2])
    pixels = plan.prepare(as_reader(image, segmenter.info.bands))
    height, width = plan.resized
    logits = segmenter.engine(pixels[None])[0]
    labels = best_labels(logits, *plan.axes(logits.shape[1:], plan.resized))
    counts = np.bincount(labels.ravel(), minlength=256)[: len(segmenter.classes)]
    shown = [label for label in np.argsort(-counts, kind="stable").tolist() if counts[label]][:LARGEST]
    relevance = occlusion(segmenter.engine, pixels, shown)
    step = max(1, -(-max(pixels.shape[:2]) // CELLS))
    rows, columns = -(-height // step), -(-width // step)
    maps, owners = attention_of(segmenter, pixels) or _network_attention(model, pixels)
    return Explanation(
        pixels[:height, :width],
        labels,
        segmenter.classes,
        maps,
        owners,
        {label: cells[:rows, :columns] for label, cells in relevance.items()},
    )


def attention_of(
    segmenter: Segmenter, pixels: NDArray[np.uint8]
) -> tuple[dict[str, NDArray[np.float32]], list[int]] | None:
    """The attention that an exported file keeps, by name, and the classes of its channels.

    Args:
        segmenter: of the file.
        pixels: padded for the engine, H×W×3 uint8.

    Returns:
        None where it keeps none.
    """
    if not isinstance(segmenter.engine, OnnxRuntimeEngine):
        return None
    maps = segmenter.engine.attention(pixels[None])
    owners = list(segmenter.info.class_of_channels)
    return ({name: found[0] for name, found in maps.items()}, owners) if maps else None


def _network_attention(
    model: Model | SegmentationModel, pixels: NDArray[np.uint8]
) -> tuple[dict[str, NDArray[np.float32]], list[int]]:
    """The attention maps of a network, by name, and the classes of its channels; none where it cannot be had."""
    if not all(map(is_installed, ("torch", "timm"))):
        return {}, []
    import torch

    from ..models import SegmentationModel
    from ..models.attention import attention_maps, class_of_channels

    try:
        network = model if isinstance(model, SegmentationModel) else load_model(model)
    except UserError:  # an exported file of 8 bits, or another program's
        return {}, []
    with torch.inference_mode():
        maps = attention_maps(network.eval(), network.normalise(torch.from_numpy(pixels[None])))
    owners = class_of_channels(network).tolist() if maps and network.head is not None else []
    return {name: found[0].numpy() for name, found in maps.items()}, owners


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The softmax over the classes of N×C×h×w logits."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: NDArray[np.float32] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return softmax


def occlusion(
    engine: Engine, image: NDArray[np.uint8], labels: Sequence[int], cells: int = CELLS
) -> dict[int, NDArray[np.float32]]:
    """How far the mean probability of classes falls where parts of the image are covered by its mean colour.

    Args:
        engine: any.
        image: padded for the engine, H×W×3 uint8.
        labels: classes; one that no point of the engine's grid has is left out.
        cells: along the longer side.

    Returns:
        by class, rows×columns float32: of each cell the mean over the covers that hide it; below 0 where the class
        becomes more probable.

    Raises:
        UserError: as the engine.
    """
    height, width = image.shape[:2]
    step = max(1, -(-max(height, width) // cells))
    rows, columns = -(-height // step), -(-width // step)
    colour = image.mean(axis=(0, 1)).astype(np.uint8)
    free = probabilities(engine(image[None]))[0]
    regions = {label: free.argmax(axis=0) == label for label in labels}
    regions = {label: region for label, region in regions.items() if region.any()}
    falls = {label: np.zeros((rows, columns)) for label in regions}
    covers = np.zeros((rows, columns))
    places = [(row, column) for row in range(-1, rows) for column in range(-1, columns)]
    for begin in range(0, len(places), BATCH):
        group = places[begin : begin + BATCH]
        batch = np.repeat(image[None], len(group), axis=0)
        parts = [(slice(max(0, row), row + 2), slice(max(0, column), column + 2)) for row, column in group]  # in cells
        for covered, (down, across) in zip(batch, parts, strict=True):
            covered[down.start * step : down.stop * step, across.start * step : across.stop * step] = colour
        for found, part in zip(probabilities(engine(batch)), parts, strict=True):
            covers[part] += 1
            for label, region in regions.items():
                falls[label][part] += free[label][region].mean() - found[label][region].mean()
    return {label: (fall / covers).astype(np.float32) for label, fall in falls.items()}
