"""Progress of long work: a bar with rate and time left on a terminal, plain lines elsewhere; both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

LINE_EVERY = 10.0
"""Seconds between two plain lines."""


def clock(seconds: float) -> str:
    """A duration as people read it: 0:07, 12:34, 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Give a function to be called after each of `total` pieces of work; None where nobody knows how many there are.

    A terminal shows a bar with rate and time left; elsewhere a plain line comes every `LINE_EVERY` seconds, and a last
    one at the end. Of no pieces nothing is shown.
    """
    if total == 0:
        yield lambda: None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        lines = _Lines(description, total)
        yield lines.advance
        lines.end()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console) as bar:
        line = bar.add_task(description, total=total)
        yield lambda: bar.advance(line)


class _Lines:
    """Plain lines in place of a bar."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description, self.total, self.done = description, total, 0
        self.begun = self.printed = time.monotonic()

    def advance(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.printed >= LINE_EVERY and self.done != self.total:
            more = (self.total or 0) - self.done
            self._print(now, f", {clock((now - self.begun) / self.done * more)} left" if more > 0 else "")
            self.printed = now

    def end(self) -> None:
        now = time.monotonic()
        self._print(now, f" in {clock(now - self.begun)}")

    def _print(self, now: float, rest: str) -> None:
        rate = self.done / max(now - self.begun, 1e-9)
        of = "" if self.total is None else f"/{self.total}"
        print(f"{self.description}: {self.done}{of}, {rate:.1f}/s{rest}", file=sys.stderr, flush=True)
