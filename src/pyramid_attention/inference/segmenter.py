"""The Segmenter: one picture in, one Segmentation out, whatever the engine.

Evaluation, prediction and everything else that runs a network goes through it, so what is measured is what the user
gets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..classes import ClassTable
from ..errors import UserError, require
from ..images import read_image, to_image_array
from .engines import Engine

MIN_SIDE = 32
"""Smaller pictures are padded to this many pixels a side, by repeating their edge, and the result is cropped."""


@dataclass(frozen=True)
class Segmentation:
    """What a network sees in a picture of H×W pixels."""

    labels: NDArray[np.uint8]
    """H×W class ids."""
    confidence: NDArray[np.float32]
    """H×W softmax probability of the chosen class, 0 … 1."""
    image: NDArray[np.uint8]
    """The picture itself, H×W×3 RGB, upright."""
    classes: ClassTable

    def overlay(self, alpha: float = 0.5) -> NDArray[np.uint8]:
        """The classes' colours laid over the picture: H×W×3 uint8, (1 − alpha) × picture + alpha × colour.

        Raises:
            ValueError: alpha outside 0 … 1.
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is the weight of the colours, 0 to 1, not {alpha}")
        colours = Image.fromarray(self.classes.colourise(self.labels))
        return np.array(Image.blend(Image.fromarray(self.image), colours, alpha))


class Segmenter:
    """Segments photographs of any size ≥ 1×1 with one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def classes(self) -> ClassTable:
        """What the labels mean."""
        return self.engine.classes

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What is saved with the model (its recipe, its validation), as plain JSON; empty where the engine has none."""
        return getattr(self.engine, "metadata", {})

    @classmethod
    def load(cls, model: str | os.PathLike[str], device: str = "auto", *, tta: bool = False) -> Segmenter:
        """Load a model by its run folder, its model folder, or its name on the Hugging Face hub ("owner/name").

        With `tta` it averages over scales and flip (see `inference.tta`).

        Raises:
            UserError: there is no such model, it is damaged, or there is no such device.
            MissingExtra: PyTorch is not installed.
        """
        folder = find_model(model)
        require("a PyTorch model", "torch", "timm")
        from ..models import SegmentationModel
        from .engines.torch import TorchEngine
        from .tta import AugmentedEngine

        engine = AugmentedEngine if tta else TorchEngine
        return cls(engine(SegmentationModel.from_pretrained(folder), device))

    def __call__(self, picture: str | os.PathLike[str] | NDArray[np.generic] | Image.Image) -> Segmentation:
        """Segment a photograph: a path, an array H×W×3 (or H×W, grey) of uint8, or a Pillow image.

        Raises:
            UserError: the picture cannot be read, or memory does not hold it.
        """
        image = read_image(picture) if isinstance(picture, (str, os.PathLike)) else to_image_array(picture)
        height, width = image.shape[:2]
        lacking = ((0, max(0, MIN_SIDE - height)), (0, max(0, MIN_SIDE - width)), (0, 0))
        labels, confidence = self.engine(np.pad(image, lacking, mode="edge")[None])
        return Segmentation(labels[0, :height, :width], confidence[0, :height, :width], image, self.classes)


def find_model(model: str | os.PathLike[str]) -> str | Path:
    """The model folder that a run folder or model folder means; what can only be a name on the hub stays a name.

    Raises:
        UserError: a path that is no model, or not there.
    """
    path = Path(model)
    for folder in (path, path / "model"):
        if (folder / "config.json").is_file():
            return folder
    if path.is_dir():
        raise UserError(
            f"{path} holds no model (neither config.json nor model/config.json); name a run folder of 'pan train' after"
            " its first epoch, or a model folder"
        )
    if path.exists():
        raise UserError(f"{path} is not a model; name a run folder of 'pan train' or a model folder")
    # "owner/name" is a name on the hub, unless "owner" is a folder here: then it is a mistyped path.
    if isinstance(model, str) and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", model) and not path.parent.exists():
        return model
    raise UserError(
        f"there is no model {path}; name a run folder of 'pan train', a model folder, or 'owner/name' on the hub"
    )
