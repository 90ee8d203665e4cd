"""How a model is run: every option of the Segmenter, once.

`Segmenter.load` takes these fields by name, and each verb of the command line that runs a model has them as its options
(`cli/options.py`). So a new option is a new field here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import UserError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .segmentation import Segmentation

DEVICES = ("auto", "cpu", "cuda", "mps")
DEFAULT_MODEL = "pan-street"
"""What is used where no model is named."""
STEP = 32
"""Tiles begin at multiples of this: the coarsest stride of a backbone, and the largest `Engine.size_divisor`."""
MIN_SIDE = 32
"""Networks are given at least so many pixels a side."""
WHOLE_PIXELS = 1 << 22
"""Images with more pixels (4 megapixels) are segmented by tiles of as many."""
LARGEST_OVERLAP = 384
"""Tiles overlap by at most so many pixels where no overlap is given."""
LEAST_TILE = 128


def _option(default: Any, help: str, metavar: str | None = None) -> Any:
    """A field with what the command line says of it."""
    return field(default=default, metadata={"help": help, "metavar": metavar})


def unknown_device(device: str) -> UserError:
    """The error for a device that no engine knows."""
    return UserError(f"there is no device '{device}'; use one of {', '.join(DEVICES)}")


@dataclass(frozen=True, kw_only=True)
class SegmenterOptions:
    """How a model is run.

    Attributes:
        device: one of `DEVICES`.
        engine: what runs the model, a name of `ENGINES`, or "auto" for the first that can.
        tta: average over scales and flip, see `inference.tta`.
        tile: images with a longer side are segmented by tiles of at most this many pixels a side (rounded down to a
            multiple of 32); by default those of more than `WHOLE_PIXELS`, by tiles of 2048.
        overlap: of the tiles, in pixels (rounded down to a multiple of 32); by default half a tile, at most 384.
        max_size: images with a longer side are shrunk to this one for the network, and their labels found for every
            pixel all the same; 0 never shrinks. By default what the model's info says, since a model that was trained
            on small images finds nothing in large ones; with `tile`, 0.
        classes: names for the classes of an exported file that does not hold them.
        precision: "fp32", or "bf16" for convolutions in half the bits, see `TorchEngine`.
        compile: have `torch.compile` make a program of the network, see `TorchEngine`.

    Raises:
        UserError: a tile of less than 128 pixels, an overlap of more than half of it, or a size of less than 32.
    """

    device: str = _option("auto", "Where to compute: auto, cpu, cuda or mps.")
    engine: str = _option(
        "auto", "What runs the model: auto, onnxruntime or openvino for an .onnx file, torch for a folder."
    )
    tta: bool = _option(False, "Average over six scales and left-right flip: slower by a factor of about 17.")
    tile: int | None = _option(
        None, "Segment images with a longer side by tiles of N pixels; else 2048 above 4 megapixels.", "N"
    )
    overlap: int | None = _option(None, "How far tiles overlap, in pixels; else half a tile, at most 384.", "N")
    max_size: int | None = _option(
        None, "Shrink larger images to this longer side for the network (0: never); by default as the model says.", "N"
    )
    classes: Sequence[str] | None = _option(
        None, "The classes of an .onnx file that does not name them, in order.", "NAME,NAME,…"
    )
    precision: str = _option("fp32", "fp32, or bf16 for the torch engine where the device is fast with it.")
    compile: bool = _option(False, "Have torch.compile speed the torch engine up; takes a minute at first.")

    def __post_init__(self) -> None:
        if self.tile is not None and self.tile < LEAST_TILE:
            raise UserError(f"tile={self.tile} is too small; a tile has {LEAST_TILE} pixels a side or more")
        if self.max_size is not None and (not isinstance(self.max_size, int) or 0 != self.max_size < MIN_SIDE):
            raise UserError(
                f"max_size={self.max_size!r} is not possible; images are shrunk to {MIN_SIDE} pixels or more (0: never)"
            )
        if not 0 < self.tile_overlap <= self.tile_size // 2:
            raise UserError(
                f"overlap={self.overlap} is not possible with tiles of {self.tile_size} pixels; they overlap by {STEP}"
                f" pixels at least and {self.tile_size // 2} at most"
            )

    @classmethod
    def of(cls, options: SegmenterOptions | None, fields: dict[str, Any]) -> SegmenterOptions:
        """The options with some fields changed; the default ones where there are none.

        Raises:
            UserError: a field that does not exist (with the nearest that does), or a value that is not possible.
        """
        for name in fields:
            if name not in cls.__dataclass_fields__:
                raise UserError(f"a Segmenter has no option '{name}'.{nearest(name, cls.__dataclass_fields__)}")
        return replace(options or cls(), **fields)

    @property
    def tile_size(self) -> int:
        """The side of the largest tile, in pixels."""
        return (self.tile or int(WHOLE_PIXELS**0.5)) // STEP * STEP

    @property
    def tile_overlap(self) -> int:
        """By how many pixels neighbouring tiles overlap at least."""
        overlap = min(self.tile_size // 2, LARGEST_OVERLAP) if self.overlap is None else self.overlap
        return overlap // STEP * STEP


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """What becomes of videos and of what cameras show.

    Attributes:
        draw: draws the overlay of a frame, H×W×3 uint8, of one size for all frames of a video.
        label_maps: write the class ids of every frame, too: "mkv" for one lossless video, "png" for a file a frame;
            None writes none.
        every: one of so many frames is segmented.
        smooth: average the probabilities along the motion, see `video.smoothing`.

    Raises:
        UserError: label maps of another kind, or no frame at all.
    """

    draw: Callable[[Segmentation], NDArray[np.uint8]]
    label_maps: str | None = None
    every: int = 1
    smooth: bool = False

    def __post_init__(self) -> None:
        if self.label_maps not in (None, "mkv", "png"):
            raise UserError(f"label maps of a video are mkv or png, not label_maps={self.label_maps}")
        if self.every < 1:
            raise UserError(f"one of every=N frames is segmented, N 1 or more, not {self.every}")
