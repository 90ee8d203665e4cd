"""CVAT's automatic annotation: a mask of each class on each image of a task.

    cvat-cli task auto-annotate TASK --function-module pyramid_attention.serving.cvat -p model=str:pan-street \\
        --allow-unmatched-labels

(https://docs.cvat.ai/docs/api_sdk/sdk/auto-annotation/). Labels of the task that are named as classes of the model are
filled; where CVAT asks for polygons, larger regions lie below smaller ones, so that holes are covered by what is in
them. Needs `cvat-cli`, and no server.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cvat_sdk import auto_annotation, models
from cvat_sdk.masks import encode_mask
from PIL import Image

from ..classes import IGNORE
from ..inference import Segmenter
from ..inference.polygons import polygons

TOLERANCE = 1.0
"""Pixels by which polygons may be simplified."""


class Function:
    """Segments images for CVAT.

    Args:
        segmenter: with the model.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    @property
    def spec(self) -> auto_annotation.DetectionFunctionSpec:
        """The classes, as labels without a type of their own."""
        names = self._segmenter.classes.names
        return auto_annotation.DetectionFunctionSpec(
            labels=[auto_annotation.label_spec(name, index) for index, name in enumerate(names)]
        )

    def detect(
        self, context: auto_annotation.DetectionFunctionContext, image: Image.Image
    ) -> list[models.LabeledShapeRequest]:
        """The masks (or polygons) of an image; with a threshold only of pixels that are as sure."""
        threshold = context.conf_threshold or 0.0
        found = self._segmenter(image, with_confidence=threshold > 0)
        labels = found.labels
        if threshold > 0:
            labels = np.where(found.confidence >= threshold, labels, IGNORE)
        if not context.conv_mask_to_poly:
            return [
                auto_annotation.mask(index, encode_mask(labels == index))
                for index in range(len(found.classes))
                if (labels == index).any()
            ]
        shapes = sorted(
            (shape for shape in polygons(labels, TOLERANCE) if shape.label != IGNORE), key=lambda s: -s.area
        )
        return [
            auto_annotation.polygon(shape.label, shape.exterior[:-1].ravel().astype(float).tolist(), z_order=order)
            for order, shape in enumerate(shapes)
        ]


def create(model: str = "pan-street", **options: Any) -> Function:
    """What `cvat-cli` calls: a model by name, and fields of `SegmenterOptions`."""
    return Function(Segmenter.load(model, **options))
