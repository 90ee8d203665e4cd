"""Label Studio's machine-learning backend: brush masks of each class as pre-annotations.

Label Studio (https://labelstud.io/guide/ml) asks `/health`, tells its labelling interface to `/setup`, and sends tasks
to `/predict`. The interface must have an `<Image>` and `<BrushLabels>` whose labels are named as the model's classes;
others are left alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from fastapi import APIRouter, Request

from ..inference import Segmentation
from .encodings import brush_rle
from .limits import Refused
from .segment_route import json_body
from .service import Service


@dataclass(frozen=True)
class Interface:
    """What a labelling interface says of brush masks.

    Attributes:
        brush, image: the names of its tags.
        key: of a task's data, where its image is.
        labels: that may be brushed.
    """

    brush: str
    image: str
    key: str
    labels: frozenset[str]

    @classmethod
    def read(cls, config: object) -> Interface:
        """From its XML.

        Raises:
            Refused: 422, it is no XML, or has no brush.
        """
        try:
            root = ElementTree.fromstring(config if isinstance(config, str) else "")
        except ElementTree.ParseError as error:
            raise Refused(422, f"the labelling interface is not XML: {error}") from None
        images = {tag.get("name"): tag.get("value", "") for tag in root.iter("Image")}
        for brush in root.iter("BrushLabels"):
            name, image = brush.get("name"), brush.get("toName")
            if name and image and image in images:
                labels = frozenset(label.get("value", "") for label in brush.iter("Label"))
                return cls(name, image, images[image].removeprefix("$"), labels)
        raise Refused(
            422, "the labelling interface needs <Image> and <BrushLabels toName=…> with the classes as labels"
        )


def label_studio_routes(service: Service) -> APIRouter:
    """`/health`, `/setup` and `/predict`."""
    router = APIRouter(tags=["Label Studio"])

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "PyramidAttention"}

    @router.post("/setup")
    async def setup(request: Request) -> dict[str, str]:
        _interface(await json_body(request), "schema", service)
        return {"model_version": service.default}

    @router.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        body = await json_body(request)
        tasks = body.get("tasks")
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise Refused(422, "tasks is a list of objects with data")
        interface = _interface(body, "label_config", service)
        return {"results": [await _predicted(task, interface, service) for task in tasks]}

    return router


def _interface(body: dict[str, Any], key: str, service: Service) -> Interface:
    interface = Interface.read(body.get(key))
    names = service.segmenters[service.default].classes.names
    if not interface.labels & set(names):
        raise Refused(422, f"none of the interface's labels is a class of {service.default}: {', '.join(names)}")
    return interface


async def _predicted(task: dict[str, Any], interface: Interface, service: Service) -> dict[str, Any]:
    data = task.get("data")
    address = data.get(interface.key) if isinstance(data, dict) else None
    if not isinstance(address, str):
        raise Refused(422, f"the task's data have no '{interface.key}'")
    content = await service.in_thread(lambda: _content(address, service))
    async with service.decoded(content) as image:
        found = await service.segment(service.default, image, True)
        return await service.in_thread(lambda: prediction(found, interface, service.default))


def _content(address: str, service: Service) -> bytes:
    if not address.startswith("data:"):
        return service.fetcher.fetch(address)
    try:
        return base64.b64decode(address.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise Refused(422, f"the task's data: address is no base64: {error}") from None


def prediction(found: Segmentation, interface: Interface, model: str) -> dict[str, Any]:
    """A segmentation as Label Studio's prediction: a brush mask of each class that the interface has."""
    height, width = found.labels.shape
    results = []
    for index, name in enumerate(found.classes.names):
        mask = found.labels == index
        if name not in interface.labels or not mask.any():
            continue
        results.append(
            {
                "id": hashlib.sha256(f"{interface.brush}/{name}".encode()).hexdigest()[:10],
                "type": "brushlabels",
                "from_name": interface.brush,
                "to_name": interface.image,
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": {"format": "rle", "rle": brush_rle(mask), "brushlabels": [name]},
                "score": float(found.confidence[mask].mean()),
            }
        )
    return {"result": results, "score": float(np.mean(found.confidence)), "model_version": model}
