"""The Open Inference Protocol, version 2 (https://github.com/kserve/open-inference-protocol), over HTTP.

A model takes `images` (UINT8, N×H×W×3) and gives `labels` (UINT8, N×H×W) and `confidence` (FP32, N×H×W). Tensors come
and go as JSON numbers or, by the extension "binary_tensor_data", as raw little-endian bytes behind the JSON.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from ..inference import Segmentation
from .limits import Refused
from .segment_route import json_object
from .service import Service

IMAGES, LABELS, CONFIDENCE = "images", "labels", "confidence"
HEADER = "inference-header-content-length"
VERSION = "1"
"""The version of every model: a server holds one of each."""


@dataclass(frozen=True)
class Asked:
    """An output that is asked for: its name, and whether as raw bytes."""

    name: str
    binary: bool


def read_request(body: bytes, header: str | None) -> tuple[dict[str, Any], bytes]:
    """A request's JSON, and the raw bytes behind it, where the header says how long the JSON is.

    Raises:
        Refused: 400.
    """
    if header is None:
        return json_object(body), b""
    if not header.isascii() or not header.isdigit() or int(header) > len(body):
        raise Refused(400, f"{HEADER} is the number of bytes of JSON, at most {len(body)}, not '{header[:40]}'")
    return json_object(body[: int(header)]), body[int(header) :]


def read_images(request: dict[str, Any], raw: bytes) -> NDArray[np.uint8]:
    """The tensor `images`, N×H×W×3.

    Raises:
        Refused: 400, it is missing or another kind of tensor, or its data do not fit.
    """
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refused(400, f"a request has one input, '{IMAGES}' (UINT8, N×H×W×3)")
    given = inputs[0]
    shape = given.get("shape")
    if given.get("name") != IMAGES or given.get("datatype") != "UINT8":
        raise Refused(400, f"the input is '{IMAGES}' of UINT8, not {given.get('name')!r} of {given.get('datatype')!r}")
    if (
        not isinstance(shape, list)
        or len(shape) != 4
        or not all(type(size) is int and size > 0 for size in shape)
        or shape[3] != 3
    ):
        raise Refused(400, f"the shape of '{IMAGES}' is [N, H, W, 3], all above 0, not {str(shape)[:80]}")
    count = math.prod(shape)
    parameters = given.get("parameters", {})
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None:
        if size != count or len(raw) != count or "data" in given:
            raise Refused(400, f"'{IMAGES}' has {count} bytes by its shape; {size} are announced, {len(raw)} have come")
        return np.frombuffer(raw, np.uint8).reshape(shape)
    if raw:
        raise Refused(400, f"{len(raw)} raw bytes have come of which no binary_data_size tells")
    try:
        values = np.array(given.get("data"))
    except ValueError:
        raise Refused(400, f"the data of '{IMAGES}' are lists of different lengths") from None
    if values.dtype.kind not in "iu" or values.size != count or values.min() < 0 or values.max() > 255:
        raise Refused(400, f"the data of '{IMAGES}' are {count} whole numbers from 0 to 255")
    if values.ndim > 1 and list(values.shape) != shape:
        raise Refused(400, f"the data of '{IMAGES}' are nested as {list(values.shape)}, the shape is {shape}")
    return values.astype(np.uint8).reshape(shape)


def read_outputs(request: dict[str, Any]) -> list[Asked]:
    """What is asked for; both outputs where nothing is.

    Raises:
        Refused: 400, there is no such output.
    """
    parameters = request.get("parameters", {})
    all_binary = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    outputs = request.get("outputs", [{"name": LABELS}, {"name": CONFIDENCE}])
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise Refused(400, "outputs is a list of objects with a name")
    asked = []
    for output in outputs:
        if output.get("name") not in (LABELS, CONFIDENCE):
            raise Refused(400, f"the outputs are '{LABELS}' and '{CONFIDENCE}', not {output.get('name')!r}")
        own = output.get("parameters", {})
        binary = own.get("binary_data", all_binary) if isinstance(own, dict) else all_binary
        asked.append(Asked(output["name"], binary is True))
    return asked


def write_response(head: dict[str, Any], asked: list[Asked], found: list[Segmentation]) -> Response:
    """The answer: tensors as JSON, or as raw bytes behind it."""
    outputs, raw = [], []
    for output in asked:
        if output.name == LABELS:
            values, kind = np.stack([one.labels for one in found]), "UINT8"
        else:
            values, kind = np.stack([one.confidence for one in found]).astype("<f4"), "FP32"
        tensor: dict[str, Any] = {"name": output.name, "datatype": kind, "shape": list(values.shape)}
        if output.binary:
            tensor["parameters"] = {"binary_data_size": values.nbytes}
            raw.append(values.tobytes())
        else:
            tensor["data"] = values.ravel().tolist()
        outputs.append(tensor)
    text = json.dumps({**head, "outputs": outputs}).encode()
    if not raw:
        return Response(text, media_type="application/json")
    return Response(b"".join([text, *raw]), media_type="application/octet-stream", headers={HEADER: str(len(text))})


def inference_routes(service: Service) -> APIRouter:
    """`/v2/…`."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    def named(model: str, wanted: str | None = None) -> str:
        if wanted not in (None, VERSION):
            raise Refused(404, f"model '{model}' has version {VERSION} alone, not '{wanted}'")
        return service.model(model)

    @router.get("")
    async def server() -> dict[str, Any]:
        return {
            "name": "pyramid-attention",
            "version": version("pyramid-attention"),
            "extensions": ["binary_tensor_data"],
        }

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/health/ready")
    async def ready() -> dict[str, bool]:
        if service.draining:
            raise Refused(503, "the server is about to end")
        return {"ready": True}

    @router.get("/models/{model}")
    @router.get("/models/{model}/versions/{wanted}")
    async def metadata(model: str, wanted: str | None = None) -> dict[str, Any]:
        return {
            "name": named(model, wanted),
            "versions": [VERSION],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": IMAGES, "datatype": "UINT8", "shape": [-1, -1, -1, 3]}],
            "outputs": [
                {"name": LABELS, "datatype": "UINT8", "shape": [-1, -1, -1]},
                {"name": CONFIDENCE, "datatype": "FP32", "shape": [-1, -1, -1]},
            ],
        }

    @router.get("/models/{model}/ready")
    @router.get("/models/{model}/versions/{wanted}/ready")
    async def model_ready(model: str, wanted: str | None = None) -> dict[str, Any]:
        return {"name": named(model, wanted), **await ready()}

    @router.post("/models/{model}/infer", response_class=Response)
    @router.post("/models/{model}/versions/{wanted}/infer", response_class=Response)
    async def infer(request: Request, model: str, wanted: str | None = None) -> Response:
        name = named(model, wanted)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "compressed bodies are not taken; send the tensors as they are")
        body = await request.body()
        text, raw = await service.in_thread(lambda: read_request(body, request.headers.get(HEADER)))
        asked, images = read_outputs(text), await service.in_thread(lambda: read_images(text, raw))
        head = {"model_name": name, "model_version": VERSION}
        if isinstance(text.get("id"), str):
            head["id"] = text["id"]
        if math.prod(images.shape[:3]) > service.limits.max_pixels:
            raise Refused(413, f"the images have more than {service.limits.max_pixels:,} pixels, the limit here")
        with_confidence = any(output.name == CONFIDENCE for output in asked)
        async with service.room(math.prod(images.shape[:3])):
            found = await asyncio.gather(*(service.segment(name, image, with_confidence) for image in images))
            return await service.in_thread(lambda: write_response(head, asked, found))

    return router
