"""`POST /v1/segment`: an image in, its label map as PNG or everything about it as JSON out."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ..errors import nearest
from ..images import encode_label_map
from ..inference import Segmentation
from ..inference.polygons import polygons, to_geojson
from ..inference.sinks import CONFIDENCE
from .encodings import coco_rle
from .limits import FORMATS, Refused
from .models import model_entry
from .openapi import BINARY, EXAMPLE, EXPLANATION, FORM, PARAMETERS, REFUSALS
from .service import Attention, Service


@dataclass(frozen=True)
class Options:
    """What is asked for, from the query or the form's fields.

    Attributes:
        model: its name; the server's first where there is none.
        format: "png" or "json".
        confidence: also how sure the model is (JSON only).
        polygons: also the regions as GeoJSON (JSON only).
        tolerance: pixels by which polygons may stray from the pixels' edges.
    """

    model: str | None = None
    format: str = "png"
    confidence: bool = False
    polygons: bool = False
    tolerance: float = 0.0

    @classmethod
    def read(cls, given: Mapping[str, str], accept: str) -> Options:
        """The options that strings stand for.

        Raises:
            Refused: 400, an unknown name or a value that does not fit.
        """
        known = ("model", "format", "confidence", "polygons", "tolerance")
        for name in given:
            if name not in known:
                raise Refused(400, f"there is no option '{name}'.{nearest(name, known)}")
        format = given.get("format", "json" if "application/json" in accept else "png")
        if format not in FORMATS:
            raise Refused(400, f"format is png or json, not '{format}'")
        options = cls(
            given.get("model"),
            format,
            _flag("confidence", given),
            _flag("polygons", given),
            _distance("tolerance", given),
        )
        if format == "png" and (options.confidence or options.polygons):
            raise Refused(400, "confidence and polygons come as JSON; add format=json")
        return options


def _flag(name: str, given: Mapping[str, str]) -> bool:
    value = given.get(name, "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise Refused(400, f"{name} is true or false, not '{value}'")
    return value in ("true", "1")


def _distance(name: str, given: Mapping[str, str]) -> float:
    try:
        value = float(given.get(name, "0"))
    except ValueError:
        value = -1
    if not 0 <= value <= 1000:
        raise Refused(400, f"{name} is a number of pixels from 0 to 1000, not '{given[name]}'")
    return value


class _InMemory(MultiPartParser):
    """Nothing that is sent is written to the disk."""

    spool_max_size = sys.maxsize


async def _image_and_options(request: Request, service: Service) -> tuple[bytes, Options]:
    """The image's bytes and what is asked for, in any of the three ways in which they may come."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    given = dict(request.query_params)
    if kind == "multipart/form-data":
        try:
            form = await _InMemory(request.headers, request.stream(), max_files=1, max_fields=8).parse()
        except MultiPartException as error:
            raise Refused(400, f"the form cannot be read: {error.message}") from None
        image = form.get("image")
        if not isinstance(image, UploadFile):
            raise Refused(400, "the form has no file 'image'; send one, as with: curl -F image=@street.jpg")
        given.update({name: value for name, value in form.items() if isinstance(value, str)})
        content = await image.read()
    elif kind == "application/json":
        body = await json_body(request)
        address = body.pop("url", None)
        if not isinstance(address, str):
            raise Refused(400, 'a request in JSON names an image: {"url": "http://…"}; or send the image itself')
        given.update(
            {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in body.items()}
        )
        content = await service.in_thread(lambda: service.fetcher.fetch(address))
    elif kind.startswith("image/") or kind in ("application/octet-stream", "application/x-www-form-urlencoded", ""):
        content = await request.body()  # curl --data-binary says it is a form
    else:
        raise Refused(415, f"send an image (multipart/form-data or image/…), not {kind}")
    if not content:
        raise Refused(400, "the image is empty")
    return content, Options.read(given, request.headers.get("accept", ""))


async def json_body(request: Request) -> dict[str, Any]:
    """The body, a JSON object.

    Raises:
        Refused: 400, it is none.
    """
    return json_object(await request.body())


