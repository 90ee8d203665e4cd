"""CVAT's annotation function: what cvat-sdk's own driver accepts, and reads back as the Segmenter's labels."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pyramid_attention.inference import Segmenter

pytest.importorskip("cvat_sdk", reason="needs cvat-sdk")

from cvat_sdk.auto_annotation import DetectionFunctionContext  # once it is known to be there
from cvat_sdk.auto_annotation.driver import _AnnotationMapper, _DetectionFunctionContextImpl
from cvat_sdk.masks import decode_mask

from pyramid_attention.serving.cvat import create


def detected(image: NDArray[np.uint8], polygons: bool, threshold: float | None = None) -> list:
    """What the driver would send to CVAT for a task with the model's labels, which have other ids there."""
    function = create("pan-street", device="cpu")
    context: DetectionFunctionContext = _DetectionFunctionContextImpl(
        frame_name="a.png", conf_threshold=threshold, conv_mask_to_poly=polygons
    )
    labels = [
        SimpleNamespace(id=100 + label.id, name=label.name, type="any", attributes=[], sublabels=[])
        for label in function.spec.labels
    ]
    mapper = _AnnotationMapper(
        logging.getLogger(), function.spec.labels, labels, allow_unmatched_labels=False, conv_mask_to_poly=polygons
    )
    tags, shapes = mapper.validate_and_remap(function.detect(context, Image.fromarray(image)), ds_frame=4)
    assert not tags
    assert {shape.frame for shape in shapes} == {4}
    return shapes


def test_masks_are_the_label_map(image: NDArray[np.uint8], segmenter: Segmenter) -> None:
    rebuilt = np.full(image.shape[:2], 255)
    for shape in detected(image, polygons=False):
        assert shape.type.value == "mask"
        rebuilt[decode_mask(shape.points, image_width=128, image_height=96)] = shape.label_id - 100
    assert (rebuilt == segmenter(image).labels).all()


def test_a_threshold_leaves_the_pixels_that_are_as_sure(image: NDArray[np.uint8], segmenter: Segmenter) -> None:
    wanted = segmenter(image)
    threshold = float(np.median(wanted.confidence))
    found = sum(
        decode_mask(shape.points, image_width=128, image_height=96).sum()
        for shape in detected(image, polygons=False, threshold=threshold)
    )
    assert found == (wanted.confidence >= threshold).sum()


def test_polygons_lie_over_each_other_as_the_regions_do(image: NDArray[np.uint8], segmenter: Segmenter) -> None:
    shapes = detected(image, polygons=True)
    assert {shape.type.value for shape in shapes} == {"polygon"}
    canvas = Image.new("L", (128 * 4, 96 * 4), 255)  # large, since Pillow draws through pixels' middles
    from PIL import ImageDraw

    for shape in sorted(shapes, key=lambda shape: shape.z_order):
        corners = (np.array(shape.points).reshape(-1, 2) * 4).tolist()
        ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in corners], fill=shape.label_id - 100)
    drawn = np.array(canvas)[2::4, 2::4]
    assert (drawn == segmenter(image).labels).mean() > 0.95  # they are simplified by a pixel
