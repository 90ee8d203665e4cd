"""What an exported `.onnx` file says of itself: its classes, how its scores lie, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...classes import ClassTable
from ...errors import UserError

KEY = "pyramid_attention"
"""Under this name the file's metadata hold one JSON object."""
FORMAT_VERSION = 1
INPUT, LABELS, SCORES = "images", "labels", "scores"


@dataclass(frozen=True)
class Description:
    """What an engine has to know of a file.

    Attributes:
        classes: what its scores are for.
        size_divisor, align_corners: see `Engine`.
        metadata: the rest, as the Segmenter passes it on: recipe, validation, accuracy, ….
        trainable: what the graph alone does not tell somebody who wants to train the network again: `mean` and `std` of
            its images, `norms`, as they were before they were folded into its convolutions (see `pack_norms`), and
            `elsewhere`, the parameters that are no tensors of the graph under their own name and shape: the name of the
            tensor and how its axes are to be permuted, or the numbers themselves.
    """

    classes: ClassTable
    size_divisor: int
    align_corners: bool
    metadata: dict[str, Any]
    trainable: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """As it is written into a file."""
        data = {
            "format_version": FORMAT_VERSION,
            "classes": self.classes.to_dict(),
            "size_divisor": self.size_divisor,
            "align_corners": self.align_corners,
            "metadata": self.metadata,
            "trainable": self.trainable,
        }
        return json.dumps(data, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, path: Path) -> Description:
        """The inverse of `to_json`.

        Raises:
            UserError: it is damaged, or written by a newer version.
        """
        try:
            data = json.loads(text)
            version = data["format_version"]
            if not isinstance(version, int) or version > FORMAT_VERSION:
                made = data.get("metadata", {}).get("library_version", "a newer version")
                raise UserError(
                    f"{path} has format {version}, written by pyramid-attention {made}, and this version reads format"
                    f" {FORMAT_VERSION}; update pyramid-attention"
                )
            return cls(
                ClassTable.from_dict(data["classes"]),
                int(data["size_divisor"]),
                bool(data["align_corners"]),
                dict(data["metadata"]),
                dict(data.get("trainable", {})),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise UserError(
                f"the metadata of {path} are damaged ({type(error).__name__}: {error}); export it again"
            ) from error


def describe(session: Any, path: Path, names: Sequence[str] | None) -> Description:
    """What a file says of itself, or what the user says of a file that says nothing.

    Args:
        session: the file in ONNX Runtime.
        path: of the file, for messages.
        names: of its classes, where it does not hold them.

    Raises:
        UserError: its inputs and outputs are not those of an exported model; it holds no metadata and no names are
            given, or both; another number of names.
    """
    inputs, outputs = session.get_inputs(), {output.name: output for output in session.get_outputs()}
    wanted = f"uint8 images '{INPUT}' N×H×W×3 in, '{SCORES}' N×C×h×w out"
    if [(one.name, one.type, len(one.shape)) for one in inputs] != [
        (INPUT, "tensor(uint8)", 4)
    ] or SCORES not in outputs:
        has = ", ".join(f"'{one.name}' {one.type} of {len(one.shape)} dimensions" for one in inputs)
        gives = ", ".join(f"'{name}'" for name in outputs)
        raise UserError(
            f"{path} is not a model that 'pan export' made: it takes {has} and gives {gives}; needed are {wanted}"
        )
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    count = outputs[SCORES].shape[1]
    if text is not None:
        if names is not None:
            raise UserError(f"{path} names its own classes; leave out classes=")
        return Description.from_json(text, path)
    if names is None:
        classes = f"{count} classes" if isinstance(count, int) else "classes"
        raise UserError(
            f"{path} holds no metadata of pyramid-attention, so what its {classes} are called is missing; name them"
            " with classes=, or export the model again"
        )
    if isinstance(count, int) and count != len(names):
        raise UserError(f"{path} has {count} classes and classes= names {len(names)}")
    return Description(ClassTable.of(list(names)), 1, False, {})
