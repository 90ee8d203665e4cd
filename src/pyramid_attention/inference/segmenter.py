"""The Segmenter: one image in, one Segmentation out, whatever the engine and however large the image.

Evaluation, prediction and everything else that runs a network goes through it, so what is measured is what the user
gets.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..classes import ClassTable
from ..images import read_image, to_image_array
from .engines import Engine
from .options import DEFAULT_MODEL, WHOLE_PIXELS, SegmenterOptions
from .padding import pad
from .tiling import segment_tiles
from .upsample import Axis, best_labels, confidence

if TYPE_CHECKING:
    from ..models import SegmentationModel

Scalar = TypeVar("Scalar", np.uint8, np.float32)
MAX_SIZE = "max_size"
"""The metadata's name for the side to which a model asks larger images to be shrunk."""


@dataclass(frozen=True)
class Segmentation:
    """What a network sees in an image of H×W pixels."""

    labels: NDArray[np.uint8]
    """H×W class ids."""
    image: NDArray[np.uint8]
    """The image itself, H×W×3 RGB, upright."""
    classes: ClassTable
    find_confidence: Callable[[], NDArray[np.float32]] = field(repr=False)
    """Computes `confidence`."""

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """H×W softmax probability of the chosen class, 0 … 1; computed when it is first asked for."""
        return self.find_confidence()

    def overlay(self, alpha: float = 0.5) -> NDArray[np.uint8]:
        """The classes' colours laid over the image: H×W×3 uint8, (1 − alpha) × image + alpha × colour.

        Raises:
            ValueError: alpha outside 0 … 1.
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is the weight of the colours, 0 to 1, not {alpha}")
        colours = Image.fromarray(self.classes.colourise(self.labels))
        return np.array(Image.blend(Image.fromarray(self.image), colours, alpha))


class Segmenter:
    """Segments images of any size ≥ 1×1 with one model.

    Args:
        model: a network (a `SegmentationModel`, which keeps its mode and is run by the torch engine), or an engine.
        options: how it is run; `device`, `precision` and `compile` are a network's, `engine` and `classes` are used
            by `load` alone.
        fields: single fields of `SegmenterOptions`, in place of those of `options`.

    Raises:
        UserError: an option that does not exist or is not possible, or a device that is not there.
    """

    def __init__(
        self, model: Engine | SegmentationModel, options: SegmenterOptions | None = None, **fields: Any
    ) -> None:
        options = SegmenterOptions.of(options, fields)
        torch = sys.modules.get("torch")  # who has a network has imported it
        if torch is not None and isinstance(model, torch.nn.Module):
            from .engines.torch import TorchEngine

            model = TorchEngine(model, options.device, options.precision, options.compile)
        if options.tta:
            from .tta import AugmentedEngine

            model = AugmentedEngine(cast(Engine, model))
        self.engine = cast(Engine, model)
        self.options = options
        max_size = options.max_size
        if max_size is None:
            max_size = self.engine.metadata.get(MAX_SIZE, 0) if options.tile is None else 0
        self.max_size = max_size or None

    @property
    def classes(self) -> ClassTable:
        """What the labels mean."""
        return self.engine.classes

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What is saved with the model (its recipe, its validation), as plain JSON; empty where the engine has none."""
        return self.engine.metadata

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        options: SegmenterOptions | None = None,
        **fields: Any,
    ) -> Segmenter:
        """Load a model by its `.onnx` file, its run folder, its model folder, or its name.

        Args:
            model: which; a name is that of a packaged model ("pan-street", the default) or one on the hub
                ("owner/name").
            options: how it is run.
            fields: single fields of `SegmenterOptions`, in place of those of `options`: `device="cpu"`, `tta=True`.

        Raises:
            UserError: there is no such model, it is damaged, or an option is not possible with it.
            MissingExtra: the engine is not installed.
        """
        from .load import load_engine

        options = SegmenterOptions.of(options, fields)
        return cls(load_engine(model, options), options)

    def __call__(
        self, given: str | os.PathLike[str] | NDArray[np.generic] | Image.Image, *, with_confidence: bool = False
    ) -> Segmentation:
        """Segment an image: a path, an array H×W×3 (or H×W, grey) of uint8, or a Pillow image.

        Args:
            image: which.
            with_confidence: the confidence will be asked for; saves segmenting the tiles of a large image once more.

        Raises:
            UserError: the image cannot be read, or memory does not hold it.
        """
        image = read_image(given) if isinstance(given, (str, os.PathLike)) else to_image_array(given)
        if not self.tiles(image.shape):
            return self.batch([image])[0]
        tile, overlap = self.options.tile_size, self.options.tile_overlap
        seen = self.shrunk(image)
        labels, certain = segment_tiles(self.engine, seen, tile, overlap, with_confidence)

        def find() -> NDArray[np.float32]:
            found = certain if certain is not None else segment_tiles(self.engine, seen, tile, overlap, True)[1]
            assert found is not None
            return _nearest(found, image.shape)

        return Segmentation(_nearest(labels, image.shape), image, self.classes, find)

    def seen_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in which the network sees an image."""
        if self.max_size is None or max(height, width) <= self.max_size:
            return height, width
        factor = self.max_size / max(height, width)
        return max(1, round(height * factor)), max(1, round(width * factor))

    def shrunk(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image as the network sees it; each new pixel a weighted mean of those it stands for."""
        height, width = self.seen_size(*image.shape[:2])
        if (height, width) == image.shape[:2]:
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def tiles(self, shape: Sequence[int]) -> bool:
        """Whether an image of `shape` = (H, W, …) is segmented by tiles."""
        height, width = self.seen_size(*shape[:2])
        return (
            height * width > WHOLE_PIXELS if self.options.tile is None else max(height, width) > self.options.tile_size
        )

    def _axis(self, points: int, padded: int, seen: int, pixels: int) -> Axis:
        """Where the pixels of one side of an image lie between the points of its scores."""
        aligned = self.engine.align_corners
        if seen == pixels:
            return Axis.between(points, padded, aligned).part(0, pixels)
        return Axis.between(points, pixels, aligned, covered=(seen - aligned) / max(padded - aligned, 1))

    def batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Segmentation]:
        """Segment several images of one size H×W×3 (uint8) at once, none of them by tiles.

        Raises:
            UserError: memory does not hold them.
        """
        seen = [self.shrunk(image) for image in images]
        pixels = pad(np.stack(seen), self.engine.size_divisor)
        scores = self.engine(pixels)
        rows, columns = (
            self._axis(points, pixels.shape[axis + 1], seen[0].shape[axis], images[0].shape[axis])
            for axis, points in enumerate(scores.shape[2:])
        )

        def segmentation(image: NDArray[np.uint8], own: NDArray[np.float32]) -> Segmentation:
            labels = best_labels(own, rows, columns)
            return Segmentation(labels, image, self.classes, lambda: confidence(own, rows, columns))

        return [segmentation(image, own) for image, own in zip(images, scores, strict=True)]


def _nearest(values: NDArray[Scalar], shape: Sequence[int]) -> NDArray[Scalar]:
    """An array h×w at the size H×W of a `shape` = (H, W, …): of each pixel the nearest."""
    if values.shape == tuple(shape[:2]):
        return values
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(values.shape, shape[:2], strict=True)
    )
    result: NDArray[Scalar] = values.take(rows, axis=0).take(columns, axis=1)
    return result
