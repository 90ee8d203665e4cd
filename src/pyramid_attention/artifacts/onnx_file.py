"""Exported files: one `.onnx` file that holds the graph, the weights, and everything that is known of the model.

The model's info is the last entry of the file's metadata, under the key `pyramid_attention`. Its `weights_sha256` is
the digest of all the other bytes of the file, and its `digest` that of itself: together they cover every byte that
means something. A second entry holds what it takes to train the network again (see `onnx_weights`).
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .info import ModelInfo
from .integrity import check_bytes, read_bytes
from .locate import Located
from .network import build_described
from .protobuf import read_fields

if TYPE_CHECKING:
    import onnx

    from ..models import SegmentationModel

KEY, TRAINING_KEY = "pyramid_attention", "pyramid_attention_training"
"""Under these names the file's metadata hold one JSON object each."""
OWN = b'"weights_sha256": "'
"""What stands in the model's info and in no file of another program."""
INPUT, LABELS, SCORES = "images", "labels", "scores"
"""What goes into the graph and what comes out."""
MODEL_METADATA = 14
ENTRY_KEY, ENTRY_VALUE = 1, 2


def read_info(path: Path) -> ModelInfo:
    """What an exported file says of its model; the weights are not read, and so not checked.

    Raises:
        UserError: it cannot be read, is damaged, of another version's format, or no file that `pan export` made.
    """
    try:
        with (
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            memoryview(data) as view,
        ):
            found = _find_info(view, path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions and the disk") from error
    except ValueError:  # an empty file cannot be mapped
        raise _damaged(path, "it is empty") from None
    if found is None:
        raise UserError(f"{path} holds no model info of pyramid-attention; export the model again")
    return found[0]


def read_file(model: Located, names: Sequence[str] | None = None) -> tuple[bytes, ModelInfo | None]:
    """The bytes of an exported file, checked, and what they say of the model.

    Args:
        model: the file.
        names: of the classes of another program's file.

    Returns:
        None in place of the info where the file is another program's; then nothing is checked.

    Raises:
        UserError: it cannot be read, is damaged, of another version's format, or names its own classes.
    """
    data, stat = read_bytes(model.path)
    view = memoryview(data)
    found = _find_info(view, model.path)
    if model.sha256 is not None:
        check_bytes(model.path, stat, [data], model.sha256)
    if found is None:
        if OWN in data:
            raise _damaged(model.path, "what it says of the model is not where it was written")
        return data, None
    info, begin, end = found
    if names is not None:
        raise UserError(f"{model.path} names its own classes; leave out classes=")
    if model.sha256 is None:
        check_bytes(model.path, stat, [view[:begin], view[end:]], info.weights_sha256)
    return data, info


def _find_info(view: memoryview, path: Path) -> tuple[ModelInfo, int, int] | None:
    """The model's info, and where its entry begins and ends; None where there is none."""
    found = None
    try:
        for entry in read_fields(view):
            if entry.number != MODEL_METADATA:
                continue
            content = bytes(view[entry.content : entry.end])
            values = {field.number: content[field.content : field.end] for field in read_fields(content)}
            if values.get(ENTRY_KEY) == KEY.encode():
                found = values.get(ENTRY_VALUE, b""), entry.begin, entry.end
    except ValueError as error:
        raise _damaged(path, f"it is cut off, or no ONNX model ({error})") from error
    return None if found is None else (ModelInfo.from_json(found[0], path), *found[1:])


def _damaged(path: Path, how: str) -> UserError:
    return UserError(f"{path} is damaged: {how}; get or export it again")


def write_file(model: onnx.ModelProto, path: Path, info: ModelInfo, training: Mapping[str, Any] | None = None) -> None:
    """Check a graph and write it as one file, with what is known of the model.

    Args:
        model: the graph; its metadata are replaced.
        path: of the file.
        info: what the file says of the model; its `weights_sha256` is filled in.
        training: what it takes to train the network again, see `onnx_weights.encode`.
    """
    import onnx

    onnx.checker.check_model(model)
    del model.metadata_props[:]
    if training is not None:
        model.metadata_props.add(key=TRAINING_KEY, value=json.dumps(training))
    rest = model.SerializeToString()
    info = replace(info, weights_sha256=hashlib.sha256(rest).hexdigest())
    # Messages one after the other are one message that has the fields of both.
    last = onnx.ModelProto(metadata_props=[onnx.StringStringEntryProto(key=KEY, value=info.to_json())])
    path.write_bytes(rest + last.SerializeToString())


def load_file(model: Located, parts: Iterable[type | str] = ()) -> SegmentationModel:
    """The network that a file was exported from, its norms no longer folded into its convolutions; see `load_model`.

    Raises:
        UserError: the file is damaged, of 8 bits, or holds too little to make the network again.
    """
    import onnx

    from .onnx_weights import decode

    path = model.path
    data, info = read_file(model)
    if info is None:
        raise UserError(f"{path} is not a model that 'pan export' made, and only such can be trained again")
    if info.precision == "int8":
        raise UserError(f"{path} has 8-bit weights, which cannot be trained; name the model it was exported from")
    network = build_described(info, path, parts)
    try:
        graph = onnx.load_from_string(data)
        training = next(entry.value for entry in graph.metadata_props if entry.key == TRAINING_KEY)
        decode(network, graph, json.loads(training))
    except (StopIteration, KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} does not hold all that its network needs to be trained again ({error}); export it again, or name"
            " the model it was exported from"
        ) from error
    return network.eval()
