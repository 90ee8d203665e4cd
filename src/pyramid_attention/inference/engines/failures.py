"""What an engine says where it cannot go on; the same for every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError


def out_of_memory(images: NDArray[Any], device: str) -> UserError:
    """The error for memory that ran out while images N×H×W×B were segmented."""
    height, width = images.shape[1:3]
    instead = "" if device == "cpu" else ' or use device="cpu"'
    return UserError(
        f"out of memory on {device} while segmenting {width}×{height} pixels; segment smaller tiles, as with"
        f" tile={max(256, min(height, width) // 2)},{' or' if not instead else ''} scale the image down{instead}"
    )


def check_finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logits, found to be finite.

    Raises:
        UserError: they are not.
    """
    if not np.isfinite(logits).all():
        raise UserError(
            "the network's logits are not finite: its weights are damaged, or training diverged; take another model, or"
            " train with a lower learning rate"
        )
    return logits
