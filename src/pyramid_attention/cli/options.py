"""Options that several verbs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..inference import Segmenter

DEFAULT_MODEL = "pan-street"
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or mps.")]
Format = Annotated[
    str | None, typer.Option("--format", help="The data set's format; found by looking where it is not given.")
]
DataFormat = Annotated[str | None, typer.Option("--data-format", help="The data set's format, as --format elsewhere.")]
Model = Annotated[
    str,
    typer.Option(
        metavar="M", help="The model: pan-street, a run or model folder, an .onnx file, or 'owner/name' on the hub."
    ),
]
Tta = Annotated[
    bool, typer.Option("--tta", help="Average over six scales and left-right flip: slower by a factor of about 17.")
]
Engine = Annotated[
    str, typer.Option(help="What runs the model: auto, onnxruntime or openvino for an .onnx file, torch for a folder.")
]
Tile = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Segment images with a longer side by tiles of N pixels; else 2048 above 4 megapixels.",
    ),
]
MaxSize = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        help="Shrink larger images to this longer side for the network (0: never); by default as the model says.",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(metavar="NAME,NAME,…", help="The classes of an .onnx file that does not name them, in order."),
]
Precision = Annotated[str, typer.Option(help="fp32, or bf16 for the torch engine where the device is fast with it.")]
Compile = Annotated[
    bool, typer.Option("--compile", help="Have torch.compile speed the torch engine up; takes a minute at first.")
]


def load_segmenter(
    model: str,
    device: str,
    *,
    engine: str,
    tta: bool,
    tile: int | None,
    max_size: int | None,
    classes: str | None,
    precision: str,
    compile: bool,
) -> Segmenter:
    """The Segmenter that the shared options ask for; see `Segmenter.load`."""
    from ..inference import Segmenter

    return Segmenter.load(
        model,
        device,
        engine=engine,
        tta=tta,
        tile=tile,
        max_size=max_size,
        classes=split_names(classes),
        precision=precision,
        compile=compile,
    )


def split_names(names: str | None) -> list[str] | None:
    """The names of a list with commas."""
    return None if names is None else [name.strip() for name in names.split(",")]
