"""A limit on the time that a computation in Python may take.

torch.export reasons about sizes with a computer algebra, and for a few networks that reasoning never ends.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeIsUp(BaseException):
    """Ends the computation. No `Exception`, so that a library which tries the next way after a failure lets it pass."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUp` once the block has computed for so long, in seconds of this process's CPU time.

    A process that shares its cores with others therefore gets no less done. Without effect where Python can set no
    alarm: on Windows, and outside the main thread.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeIsUp(f"it had not ended after {seconds:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds, 1)  # again each second: a callback may lose an exception
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
