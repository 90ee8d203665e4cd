"""What a saved model is: one description, the same in a model folder and in an exported file.

It is a JSON object that carries two digests: `weights_sha256`, of all the bytes that are not this object, and `digest`,
of the object's other fields. So nothing of a saved model can change unnoticed, and the description can be read and
trusted without reading the weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from typing import Any

from ..classes import ClassTable
from ..errors import UserError
from ..images import RGB, Bands

FORMAT_VERSION = 2
LIBRARY_VERSION = version("pyramid-attention")


@dataclass(frozen=True)
class Flops:
    """Operations of a network for an image, convolutions counted directly, one multiply-add as 2.

    Attributes:
        per_pixel: for each pixel of the image.
        constant: for the whole image.
    """

    per_pixel: float
    constant: float

    def of(self, height: int, width: int) -> float:
        """For an image of this size in pixels."""
        return self.constant + self.per_pixel * height * width


@dataclass(frozen=True)
class ModelInfo:
    """What a saved model says of itself.

    Attributes:
        network: the arguments of `build_model` that make the network again, as plain JSON; empty where there are none.
        classes: what the logits are for, or None where nobody said so.
        bands: what the values of images are.
        mean, std: how images are normalised, one number a band: (image / bands.scale - mean) / std.
        max_size: the longer side, in pixels, to which larger images are to be shrunk for the network; None for never.
        size_divisor: heights and widths must be multiples of this.
        align_corners: how logits lie over pixels, see `inference.upsample.Axis`.
        precision: of the weights, "fp32" or "int8".
        recipe: that the network was trained by, as plain JSON.
        validation: the metrics on the validation split.
        provenance: what else is known of how the model came to be (converted or exported from what, how verified).
        flops: what the network costs, or None where it was not counted.
        attention: names of the maps that an exported file keeps for `pan explain`.
        class_of_channels: of such a file, the class for which each channel of the decoder counts most.
        library_version: of pyramid-attention, that wrote the model.
        weights_sha256: of the model's weights, in hexadecimal; None before they are written.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    classes: ClassTable | None = None
    bands: Bands = RGB
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    max_size: int | None = None
    size_divisor: int = 1
    align_corners: bool = False
    precision: str = "fp32"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    flops: Flops | None = None
    attention: tuple[str, ...] = ()
    class_of_channels: tuple[int, ...] = ()
    library_version: str = LIBRARY_VERSION
    weights_sha256: str | None = None

    def to_json(self) -> str:
        """As it is written, its digest at the end.

        Raises:
            TypeError: a value that JSON does not have, such as a number of NumPy.
            ValueError: NaN or infinity.
        """
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        own["classes"] = None if self.classes is None else self.classes.to_dict()
        own["bands"] = self.bands.to_dict()
        own["flops"] = None if self.flops is None else asdict(self.flops)
        data = json.loads(json.dumps({"format_version": FORMAT_VERSION, **own}, allow_nan=False))
        return json.dumps({**data, "digest": _digest(data)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, content: bytes, path: object) -> ModelInfo:
        """The inverse of `to_json`, of the UTF-8 bytes.

        Args:
            content: the bytes.
            path: where they are from, for messages.

        Raises:
            UserError: they are damaged, or of another version's format.
        """
        try:
            data = json.loads(content)
            digest = data.pop("digest")
            if digest != _digest(data):
                raise UserError(f"{path} is damaged: its model info is not what was written; get or export it again")
            if data["format_version"] != FORMAT_VERSION:
                raise UserError(
                    f"{path} has format {data['format_version']}, written by pyramid-attention"
                    f" {data['library_version']}, and this is {LIBRARY_VERSION}, which reads format {FORMAT_VERSION};"
                    " update pyramid-attention, or make the model again"
                )
            del data["format_version"]
            data["classes"] = None if data["classes"] is None else ClassTable.from_dict(data["classes"])
            data["flops"] = None if data["flops"] is None else Flops(**data["flops"])
            data["bands"] = Bands.from_dict(data["bands"]) if "bands" in data else RGB
            for name in ("mean", "std", "attention", "class_of_channels"):
                data[name] = tuple(data.get(name, ()))
            return cls(**data)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{path} is damaged: it holds no model info of pyramid-attention ({type(error).__name__}: {error}); get"
                " or export it again"
            ) from error


def _digest(data: Mapping[str, Any]) -> str:
    """The SHA-256, in hexadecimal, of a JSON object in its shortest form with sorted keys."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
