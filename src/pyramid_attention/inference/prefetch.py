"""Reading ahead: the next images are decoded in a thread while the network works on this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int = 3
) -> Iterator[tuple[Item, Future[Result]]]:
    """Yield each item, in order, with the future of `function(item)`; at most `ahead` results wait in memory.

    What `function` raises comes out of that item's `future.result()`, so a loop can go on after a broken file.
    """
    remaining = iter(items)
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        waiting.extend((item, pool.submit(function, item)) for item in islice(remaining, ahead))
        while waiting:
            item, future = waiting.popleft()
            waiting.extend((item, pool.submit(function, item)) for item in islice(remaining, 1))
            yield item, future
    finally:
        for _, future in waiting:  # the loop was left early
            future.cancel()
        # Where an error left it, this may run whenever Python collects what remains of the loop, also while another
        # thread is being started: to wait for ours to end could then be for ever.
        pool.shutdown(wait=False)
