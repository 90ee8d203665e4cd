"""`/v1/segment`: three ways in, two ways out, all of them the Segmenter's labels."""

import base64
import io
import json

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.polygons import polygons, to_geojson
from served import Running


def decoded(content: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(content)))


def test_the_label_map_is_the_segmenters(
    server: Running, segmenter: Segmenter, image: NDArray[np.uint8], png: bytes
) -> None:
    wanted = segmenter(image).labels
    assert len(np.unique(wanted)) > 1
    for answer in (
        server.client.post("/v1/segment", files={"image": ("any.png", png)}),
        server.client.post("/v1/segment", content=png, headers={"content-type": "image/png"}),
        server.client.post("/v1/segment?model=again", content=png),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        found = Image.open(io.BytesIO(answer.content))
        assert found.mode == "P"
        assert (np.array(found) == wanted).all()
        palette = np.array(found.getpalette()).reshape(-1, 3)
        assert (palette[: len(segmenter.classes)] == segmenter.classes.colours).all()


def test_json_holds_the_class_table_areas_masks_confidence_and_polygons(
    server: Running, segmenter: Segmenter, image: NDArray[np.uint8], png: bytes
) -> None:
    wanted = segmenter(image)
    fields = {"format": "json", "confidence": "true", "polygons": "true", "tolerance": "1.5"}
    answer = server.client.post("/v1/segment", files={"image": png}, data=fields).json()
    assert (answer["model"], answer["height"], answer["width"]) == ("pan-street", 96, 128)
    assert [one["name"] for one in answer["classes"]] == list(segmenter.classes.names)
    rebuilt = np.full((96, 128), 255, np.uint8)
    for one in answer["classes"]:
        own = wanted.labels == one["id"]
        assert one["pixels"] == own.sum()
        assert one["share"] == pytest.approx(own.mean())
        if one["mask"] is not None:
            mask = coco.decode(coco.frPyObjects(one["mask"], *one["mask"]["size"])).astype(bool)
            rebuilt[mask] = one["id"]
            assert one["confidence"] == pytest.approx(wanted.confidence[own].mean(), rel=1e-4)
    assert (rebuilt == wanted.labels).all()
    grey = decoded(base64.b64decode(answer["confidence"]["png"]))
    assert abs(grey / 255 - wanted.confidence).max() <= 0.5 / 255 + 1e-6
    expected = to_geojson(polygons(wanted.labels, 1.5), segmenter.classes)
    assert answer["polygons"] == json.loads(json.dumps(expected))


def test_accept_asks_for_json(server: Running, png: bytes) -> None:
    answer = server.client.post("/v1/segment", content=png, headers={"accept": "application/json"})
    assert answer.json()["model"] == "pan-street"
    assert "confidence" not in answer.json()


def test_an_image_turned_by_its_exif_comes_back_upright(server: Running, image: NDArray[np.uint8]) -> None:
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(content, "JPEG", exif=exif)
    assert decoded(server.client.post("/v1/segment", content=content.getvalue()).content).shape == (128, 96)


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("model=pan-stret", 404, "Did you mean 'pan-street'"),
        ("fromat=json", 400, "Did you mean 'format'"),
        ("format=gif", 400, "png or json"),
        ("confidence=true", 400, "format=json"),
        ("format=json&confidence=maybe", 400, "true or false"),
        ("format=json&polygons=1&tolerance=-1", 400, "tolerance is a number of pixels"),
    ],
)
def test_a_wrong_option_is_explained(server: Running, png: bytes, query: str, status: int, says: str) -> None:
    answer = server.client.post(f"/v1/segment?{query}", content=png)
    assert answer.status_code == status
    assert says in answer.json()["error"]


def test_the_models_are_listed(server: Running, segmenter: Segmenter) -> None:
    found = server.client.get("/v1/models").json()
    assert (found["default"], [one["name"] for one in found["models"]]) == ("pan-street", ["pan-street", "again"])
    assert found["models"][0]["classes"] == list(segmenter.classes.names)


def test_openapi_shows_examples(server: Running) -> None:
    operation = server.client.get("/openapi.json").json()["paths"]["/v1/segment"]["post"]
    assert {one["name"] for one in operation["parameters"]} == {
        "model",
        "format",
        "confidence",
        "polygons",
        "tolerance",
    }
    assert "multipart/form-data" in operation["requestBody"]["content"]
    example = operation["responses"]["200"]["content"]["application/json"]["example"]
    for one in example["classes"]:  # the example is true: its masks have the areas it tells
        assert coco.area(coco.frPyObjects(one["mask"], *one["mask"]["size"])) == one["pixels"]
    assert set(operation["responses"]) >= {"400", "401", "403", "404", "408", "413", "415", "422", "503", "504"}
