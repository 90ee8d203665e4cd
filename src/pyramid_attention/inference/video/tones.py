"""From HDR to the tones that networks are trained on: PQ and HLG in BT.2020 become BT.709 as screens show it.

Light is taken as a display of 1,000 cd/m² would show it, relative to HDR's reference white, 203 cd/m² (ITU-R BT.2408).
The primaries become those of BT.709 (ITU-R BT.2087), what is brighter than white is compressed by the luminance-wise
curve L·(1 + L/W²)/(1 + L) (Reinhard et al., SIGGRAPH 2002, eq. 4), and BT.1886's inverse, x^(1/2.4), gives the values.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18
"""Transfer characteristics of ITU-T H.273 that are HDR: SMPTE ST 2084, and hybrid log-gamma (ITU-R BT.2100)."""
WHITE, PEAK = 203.0, 1000.0
TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)
"""Linear RGB of BT.2020 to BT.709 (ITU-R BT.2087)."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


@cache
def light(transfer: int) -> NDArray[np.float32]:
    """The light, relative to reference white, that each of the 65,536 values of a channel stands for.

    Args:
        transfer: `PQ` or `HLG`.
    """
    value = np.arange(1 << 16) / ((1 << 16) - 1)
    if transfer == PQ:  # SMPTE ST 2084: EOTF
        power = value ** (1 / 78.84375)
        nits = 10000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    else:  # BT.2100: inverse OETF, and the display's gamma of 1.2 on each channel
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)
        nits = PEAK * scene**1.2
    return (nits / WHITE).astype(np.float32)


def to_sdr(image: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """Map an HDR image's tones.

    Args:
        image: H×W×3 (uint16, all of its range) RGB in BT.2020.
        transfer: `PQ` or `HLG`.

    Returns:
        H×W×3 (uint8) RGB in BT.709.
    """
    linear = np.maximum(light(transfer)[image] @ TO_709.T, 0)
    luminance = linear @ LUMINANCE
    brightest = PEAK / WHITE
    linear *= ((1 + luminance / brightest**2) / (1 + luminance))[..., None]
    sdr: NDArray[np.uint8] = np.rint(255 * np.minimum(linear, 1) ** (1 / 2.4)).astype(np.uint8)
    return sdr
