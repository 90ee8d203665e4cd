"""An S3 server of the tests' own, of which a part of the requests fail on purpose."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from urllib.request import Request, urlopen

import pytest

ONE_IN = 20


class Failing:
    """A WSGI application that answers one request of `ONE_IN` with 503."""

    def __init__(self, application) -> None:
        self.application, self.numbers, self.lock = application, itertools.count(1), Lock()
        self.active, self.failed = False, 0

    def __call__(self, environ, start_response):
        with self.lock:
            number = next(self.numbers)
        if self.active and number % ONE_IN == 0:
            self.failed += 1
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        return self.application(environ, start_response)


@contextmanager
def s3_server() -> Iterator[Failing]:
    """A server with an empty bucket "bucket"; whoever asks `AWS_ENDPOINT_URL` asks it."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = Failing(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    from threading import Thread

    Thread(target=server.serve_forever, daemon=True).start()
    given = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ |= given
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    # What the server holds is the process's, and outlives it.
    urlopen(Request(f"{given['AWS_ENDPOINT_URL']}/moto-api/reset", method="POST")).close()
    s3fs.S3FileSystem().mkdir("bucket")
    try:
        yield application
    finally:
        server.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
