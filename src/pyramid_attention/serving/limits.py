"""What a server takes, and how it says no: every limit has its HTTP status."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import UserError

FORMATS = ("png", "json")
"""In which a segmentation is sent."""


@dataclass(frozen=True)
class Limits:
    """The bounds of a server, all of them per process.

    Attributes:
        max_bytes: of a request's body; more is 413.
        max_pixels: of an image; more is 413. Images that have been decoded and wait may have twice as many together.
        timeout: seconds from the first byte of a request to its answer; a body that takes longer to arrive is 408, an
            answer 504.
        queue: requests that are being worked on or wait; one more is 503.
        batch: images of one size that go through the network together, at most.
        wait: seconds that an image waits for others of its size, at most.

    Raises:
        UserError: a limit that lets nothing through.
    """

    max_bytes: int = 32 << 20
    max_pixels: int = 50_000_000
    timeout: float = 60.0
    queue: int = 64
    batch: int = 8
    wait: float = 0.002

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels", "timeout", "queue", "batch"):
            if not 0 < vars(self)[name] < math.inf:
                raise UserError(f"{name}= must be above 0 and finite, not {vars(self)[name]}")
        if not 0 <= self.wait < self.timeout:
            raise UserError(f"wait= is a number of seconds from 0 to below timeout={self.timeout:g}, not {self.wait:g}")


@dataclass
class Refused(Exception):
    """A request that is not answered with a result, and one line that says why and how to mend it."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
