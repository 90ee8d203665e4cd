"""NumPy arrays in `.npy` files, mapped into memory: H×W, or H×W×B."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import UserError
from .stored import StoredRaster


def open_npy(path: Path) -> StoredRaster:
    """Open an array H×W or H×W×B.

    Raises:
        UserError: it is damaged, of other dimensions, or of values that cannot be segmented.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python, and raises whatever a damaged one leads to
        raise UserError(f"{path} is damaged or no array of numbers ({error}); check the file") from error
    return StoredRaster(path, array, {2: "YX", 3: "YXC"}.get(array.ndim, "?" * array.ndim))