def json_object(content: bytes) -> dict[str, Any]:
    """A JSON object from its bytes.

    Raises:
        Refused: 400, it is none.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refused(400, "the body is not a JSON object")
    return found


def describe(segmentation: Segmentation, model: str, options: Options) -> dict[str, Any]:
    """Everything about a segmentation, as JSON."""
    labels = segmentation.labels
    counts = np.bincount(labels.ravel(), minlength=256)
    result: dict[str, Any] = {"model": model, "height": labels.shape[0], "width": labels.shape[1]}
    weights = segmentation.confidence.ravel() if options.confidence else None
    sums = np.bincount(labels.ravel(), weights, minlength=256)
    result["classes"] = [
        {
            "id": index,
            "name": name,
            "colour": list(colour),
            "pixels": int(counts[index]),
            "share": counts[index] / labels.size,
            "mask": coco_rle(labels == index) if counts[index] else None,
            **({"confidence": sums[index] / counts[index]} if options.confidence and counts[index] else {}),
        }
        for index, (name, colour) in enumerate(
            zip(segmentation.classes.names, segmentation.classes.colours, strict=True)
        )
    ]
    if options.confidence:
        grey = CONFIDENCE.encode(segmentation)
        result["confidence"] = {"mean": sums.sum() / labels.size, "png": base64.b64encode(grey).decode()}
    if options.polygons:
        result["polygons"] = to_geojson(polygons(labels, options.tolerance), segmentation.classes)
    return result


def describe_attention(attention: Attention, model: str) -> dict[str, Any]:
    """What a model attends to, as JSON: five digits of each value."""
    maps, channels = [], []
    for name, values in attention.maps.items():
        numbers = [float(f"{value:.5g}") for value in values.ravel()]
        if values.ndim == 3:
            maps.append({"name": name, "height": values.shape[1], "width": values.shape[2], "values": numbers})
        else:
            channels.append({"name": name, "values": numbers})
    return {
        "model": model,
        "maps": maps,
        "channels": channels,
        "class_of_channels": list(attention.class_of_channels),
        "covered": list(attention.covered),
    }


def segment_routes(service: Service) -> APIRouter:
    """`/v1/segment`, `/v1/explain` and `/v1/models`."""
    router = APIRouter(tags=["segmentation"])

    @router.post(
        "/v1/segment",
        summary="Segment an image",
        response_class=Response,
        responses={
            200: {
                "description": "An indexed PNG of class ids, or JSON: the class table with areas, and of each class"
                " that occurs the mask in COCO's uncompressed run-length code.",
                "content": {"image/png": BINARY, "application/json": {"example": EXAMPLE}},
            },
            **REFUSALS,
        },
        openapi_extra={
            "parameters": PARAMETERS,
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {"schema": FORM},
                    "image/*": BINARY,
                    "application/json": {
                        "schema": {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}},
                        "example": {"url": "http://localhost:8080/data/street.jpg", "format": "json"},
                    },
                },
            },
        },
    )
    async def segment(request: Request) -> Response:
        content, options = await _image_and_options(request, service)
        model = service.model(options.model)
        async with service.decoded(content) as image:
            del content
            segmentation = await service.segment(model, image, options.confidence)

            def encode() -> tuple[bytes, str]:
                if options.format == "png":
                    return encode_label_map(segmentation.labels, segmentation.classes), "image/png"
                return json.dumps(describe(segmentation, model, options)).encode(), "application/json"

            body, kind = await service.in_thread(encode)
        return Response(body, media_type=kind)

    @router.post(
        "/v1/explain",
        summary="What a model attends to in an image",
        responses={
            200: {
                "description": "FPA's attention and GAU's gates, of a model that was exported with --explain: maps of"
                " places by rows, of which `covered` says which part the image covers, and weights of channels.",
                "content": {"application/json": {"example": EXPLANATION}},
            },
            **REFUSALS,
        },
        openapi_extra={
            "parameters": PARAMETERS[:1],
            "requestBody": {
                "required": True,
                "content": {"multipart/form-data": {"schema": FORM}, "image/*": BINARY},
            },
        },
    )
    async def explain(request: Request) -> dict[str, Any]:
        content, options = await _image_and_options(request, service)
        model = service.model(options.model)
        async with service.decoded(content) as image:
            del content
            return describe_attention(await service.attention(model, image), model)

    @router.get(
        "/v1/models",
        summary="The models that are served",
        responses={
            200: {
                "content": {
                    "application/json": {
                        "example": {
                            "default": "pan-street",
                            "models": [
                                {
                                    "name": "pan-street",
                                    "classes": ["Sky", "Building"],
                                    "max_size": 480,
                                    "attention": False,
                                }
                            ],
                        }
                    }
                }
            }
        },
    )
    async def models() -> dict[str, Any]:
        entries = [model_entry(name, segmenter) for name, segmenter in service.segmenters.items()]
        return {"default": service.default, "models": entries}

    return router
