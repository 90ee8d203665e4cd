"""A server in this process, on a port of the loopback interface."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from pyramid_attention.inference import Segmenter
from pyramid_attention.serving.fetching import Fetcher
from pyramid_attention.serving.limits import Limits
from pyramid_attention.serving.server import listen, serve
from pyramid_attention.serving.service import Service

SMALL = Limits(max_bytes=1 << 20, max_pixels=200_000, timeout=20.0, queue=16)


@dataclass(frozen=True)
class Running:
    """A server, and a client of it."""

    service: Service
    client: httpx.Client
    port: int

    def becomes_idle(self) -> bool:
        """Whether no request is being worked on, soon after the last answer."""
        for _ in range(500):
            if self.service.busy == 0:
                return True
            time.sleep(0.01)
        return False


@contextmanager
def running(
    segmenters: dict[str, Segmenter], limits: Limits = SMALL, api_key: str | None = None, fetch: tuple[str, ...] = ()
) -> Iterator[Running]:
    service = Service(segmenters, limits, Fetcher(fetch, "secret", limits.max_bytes, limits.timeout))
    ready = threading.Event()
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, args=(service, listener, api_key, ready.set))
        thread.start()
        try:
            assert ready.wait(20)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
                yield Running(service, client, port)
        finally:
            service.draining = True
            thread.join(30)
    assert not thread.is_alive()
