"""Reading ahead: in order, not too far, broken ones among the rest, and left without a wait."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from pyramid_attention.inference.prefetch import prefetch


def test_results_come_in_order_and_errors_with_their_own_item():
    results = list(prefetch(lambda item: 6 // item, [3, 0, 2]))
    assert [item for item, _ in results] == [3, 0, 2]
    assert (results[0][1].result(), results[2][1].result()) == (2, 3)
    with pytest.raises(ZeroDivisionError):
        results[1][1].result()


def test_no_more_than_so_many_are_taken_ahead_of_the_one_that_is_worked_on():
    taken = []

    def items():
        for item in range(20):
            taken.append(item)
            yield item

    for item, future in prefetch(lambda item: item, items(), 3):
        assert future.result() == item
        assert len(taken) <= item + 4


def test_a_loop_that_is_left_early_waits_for_nothing():
    gate = threading.Event()
    loop = prefetch(lambda item: gate.wait(60), range(100))
    next(loop)
    loop.close()
    gate.set()


COLLECTED = """
import gc, threading
from pyramid_attention.inference.prefetch import prefetch

class Lock:  # the one that a thread holds while it starts another: anything allocated there may collect garbage
    def __enter__(self):
        lock.acquire()
        gc.collect()

    def __exit__(self, *error):
        lock.release()

class Cycle:
    pass

def leave():
    cycle = Cycle()
    cycle.itself, cycle.loop = cycle, prefetch(abs, range(100))
    next(cycle.loop)

gc.disable()
leave()
lock, threading._active_limbo_lock = threading._active_limbo_lock, Lock()
threading.Thread(target=print).start()
"""


def test_a_loop_that_was_left_by_an_error_may_be_collected_while_a_thread_starts():
    subprocess.run([sys.executable, "-c", COLLECTED], check=True, timeout=60)
