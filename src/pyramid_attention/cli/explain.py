"""`pan explain`: what a segmentation rests on, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..inference import DEFAULT_MODEL, SegmenterOptions
from .options import Model, with_segmenter_options


@with_segmenter_options
def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image.")],
    model: Model = DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The sheet, a .png; by default IMAGE_explained.png here.")
    ] = None,
    *,
    options: SegmenterOptions,
) -> None:
    """Show what a segmentation rests on, on one sheet.

    The sheet shows the network's attention, and which places in the image each class rests on.

    PAN's pyramid attention, its global branch and the gates of Global Attention Upsample need the extra train; the
    places that a class rests on are found for any model.
    """
    from ..errors import UserError, require
    from ..files import result_file
    from ..images import read_image
    from ..inference import Segmenter
    from ..inference.explanation import explain as explain_image
    from ..report.explanation import draw_explanation

    require("pan explain", "matplotlib")
    pixels = read_image(image)
    target = Path(f"{Path(image).stem}_explained.png") if out is None else out
    if target.suffix.lower() != ".png":
        raise UserError(f"out={target} is to be a .png file")
    with result_file(target) as sheet:
        assert sheet is not None
        explanation = explain_image(Segmenter.load(model, options), pixels, model)
        draw_explanation(explanation, sheet, f"{Path(image).name}, segmented by {model}")
    print(f"the sheet is {target}")
    if not explanation.maps:
        print("it has no attention maps: the network has none, or it cannot be built here")
