"""What a server takes: every limit has its status, and nothing that is sent makes it fail."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

import bad_requests
from pyramid_attention.errors import UserError
from pyramid_attention.inference import Segmentation, Segmenter
from pyramid_attention.serving import server as server_module
from pyramid_attention.serving.limits import Limits
from served import SMALL, Running, running

KINDS = bad_requests.kinds(SMALL.max_bytes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_request_is_the_clients_fault_and_the_server_goes_on(server: Running, png: bytes, kind: str) -> None:
    bad = KINDS[kind]
    status, body = bad.send(server.port)
    assert status in bad.statuses, body
    assert b"Traceback" not in body
    assert server.client.post("/v1/segment", content=png).status_code == 200
    assert server.becomes_idle()


def test_slow_clients_are_not_waited_for(segmenter: Segmenter, png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.3)
    with running({"pan-street": segmenter}, dataclasses.replace(SMALL, timeout=0.5)) as server:
        for kind, bad in bad_requests.SLOW.items():
            bad = dataclasses.replace(bad, half_closed=False)
            assert bad.send(server.port)[0] == 408, kind
        assert server.client.post("/v1/segment", content=png).status_code == 200


class Stuck:
    """A Segmenter that waits until it is let go."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.open = threading.Event()
        self.classes, self.max_size = segmenter.classes, segmenter.max_size
        self.plan, self.engine = segmenter.plan, segmenter.engine

    def batch(self, images: list[NDArray[np.uint8]]) -> list[Segmentation]:
        assert self.open.wait(20)
        return self._segmenter.batch(images)

    def __call__(self, image: NDArray[np.uint8], with_confidence: bool = False) -> Segmentation:
        return self.batch([image])[0]


def test_one_request_too_many_is_told_to_come_again(segmenter: Segmenter, png: bytes) -> None:
    stuck = Stuck(segmenter)
    with (
        running({"pan-street": stuck}, dataclasses.replace(SMALL, queue=3)) as server,  # type: ignore[dict-item]
        ThreadPoolExecutor(3) as pool,
    ):
        waiting = [pool.submit(server.client.post, "/v1/segment", content=png) for _ in range(3)]
        while server.service.busy < 3:
            threading.Event().wait(0.01)
        refused = server.client.post("/v1/segment", content=png)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert server.client.get("/health").status_code == 200  # who only looks is not in the queue
        stuck.open.set()
        assert [one.result().status_code for one in waiting] == [200, 200, 200]


def test_an_answer_that_takes_too_long_is_given_up(segmenter: Segmenter, png: bytes) -> None:
    stuck = Stuck(segmenter)
    limits = dataclasses.replace(SMALL, timeout=0.3)
    with running({"pan-street": stuck}, limits) as server:  # type: ignore[dict-item]
        assert server.client.post("/v1/segment", content=png).status_code == 504
        stuck.open.set()
        assert server.client.post("/v1/segment", content=png).status_code == 200


def test_decoded_images_in_memory_are_bounded(segmenter: Segmenter, image: NDArray[np.uint8], png: bytes) -> None:
    stuck = Stuck(segmenter)
    pixels = image.shape[0] * image.shape[1]
    limits = dataclasses.replace(SMALL, max_pixels=pixels)  # room for two
    with running({"pan-street": stuck}, limits) as server, ThreadPoolExecutor(6) as pool:  # type: ignore[dict-item]
        waiting = [pool.submit(server.client.post, "/v1/segment", content=png) for _ in range(6)]
        while server.service.busy < 6:
            threading.Event().wait(0.01)
        threading.Event().wait(0.1)
        assert f"pan_pixels_held {2 * pixels:g}" in server.client.get("/metrics").text
        stuck.open.set()
        assert [one.result().status_code for one in waiting] == [200] * 6


def test_a_key_is_wanted_with_everything_but_the_page_and_health(segmenter: Segmenter, png: bytes) -> None:
    with running({"pan-street": segmenter}, api_key="öpen") as server:
        for headers in ({}, {"authorization": "Bearer no"}, {"x-api-key": ""}, {"authorization": "Basic !"}):
            refused = server.client.post("/v1/segment", content=png, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        for path in ("/v1/models", "/metrics", "/openapi.json", "/nowhere"):
            assert server.client.get(path).status_code == 401
        for path in ("/health", "/v2/health/live", "/v2/health/ready"):
            assert server.client.get(path).status_code == 200
        for headers in ({"authorization": "Bearer öpen".encode()}, {"x-api-key": "öpen".encode()}):
            assert server.client.post("/v1/segment", content=png, headers=headers).status_code == 200
        basic = httpx.BasicAuth("label-studio", "öpen")
        assert server.client.post("/v1/segment", content=png, auth=basic).status_code == 200


@pytest.mark.parametrize("field", ["max_bytes", "max_pixels", "timeout", "queue", "batch"])
def test_a_limit_lets_something_through(field: str) -> None:
    with pytest.raises(UserError, match=f"{field}= must be above 0"):
        Limits(**{field: 0})
    with pytest.raises(UserError, match=f"{field}= must be above 0 and finite, not inf"):
        Limits(**{field: float("inf")})


def test_an_image_waits_shorter_than_its_request() -> None:
    with pytest.raises(UserError, match="wait= is a number of seconds"):
        Limits(timeout=1, wait=2)
