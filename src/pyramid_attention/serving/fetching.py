"""Images by address: from nowhere, unless whoever runs the server names from where."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Sequence
from email.message import Message
from typing import IO
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from ..errors import UserError
from .limits import Refused

CHUNK = 1 << 16


class Fetcher:
    """Gets what lies under some addresses, and nothing else: no redirects, no proxies, no other schemes.

    Args:
        prefixes: addresses under which everything may be fetched, such as "http://localhost:8080/data/".
        token: is sent along as `Authorization: Token …`, which is how Label Studio knows its own.
        max_bytes: larger answers are refused.
        timeout: seconds for a whole answer.

    Raises:
        UserError: a prefix that is no http or https address.
    """

    def __init__(self, prefixes: Sequence[str], token: str | None, max_bytes: int, timeout: float) -> None:
        for prefix in prefixes:
            parts = _split(prefix)
            if parts is None or not parts.hostname or parts.scheme not in ("http", "https"):
                raise UserError(f"fetch= is a list of addresses such as http://localhost:8080/, not '{prefix}'")
        self._prefixes = [prefix if prefix.endswith("/") else f"{prefix}/" for prefix in prefixes]
        self._headers = {} if token is None else {"Authorization": f"Token {token}"}
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)

    def allowed(self, address: str) -> bool:
        """Whether an address lies under one of the prefixes."""
        parts = _split(address)
        if parts is None or parts.username is not None or ".." in unquote(parts.path).split("/"):
            return False
        for prefix in map(urlsplit, self._prefixes):
            same = (parts.scheme, parts.hostname, parts.port) == (prefix.scheme, prefix.hostname, prefix.port)
            if same and parts.path.startswith(prefix.path):
                return True
        return False

    def fetch(self, address: str) -> bytes:
        """Get what lies at an address; one without a host is looked for on the first prefix's.

        Raises:
            Refused: 403 for an address from which nothing is fetched, 413 for too much, 422 where nothing comes.
        """
        if self._prefixes and _split(address) is not None:
            address = urljoin(self._prefixes[0], address)
        if not self.allowed(address):
            raise Refused(
                403, "this server does not fetch that address; send the image itself, or start it with --fetch ADDRESS"
            )
        ends = time.monotonic() + self._timeout
        try:
            with self._opener.open(
                urllib.request.Request(address, headers=self._headers), timeout=self._timeout
            ) as got:
                content = bytearray()
                while chunk := got.read1(CHUNK):
                    content += chunk
                    if len(content) > self._max_bytes:
                        raise Refused(413, f"what lies at {address} has more than {self._max_bytes:,} bytes")
                    if time.monotonic() > ends:
                        raise TimeoutError(f"it takes longer than {self._timeout:g} s")
        except (OSError, ValueError) as error:  # urllib's own errors are of these kinds
            raise Refused(422, f"{address} cannot be fetched: {error}") from None
        return bytes(content)


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port  # is read, and may be wrong, only now
        return parts
    except ValueError:
        return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Go nowhere else: an address that is allowed may point to one that is not."""
