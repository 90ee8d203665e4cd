"""The network: backbone, context, decoder and head, put together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..classes import ClassTable
from ..errors import UserError
from ..images import RGB, Bands
from .backbone import Backbone
from .blocks import Head, Resize
from .parts import Context, Decoder


class SegmentationModel(nn.Module):
    """A network for semantic segmentation. `build_model` makes one by name; here its parts come ready-made.

    Args:
        backbone: gives four maps of the images.
        context: stands on the deepest of them.
        decoder: joins the context with the finer maps.
        head: makes logits of the decoder's map; None where the decoder gives logits (`Decoder.gives_logits`).

    Attributes:
        classes: what the logits stand for, or None where nobody said so. Saved with the model.
        bands: what the values of images are; those of 8-bit images in RGB where nobody said so. Saved with the model.
        mean, std: how images are normalised, one value a band: (image / bands.scale - mean) / std.
        spec: the arguments of `build_model` that make this network again, as plain JSON; None where it did not make it.
        upsample: brings the logits to the size of the image.
    """

    def __init__(self, backbone: Backbone, context: Context, decoder: Decoder, head: Head | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.context = context
        self.decoder = decoder
        self.head = head
        self.upsample = Resize()
        self.bands: Bands = RGB
        self.mean = backbone.mean
        self.std = backbone.std
        self.spec: dict[str, Any] | None = None
        self._classes: ClassTable | None = None

    def normalise(self, images: Tensor) -> Tensor:
        """Images N×H×W×B (of `bands.dtype`) as the network takes them: N×B×H×W float32, of mean 0 and deviation 1.

        Pixels without data are 0, as the mean is.
        """
        mean, std = (torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in (self.mean, self.std))
        values = images.permute(0, 3, 1, 2).float()
        return without_missing((values / self.bands.scale - mean) / std, values, self.bands)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images N×C×H×W (float) → logits N×num_classes×H×W; any H and W ≥ 1."""
        height, width = images.shape[-2:]
        extended = self.backbone.extended(height), self.backbone.extended(width)
        logits: Tensor = self.upsample(self.coarse_logits(images), extended)
        return logits[..., :height, :width]

    def coarse_logits(self, images: Tensor) -> Tensor:
        """The logits as the decoder's map has them, coarser than the image: N×C×H×W → N×num_classes×h×w.

        They lie over the image as the backbone takes it, extended to a multiple of `backbone.size_divisor`.
        """
        features = self.backbone(images)
        decoded = self.decoder(features, self.context(features[-1]))
        return decoded if self.head is None else self.head(decoded)

    @property
    def num_classes(self) -> int:
        """How many classes there are logits for."""
        return self.decoder.out_channels if self.head is None else self.head.out_channels

    @property
    def align_corners(self) -> bool:
        """How coarse logits lie over the image: the first and last pixels of both on each other, or their borders."""
        return self.upsample.align_corners

    @property
    def classes(self) -> ClassTable | None:
        """The class table, or None."""
        return self._classes

    @classes.setter
    def classes(self, table: ClassTable | None) -> None:
        if table is not None and len(table) != self.num_classes:
            raise UserError(f"the model has {self.num_classes} classes, the class table {len(table)}")
        self._classes = table


def without_missing(normalised: Tensor, values: Tensor, bands: Bands) -> Tensor:
    """Normalised images with 0 in the pixels that hold no data, by the values that they were made of (N×B×H×W both)."""
    if bands.nodata is not None:
        normalised = torch.where((values == bands.nodata).all(dim=1, keepdim=True), 0.0, normalised)
    if bands.dtype == "float32":
        normalised = torch.where(torch.isnan(values).any(dim=1, keepdim=True), 0.0, normalised)
    return normalised
