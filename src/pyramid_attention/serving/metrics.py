"""Counters of a server in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
COUNTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

HELP = {
    "pan_requests_busy": "Requests being worked on or waiting.",
    "pan_pixels_held": "Pixels of decoded images in memory.",
    "pan_requests_total": "Requests answered, by path and status.",
    "pan_request_seconds": "Seconds from a request to the end of its answer.",
    "pan_images_total": "Images segmented.",
    "pan_batch_images": "Images that went through the network together.",
    "pan_queue_seconds": "Seconds that an image waited for the network.",
    "pan_network_seconds": "Seconds that the network worked on a batch, until its labels were there.",
}

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters and histograms that any thread may add to, and gauges that are read when they are asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._histograms: dict[str, dict[Labels, _Histogram]] = defaultdict(dict)
        self._gauges: dict[str, Callable[[], float]] = {}

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Add a gauge, and how it is read."""
        self._gauges[name] = read

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[name][tuple(labels.items())] += amount

    def observe(self, name: str, value: float, bounds: tuple[float, ...] = SECONDS, **labels: str) -> None:
        """Add a value to a histogram."""
        with self._lock:
            self._histograms[name].setdefault(tuple(labels.items()), _Histogram(bounds)).add(value)

    def render(self) -> str:
        """Everything, as Prometheus reads it."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, read in self._gauges.items():
            yield from self._head(name, "gauge")
            yield f"{name} {read():g}"
        for name, counter in self._counters.items():
            yield from self._head(name, "counter")
            yield from (f"{name}{_braces(labels)} {value:.17g}" for labels, value in counter.items())
        for name, histograms in self._histograms.items():
            yield from self._head(name, "histogram")
            for labels, histogram in histograms.items():
                so_far = 0
                for bound, amount in zip((*map(repr, histogram.bounds), "+Inf"), histogram.amounts, strict=True):
                    so_far += amount
                    yield f"{name}_bucket{_braces((*labels, ('le', bound)))} {so_far}"
                yield f"{name}_sum{_braces(labels)} {histogram.total:.17g}"
                yield f"{name}_count{_braces(labels)} {so_far}"

    @staticmethod
    def _head(name: str, kind: str) -> tuple[str, str]:
        return f"# HELP {name} {HELP[name]}", f"# TYPE {name} {kind}"


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.amounts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.amounts[bisect_left(self.bounds, value)] += 1
        self.total += value


def _braces(labels: Labels) -> str:
    escaped = ((name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels)
    inside = ",".join(f'{name}="{value}"' for name, value in escaped)
    return f"{{{inside}}}" if inside else ""
