"""The Segmenter: one image in, one Segmentation out, whatever the engine and however large the image.

Evaluation, prediction and everything else that runs a network goes through it, so what is measured is what the user
gets.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..artifacts import Located, Model, ModelInfo
from ..classes import ClassTable
from ..images import ImageReader, RasterReader, as_reader, open_image, open_raster
from .engines import Engine, load_engine
from .options import DEFAULT_MODEL, SegmenterOptions
from .plan import Plan, plan_image
from .segmentation import Segmentation
from .tiling import Rows, segment_tiles
from .upsample import best_labels, confidence

if TYPE_CHECKING:
    from ..models import SegmentationModel


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
            max_size = self.info.max_size if options.tile is None else None
        self.max_size = max_size or None

    @property
    def classes(self) -> ClassTable:
        """What the labels mean."""
        classes = self.info.classes
        assert classes is not None  # see `Engine.info`
        return classes

    @property
    def info(self) -> ModelInfo:
        """What is known of the model."""
        return self.engine.info

    @classmethod
    def load(
        cls,
        model: Model | Sequence[Model] = DEFAULT_MODEL,
        options: SegmenterOptions | None = None,
        **fields: Any,
    ) -> Segmenter:
        """Load a model by its `.onnx` file, its run folder, its model folder, or its name.

        Args:
            model: which; a name is that of a packaged model ("pan-street", the default) or one on the hub
                ("owner/name"). Several of the same classes are an ensemble: their probabilities are averaged.
            options: how it is run.
            fields: single fields of `SegmenterOptions`, in place of those of `options`: `device="cpu"`, `tta=True`.

        Raises:
            UserError: there is no such model, it is damaged, or an option is not possible with it.
            MissingExtra: the engine is not installed.
        """
        options = SegmenterOptions.of(options, fields)
        models = [model] if isinstance(model, (str, os.PathLike, Located)) else list(model)
        engines = [load_engine(one, options) for one in models]
        if len(engines) == 1:
            return cls(engines[0], options)
        from .ensemble import EnsembleEngine

        return cls(EnsembleEngine(engines), options)

    @property
    def identity(self) -> dict[str, Any]:
        """What the results depend on besides the images, as plain JSON: the model's digest, and options."""
        info = self.engine.info
        # A network that was not saved has no digest: nothing made by another is taken for made by it.
        model = info.weights_sha256 or f"not saved, {secrets.token_hex(16)}"
        options = {name: getattr(self.options, name) for name in ("tta", "tile", "overlap", "precision")}
        return {"model": model, "classes": list(self.classes.names), "max_size": self.max_size, **options}

    def plan(self, height: int, width: int) -> Plan:
        """How an image of so many pixels is segmented."""
        return plan_image(
            height,
            width,
            self.options,
            max_size=self.max_size,
            size_divisor=self.info.size_divisor,
            align_corners=self.info.align_corners,
        )

    def __call__(
        self,
        image: str | os.PathLike[str] | NDArray[np.generic] | Image.Image | ImageReader,
        *,
        with_confidence: bool = False,
    ) -> Segmentation:
        """Segment an image.

        Args:
            image: a path, an array H×W×3 (or H×W, grey) of uint8, a Pillow image, or one that is read by windows. For a
                model of other bands: a path of a raster, an array H×W×B, or one that is read by windows.
            with_confidence: the confidence will be asked for; saves segmenting the tiles of a large image once more.

        Raises:
            UserError: the image cannot be read, has other bands than the model takes, or memory does not hold it.
        """
        bands = self.info.bands
        if not isinstance(image, (str, os.PathLike)):
            reader = as_reader(image, bands)
        elif bands.is_rgb:
            reader = open_image(image)
        else:
            raster = open_raster(Path(image))
            reader = RasterReader(raster, bands.find(raster), bands.nodata)
        if not self.plan(reader.height, reader.width).tiled:
            return self.batch([reader])[0]
        labels, confidence = self._gather(reader, with_confidence)

        def find_confidence() -> NDArray[np.float32]:
            found = self._gather(reader, True)[1] if confidence is None else confidence
            assert found is not None
            return found

        return Segmentation(labels, self.classes, reader, find_confidence, bands)

    def batch(self, images: Sequence[NDArray[np.generic] | ImageReader]) -> list[Segmentation]:
        """Segment several images of one size at once, none of them by tiles.

        Raises:
            UserError: one is no image, or of other bands, or memory does not hold them.
        """
        bands = self.info.bands
        readers = [as_reader(image, bands) for image in images]
        plan = self.plan(readers[0].height, readers[0].width)
        logits = self.engine(np.stack([plan.prepare(reader) for reader in readers]))
        axes = plan.axes(logits.shape[2:])

        def segmentation(reader: ImageReader, own: NDArray[np.float32]) -> Segmentation:
            return Segmentation(best_labels(own, *axes), self.classes, reader, lambda: confidence(own, *axes), bands)

        return [segmentation(reader, own) for reader, own in zip(readers, logits, strict=True)]

    def rows(self, image: ImageReader, *, with_confidence: bool = False, begin: int = 0) -> Iterator[Rows]:
        """Segment an image of any size, and yield its rows from the top as they are done.

        Neither the image nor its labels are held as a whole where it is segmented by tiles.

        Args:
            image: which.
            with_confidence: compute the confidence, too.
            begin: rows above this one are not needed, and left out as far as whole rows of tiles allow.

        Raises:
            UserError: a window of the image cannot be read, or memory does not hold a row of tiles.
        """
        plan = self.plan(image.height, image.width)
        if plan.tiled:
            yield from segment_tiles(self.engine, plan, image, with_confidence, begin)
        else:
            whole = self.batch([image])[0]
            yield Rows(0, whole.labels, whole.confidence if with_confidence else None)

    def _gather(
        self, image: ImageReader, with_confidence: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """The labels of an image that is segmented by tiles and, if asked for, their confidence."""
        labels = np.empty((image.height, image.width), np.uint8)
        confidence = np.empty(labels.shape, np.float32) if with_confidence else None
        for rows in self.rows(image, with_confidence=with_confidence):
            place = slice(rows.top, rows.top + len(rows.labels))
            labels[place] = rows.labels
            if confidence is not None:
                confidence[place] = rows.confidence
        return labels, confidence
