"""What stands before every request: the key, the limits, and one form for every refusal."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from base64 import b64decode
from collections.abc import Collection
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import Refused
from .service import Service

LINGER, LINGER_BYTES = 2.0, 64 << 20
"""Seconds for which, and bytes that, what a refused client still sends is read: a connection that is closed while data
arrive takes the answer along."""

log = logging.getLogger("pyramid_attention.serving")


def refusal(refused: Refused) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a refused request: JSON, `{"error": …}`, as the protocols have it."""
    body = json.dumps({"error": " ".join(refused.message.split())}, ensure_ascii=False).encode()
    return refused.status, {"content-type": "application/json", **refused.headers}, body


class Guard:
    """An ASGI application around another.

    Args:
        app: the other.
        service: its limits hold, and its metrics count.
        api_key: must come with every request but those for `open_paths`; None for none.
        open_paths: need no key.
    """

    def __init__(self, app: ASGIApp, service: Service, api_key: str | None, open_paths: Collection[str]) -> None:
        self.app = app
        self.service = service
        self._key = None if api_key is None else _digest(api_key.encode())
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        exchange = _Exchange(scope, receive, send, self.service)
        try:
            self._check_key(scope["path"], exchange.headers)
            await self._answer(scope, exchange)
        except Refused as refused:
            await exchange.refuse(refused)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            await exchange.refuse(Refused(500, "the server failed; its log says more"))
        route = getattr(scope.get("route"), "path", "other")
        self.service.metrics.count("pan_requests_total", path=route, status=str(exchange.status))
        self.service.metrics.observe("pan_request_seconds", time.monotonic() - began, path=route)

    async def _answer(self, scope: Scope, exchange: _Exchange) -> None:
        limits = self.service.limits
        if scope["method"] in ("GET", "HEAD"):
            await self.app(scope, exchange.receive, exchange.send)
            return
        length = exchange.headers.get("content-length", "0")
        if length.isdigit() and int(length) > limits.max_bytes:
            raise exchange.too_large()
        with self.service.slot():
            try:
                await asyncio.wait_for(self.app(scope, exchange.receive, exchange.send), limits.timeout)
            except asyncio.TimeoutError:
                if exchange.whole:
                    raise Refused(504, f"the answer takes longer than {limits.timeout:g} s; try again") from None
                raise Refused(408, f"the body takes longer than {limits.timeout:g} s to arrive") from None

    def _check_key(self, path: str, headers: Headers) -> None:
        if self._key is None or path in self._open:
            return
        if not hmac.compare_digest(self._key, _digest(_given_key(headers))):
            raise Refused(401, "this server wants its key: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})


def _digest(key: bytes) -> bytes:
    """The key as so many bytes whatever its length, so that a comparison always takes the same time."""
    return hashlib.sha256(key).digest()


def _given_key(headers: Headers) -> bytes:
    """The key that comes as a bearer token, as the password of basic authentication, or in a header of its own."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode("latin-1")  # as it came
    if scheme.lower() == "basic":
        try:
            return b64decode(rest, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return headers.get("x-api-key", "").encode("latin-1")


class _Exchange:
    """One request and its answer, watched.

    Attributes:
        whole: the request's body has arrived.
        status: of the answer; 0 before there is one.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        self._receive, self._send, self._service = receive, send, service
        self.headers = Headers(scope=scope)
        self.whole = scope["method"] in ("GET", "HEAD")
        self.status = 0
        self._size = 0

    def too_large(self) -> Refused:
        return Refused(413, f"the body has more than {self._service.limits.max_bytes:,} bytes, the limit here")

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.whole = self.whole or not message.get("more_body", False)
            self._size += len(message.get("body", b""))
            if self._size > self._service.limits.max_bytes:
                raise self.too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            closing = self._service.draining or not self.whole
            message = {**message, "headers": [*message["headers"], *([(b"connection", b"close")] if closing else [])]}
        elif not self.whole and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _linger(self) -> None:
        async def read_on() -> None:
            read = 0
            while read < LINGER_BYTES:
                message = await self._receive()
                read += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return

        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(read_on(), LINGER)

    async def refuse(self, refused: Refused) -> None:
        """Answer with a refusal, unless an answer has begun."""
        if self.status:
            return
        status, headers, body = refusal(refused)
        headers = {**headers, "content-length": str(len(body))}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})
