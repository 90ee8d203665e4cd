"""Label Studio's backend: what it asks and what it can read."""

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from pyramid_attention.inference import Segmenter
from pyramid_attention.serving.encodings import brush_rle
from served import Running, running

CONFIG = """<View><Image name="img" value="$photo"/><BrushLabels name="tag" toName="img">
<Label value="Sky"/><Label value="Road"/><Label value="Unicorn"/></BrushLabels></View>"""


def test_it_is_healthy(server: Running) -> None:
    assert server.client.get("/health").json()["status"] == "UP"


def test_setup_tells_the_version(server: Running) -> None:
    given = {"project": "1.1", "schema": CONFIG, "hostname": "http://localhost:8080", "access_token": "x"}
    assert server.client.post("/setup", json=given).json() == {"model_version": "pan-street"}


def test_predictions_are_brush_masks_of_the_classes_that_may_be_brushed(
    server: Running, segmenter: Segmenter, image: NDArray[np.uint8], png: bytes
) -> None:
    address = "data:image/png;base64," + base64.b64encode(png).decode()
    given = {"tasks": [{"id": 3, "data": {"photo": address}}], "label_config": CONFIG, "project": "1.1"}
    (found,) = server.client.post("/predict", json=given).json()["results"]
    wanted = segmenter(image)
    assert found["model_version"] == "pan-street"
    assert found["score"] == pytest.approx(wanted.confidence.mean(), rel=1e-4)
    there = [name for name in ("Sky", "Road") if (wanted.labels == segmenter.classes.names.index(name)).any()]
    assert there
    assert [one["value"]["brushlabels"] for one in found["result"]] == [[name] for name in there]
    for one, name in zip(found["result"], there, strict=True):
        mask = wanted.labels == segmenter.classes.names.index(name)
        assert one["value"] == {"format": "rle", "rle": brush_rle(mask), "brushlabels": [name]}
        assert (one["original_width"], one["original_height"], one["image_rotation"]) == (128, 96, 0)
        assert (one["from_name"], one["to_name"], one["type"]) == ("tag", "img", "brushlabels")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tasks": None}, "tasks is a list"),
        ({"tasks": [{"data": {}}]}, "no 'photo'"),
        ({"tasks": [{"data": {"photo": "data:image/png;base64,???"}}]}, "no base64"),
        ({"label_config": "<View>"}, "not XML"),
        ({"label_config": "<View/>"}, "needs <Image>"),
        ({"label_config": CONFIG.replace("Sky", "Cat").replace("Road", "Dog")}, "none of the interface's labels"),
    ],
)
def test_what_does_not_fit_is_explained(server: Running, change: dict, says: str) -> None:
    given = {"tasks": [{"data": {"photo": "data:,"}}], "label_config": CONFIG} | change
    answer = server.client.post("/predict", json=given)
    assert answer.status_code == 422
    assert says in answer.json()["error"]


class Files(BaseHTTPRequestHandler):
    """Label Studio's files: for those with its token alone."""

    content = b""

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == "Token secret"
        if self.path == "/data/away.png":
            self.send_response(302)
            self.send_header("Location", "/private.png")
        else:
            self.send_response(200 if allowed and self.path.startswith("/data/") else 404)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def files(png: bytes) -> Iterator[str]:
    Files.content = png
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_images_are_fetched_from_where_the_server_was_told_and_nowhere_else(files: str, segmenter: Segmenter) -> None:
    def task(address: str) -> dict:
        return {"tasks": [{"data": {"photo": address}}], "label_config": CONFIG}

    with running({"pan-street": segmenter}, fetch=(f"{files}/data/",)) as server:
        for address in ("/data/a.png", f"{files}/data/a.png"):
            assert server.client.post("/predict", json=task(address)).status_code == 200
        assert server.client.post("/v1/segment", json={"url": f"{files}/data/a.png"}).status_code == 200
        for address in (
            f"{files}/private.png",
            f"{files}/data/../private.png",
            f"{files}/data/%2e%2e/private.png",
            files.replace("127.0.0.1", "localhost") + "/data/a.png",
            files.replace("http://", "http://user@") + "/data/a.png",
            "file:///etc/passwd",
            "http://[",
        ):
            assert server.client.post("/predict", json=task(address)).status_code == 403, address
        moved = server.client.post("/predict", json=task("/data/away.png"))
        assert moved.status_code == 422
        assert "302" in moved.json()["error"]


def test_by_default_nothing_is_fetched(server: Running, files: str) -> None:
    answer = server.client.post("/v1/segment", json={"url": f"{files}/data/a.png"})
    assert answer.status_code == 403
    assert "--fetch" in answer.json()["error"]
