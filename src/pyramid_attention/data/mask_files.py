"""Masks as files hold them: images of any kind, arrays of NumPy and of MATLAB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, require
from ..images import MaskValues, count_pages, read_mask_values

STACK_SUFFIXES = frozenset({".tif", ".tiff", ".gif"})
ARRAY_SUFFIXES = frozenset({".npy", ".mat"})
TELLING = ("segm", "label", "mask", "class", "cls", "truth", "gt", "annot")
"""Words in the name of the array of a .mat file that holds the mask, where several could."""


def read_stored(path: Path, size: tuple[int, int] | None = None) -> MaskValues:
    """The values of a mask, of an image (see `read_mask_values`), a .npy or a .mat file.

    Args:
        path: of the file.
        size: height and width of the image, by which the array of a .mat file is found.

    Raises:
        UserError: the file cannot be read, or holds no values that a mask may have.
        MissingExtra: SciPy is needed and not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in ARRAY_SUFFIXES:
        refuse_stack(path)
        return read_mask_values(path)
    array = _read_npy(path) if suffix == ".npy" else _read_mat(path, size)
    if array.dtype.kind in "bu" and array.dtype.itemsize == 1:
        return MaskValues(array.astype(np.uint8))
    if not np.isfinite(array).all() or (array != np.rint(array)).any() or np.abs(array).max(initial=0) > 1 << 30:
        raise UserError(f"{path} holds numbers that are no class ids; save whole numbers")
    return MaskValues(array.astype(np.int32))


def refuse_stack(path: Path) -> None:
    """Raise where a TIFF or GIF holds several pages of one size, of which only the first would be read.

    Raises:
        UserError: it does, or cannot be read.
    """
    if path.suffix.lower() in STACK_SUFFIXES and (pages := count_pages(path)) > 1:
        raise UserError(f"{path} is a stack of {pages} pages; save each page as a file of its own")


def _read_npy(path: Path) -> NDArray[np.generic]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is no array of NumPy, or damaged ({error}); save it again with numpy.save") from error
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array[0] if array.shape[0] == 1 else array[:, :, 0]
    if array.ndim != 2 or array.dtype.kind not in "buif":
        raise UserError(f"{path} holds an array {array.dtype} of shape {array.shape}; a mask is height × width of ids")
    return np.asarray(array)


def _read_mat(path: Path, size: tuple[int, int] | None) -> NDArray[np.generic]:
    """The one array of a MATLAB file that can be the mask: by its shape, then by its name."""
    require("reading masks in .mat files", "scipy")
    from scipy.io import loadmat

    try:
        with open(path, "rb") as file:
            contents = loadmat(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    except Exception as error:  # on a damaged file the reader raises whatever it stumbles over
        raise UserError(
            f"{path} is no MATLAB file or damaged ({error!r}); save it again, as version 7 or older"
        ) from error
    arrays = [found for key, value in contents.items() if not key.startswith("__") for found in _arrays(key, value)]
    shaped = [found for found in arrays if size is None or found[1].shape == size] or arrays
    telling = [found for found in shaped if any(word in found[0].lower() for word in TELLING)]
    for candidates in (shaped, telling):
        if len(candidates) == 1:
            return candidates[0][1]
    names = ", ".join(f"{name} {array.shape[0]}×{array.shape[1]}" for name, array in arrays) or "none of numbers"
    raise UserError(f"{path} does not tell which of its arrays is the mask ({names}); keep one, or call it mask")


def _arrays(name: str, value: object) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """The arrays of numbers with two sides in a value, also within structures and cells, each with its name."""
    if not isinstance(value, np.ndarray) or not value.size:
        return
    if value.dtype.names is not None:
        for field in value.dtype.names:
            yield from _arrays(field, value.ravel()[0][field])
    elif value.dtype == object:
        yield from _arrays(name, value.ravel()[0])
    elif value.ndim == 2 and min(value.shape) > 1 and value.dtype.kind in "buif":
        yield name, value
