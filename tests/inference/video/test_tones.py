"""HDR's tones against closed forms and against an implementation of the standards."""

from __future__ import annotations

import numpy as np
import pytest

from pyramid_attention.inference.video.tones import HLG, PQ, light, to_sdr


@pytest.mark.parametrize(
    ("code", "nits"), [(0.0, 0.0), (0.508078, 100.0), (0.580689, 203.0), (0.751827, 1000.0), (1.0, 10000.0)]
)
def test_pq_stands_for_the_light_of_st_2084(code, nits):
    """Pairs of the standard's curve, as ITU-R BT.2408, table 1, and BT.2390 give them."""
    assert light(PQ)[round(code * 65535)] * 203 == pytest.approx(nits, rel=2e-3, abs=1e-3)


def test_hlg_stands_for_the_light_of_a_display_of_1000_nits():
    """75 % of HLG is the reference white of 203 cd/m², 100 % the peak (ITU-R BT.2408, table 1)."""
    assert light(HLG)[round(0.75 * 65535)] * 203 == pytest.approx(203, rel=2e-2)
    assert light(HLG)[-1] * 203 == pytest.approx(1000, rel=1e-3)
    assert light(HLG)[0] == 0


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brighter_stays_brighter_and_grey_stays_grey(transfer):
    ramp = np.repeat(np.linspace(0, 65535, 200).astype(np.uint16)[None, :, None], 3, axis=2)
    mapped = to_sdr(ramp, transfer)[0].astype(int)
    assert (np.diff(mapped, axis=0) >= 0).all()
    assert np.ptp(mapped, axis=1).max() <= 1
    assert (mapped[0] == 0).all()
    assert mapped[-1].min() >= 254


def test_white_becomes_what_the_curve_says():
    white = np.full((1, 1, 3), round(0.580689 * 65535), np.uint16)
    expected = 255 * ((1 + (203 / 1000) ** 2) / 2) ** (1 / 2.4)
    assert np.abs(to_sdr(white, PQ).astype(float) - expected).max() <= 1
