"""`pan export`: a trained model as one file that runs without PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..data import Reading
from ..errors import UserError, require
from .options import DataFormat, with_data_options


@with_data_options
def export(
    model: Annotated[
        list[str],
        typer.Argument(
            metavar="M...",
            help="A run folder, a model folder, or 'owner/name' on the hub; of several the file averages the"
            " probabilities.",
        ),
    ],
    int8: Annotated[bool, typer.Option("--int8", help="Quantise to 8 bits; needs --calibrate.")] = False,
    calibrate: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Calibrate 8 bits on this data set's train, measure the loss on its val."),
    ] = None,
    data_format: DataFormat = None,
    max_loss: Annotated[
        float, typer.Option(metavar="POINTS", help="Refuse 8 bits that cost more percentage points of mIoU than this.")
    ] = 1.0,
    max_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="The file asks that larger images be shrunk to this longer side: about that of the images the"
            " model was trained on.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Keep the attention in the file, for pan explain without PyTorch.")
    ] = False,
    web: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page that runs M in the browser, not a single file.")
    ] = None,
    webgpu: Annotated[
        bool, typer.Option("--webgpu", help="With --web: the page can also run M on a graphics card.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The .onnx file; by default in the model folder.")
    ] = None,
    *,
    reading: Reading,
) -> None:
    """Write M as one ONNX file that needs no PyTorch.

    Pixels in, labels and logits out; classes, preprocessing and accuracy inside. The file is compared with the model
    before it is kept. Then: pan predict IMAGE --model FILE.
    """
    if web is not None:
        if len(model) > 1:
            raise UserError("web= writes a page of one model; name one")
        _write_page(model[0], web, webgpu, only_web=not (int8 or calibrate or max_size or out or explain))
        return
    if webgpu:
        raise UserError("webgpu= is for web=; add --web DIR, or leave it out")
    require("pan export", "torch", "timm", "onnx", "onnxscript")
    from ..export import export as export_model

    done = export_model(
        model,
        out,
        int8=int8,
        calibrate=calibrate,
        data_format=data_format,
        reading=reading,
        max_loss=max_loss,
        max_size=max_size,
        explain=explain,
        on_step=lambda line: print(f"{line} …", file=sys.stderr),
    )
    found = done.verification
    print(
        f"verified on images of {len(found.sizes)} sizes: {found.agreement:.3%} of the labels agree, logits differ by"
        f" at most {found.difference:.1g}"
    )
    if done.quantised is not None:
        cost = done.quantised
        print(
            f"8 bits ({cost.scheme}; {cost.in_float[0]} of {cost.in_float[1]} convolutions in float): mIoU"
            f" {cost.before:.2%} before, {cost.after:.2%} after, on {cost.images} images of val"
        )
    print(f"{done.path} ({done.path.stat().st_size / 1e6:.1f} MB); use it:  pan predict IMAGE --model {done.path}")


def _write_page(model: str, folder: Path, webgpu: bool, only_web: bool) -> None:
    from ..serving.web import write_web

    if not only_web:
        raise UserError(f"web= writes a page of a model as it is; first: pan export {model} with the other options")
    done = write_web(model, folder, webgpu=webgpu)
    if done.missing is not None:
        print(f"the runtime is missing ({done.missing}); {folder / 'README.md'} says how to get it", file=sys.stderr)
    print(
        f"{done.folder} ({done.size / 1e6:.1f} MB); look at it:  python -m http.server --bind 127.0.0.1 --directory"
        f" {done.folder}"
    )
