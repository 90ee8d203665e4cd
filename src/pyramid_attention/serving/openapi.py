"""What `/openapi.json` says of `/v1/segment` and `/v1/explain`: their parameters, answers, and every refusal."""

from __future__ import annotations

from typing import Any

from .limits import FORMATS

PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
    for name, text, schema in (
        ("model", "Which model; the server's first by default.", {"type": "string", "example": "pan-street"}),
        ("format", "What comes back; or by the header Accept.", {"type": "string", "enum": list(FORMATS)}),
        ("confidence", "Also how sure the model is (JSON).", {"type": "boolean", "default": False}),
        ("polygons", "Also the regions as GeoJSON, in pixels (JSON).", {"type": "boolean", "default": False}),
        ("tolerance", "Pixels by which polygons may be simplified.", {"type": "number", "default": 0, "maximum": 1000}),
    )
]
BINARY = {"schema": {"type": "string", "format": "binary"}}
EXAMPLE = {
    "model": "pan-street",
    "height": 2,
    "width": 3,
    "classes": [
        {
            "id": 0,
            "name": "Sky",
            "colour": [128, 128, 128],
            "pixels": 4,
            "share": 0.6667,
            "mask": {"size": [2, 3], "counts": [0, 4, 2]},
            "confidence": 0.97,
        },
        {
            "id": 1,
            "name": "Building",
            "colour": [128, 0, 0],
            "pixels": 2,
            "share": 0.3333,
            "mask": {"size": [2, 3], "counts": [4, 2]},
            "confidence": 0.91,
        },
    ],
    "confidence": {"mean": 0.95, "png": "iVBORw0KGgo…"},
}
EXPLANATION = {
    "model": "mine",
    "maps": [{"name": "attention", "height": 1, "width": 2, "values": [0.31, 0.87]}],
    "channels": [{"name": "global", "values": [0.02, 1.4, 0.6]}],
    "class_of_channels": [0, 1, 1],
    "covered": [1.0, 0.9375],
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"example": {"error": error}}}}
    for status, text, error in (
        (400, "What is sent makes no sense.", "format is png or json, not 'gif'"),
        (401, "The key is missing or wrong.", "this server wants its key: Authorization: Bearer KEY"),
        (
            403,
            "The server does not fetch this address.",
            "this server does not fetch that address",
        ),
        (404, "There is no such model.", "there is no model 'pan-stret'. Did you mean 'pan-street'?"),
        (408, "The body takes too long to arrive.", "the body takes longer than 60 s to arrive"),
        (413, "Too many bytes or pixels.", "the image has more than 50,000,000 pixels, the limit here; scale it down"),
        (415, "No image.", "the image is not an image in a known format (JPEG, PNG, WebP, TIFF, BMP, GIF)"),
        (422, "A damaged image.", "the image is damaged and cannot be decoded"),
        (503, "Too many requests at once.", "64 requests are being worked on, as many as may wait; try again"),
        (504, "The answer takes too long.", "the answer takes longer than 60 s; try again"),
    )
}
FORM = {
    "type": "object",
    "required": ["image"],
    "properties": {
        "image": {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, TIFF, BMP or GIF."},
        **{one["name"]: {**one["schema"], "description": one["description"]} for one in PARAMETERS},
    },
}
