"""What long work shows while it goes on, without a terminal."""

from __future__ import annotations

import pytest

from pyramid_attention.report.progress import progress


@pytest.mark.parametrize(("total", "said"), [(0, ""), (2, "drawing: 2/2, "), (None, "drawing: 2, ")])
def test_a_last_line_counts_the_pieces_and_of_none_nothing_is_shown(
    capsys: pytest.CaptureFixture[str], total: int | None, said: str
) -> None:
    with progress("drawing", total) as advance:
        for _ in range(2 if total is None else total):
            advance()
    printed = capsys.readouterr().err
    assert printed.startswith(said)
    assert printed.count("\n") == bool(said)
