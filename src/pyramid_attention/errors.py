"""Errors a user can act on: one line that says what, where and how to mend it.

Everything that is a user's mistake (a file, a name, a setting) is raised as `UserError`; the command line prints its
text on one line and exits with `UserError.exit_code`. Anything else that escapes is a defect of ours and keeps its
traceback.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable, Sequence

EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "timm": "train",
    "lightning": "train",
    "matplotlib": "train",
    "scipy": "train",
    "pycocotools": "train",
    "pyarrow": "tables",
    "onnx": "train",
    "onnxscript": "train",
    "huggingface_hub": "train",
    "openvino": "openvino",
    "ray": "scale",
    "fsspec": "scale",
    "s3fs": "scale",
    "gcsfs": "scale",
    "adlfs": "scale",
    "aiohttp": "scale",
    "rasterio": "geo",
    "pyogrio": "geo",
    "shapely": "geo",
    "tifffile": "micro",
    "zarr": "micro",
    "av": "video",
    "cv2": "video",
    "fastapi": "serve",
    "uvicorn": "serve",
    "python_multipart": "serve",
}


class UserError(Exception):
    """A mistake the user can mend. The message is one line: what is wrong, where, and what to do about it.

    Attributes:
        more: further lines, such as command lines to choose from.
    """

    exit_code = 2

    def __init__(self, message: str, *more: str) -> None:
        super().__init__(" ".join(str(message).split()))
        self.more = more


class SomeFailed(UserError):
    """Some inputs of many failed and the rest were done."""

    exit_code = 1


def check_failures(reasons: Sequence[str], done: int, what: str) -> None:
    """Raise where some of many inputs failed.

    Args:
        reasons: of each that failed, why.
        done: how many did not.
        what: the inputs are called, in the plural.

    Raises:
        SomeFailed: the others were done.
        UserError: there are no others.
    """
    if not reasons:
        return
    count = len(reasons)
    first = reasons[0] + (" …" if count > 1 else "")
    if done:
        raise SomeFailed(f"{count} of {count + done} {what} failed, the others are done: {first}")
    raise UserError(first if count == 1 else f"all {count} {what} failed: {first}")


class NoPairs(UserError):
    """The patterns of a data set's images and masks match nothing."""


class MissingExtra(UserError):
    """A command or a name needs packages of an extra that is not installed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: `" Did you mean 'a' or 'b'?"`, or the whole list where nothing is near.

    Begins with a space so that it can be appended to a sentence; empty where `known` is.
    """
    known = [str(k) for k in known]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if len(close) > 1 and difflib.SequenceMatcher(None, name, close[0]).ratio() > 0.9:
        close = close[:1]  # a slip of one letter: the others only distract
    if close:
        return " Did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return f" Known: {', '.join(sorted(known))}." if known else ""


def is_installed(module: str) -> bool:
    """Whether a package can be imported; it is not."""
    return importlib.util.find_spec(module) is not None


def require(what: str, *modules: str) -> None:
    """Check that the optional packages `modules` are installed, without importing them.

    Args:
        what: who needs them, as the user knows it ("pan train").
        modules: import names, each a key of `EXTRAS`.

    Raises:
        MissingExtra: with the `pip install` line that brings them.
    """
    for module in modules:
        if not is_installed(module):
            extra = EXTRAS[module]
            raise MissingExtra(
                f"{what} needs {module}, which is not installed; get it with: pip install 'pyramid-attention[{extra}]'"
            )
