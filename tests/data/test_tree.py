"""A folder listed once."""

import gc

import pytest

from pyramid_attention.data.tree import collector_paused


def fail_while_paused() -> None:
    with collector_paused():
        assert not gc.isenabled()
        raise KeyError


@pytest.mark.parametrize("running", [True, False])
def test_the_collector_is_as_it_was_even_after_an_error(running: bool) -> None:
    (gc.enable if running else gc.disable)()
    try:
        with pytest.raises(KeyError):
            fail_while_paused()
        assert gc.isenabled() == running
    finally:
        gc.enable()
