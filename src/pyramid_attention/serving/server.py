"""The process that serves: its port, its clients' patience, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import UserError
from .app import create_app
from .service import Service

HEAD_SECONDS = 10.0
"""For which a client may take to send the head of a request."""
DRAIN_SECONDS = 1.0
"""For which a server that is to end still takes requests, each on a connection that ends with the answer."""
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def listen(host: str, port: int) -> socket.socket:
    """Take a port.

    Raises:
        UserError: it is in use, or not ours to take; there is no such host.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror  # names that nobody knows have numbers below 0
        raise UserError(
            f"port {port} of {host} cannot be used ({reason}); choose another with port=, or 0 for a free one"
        ) from error


def serve(
    service: Service, listener: socket.socket, api_key: str | None = None, on_ready: Callable[[], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM; then finish what was accepted.

    Args:
        service: the models.
        listener: see `listen`.
        api_key: see `create_app`.
        on_ready: called once requests are answered.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        create_app(service, api_key),
        http=_Protocol,
        ws="none",
        log_config=None,
        log_level="error",  # answers say what clients get wrong; a log of it would be theirs to fill
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(service.limits.timeout) + 5,
    )
    _Server(config, service, on_ready).run(sockets=[listener])


class _Protocol(H11Protocol):
    """uvicorn's, with an end to the patience with those who do not finish the head of a request."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        waiting = self.conn.their_state is h11.IDLE
        if self._patience is not None and not waiting:
            self._patience.cancel()
            self._patience = None
        elif self._patience is None and waiting:
            self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(TOO_SLOW)
            self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's, which drains before it ends: answers close their connections, so that no client sends in vain."""

    def __init__(self, config: uvicorn.Config, service: Service, on_ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._service = service
        self._on_ready = on_ready
        self._drained = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_ready is not None:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        ends = self._service.draining and (time.monotonic() > self._drained or not self.server_state.connections)
        return await super().on_tick(counter) or ends

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self._service.draining:
            self._service.draining = True
            self._drained = time.monotonic() + DRAIN_SECONDS
        elif sig == signal.SIGINT:  # the second Ctrl-C means it
            self.force_exit = self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while serving; unlike uvicorn, do not raise them again: this end is no failure."""
        before = {}
        with suppress(ValueError):  # only the main thread may
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
