"""The network: backbone, context, decoder and head, put together.

How a segmentation network differs from the next is in two parts. The *context* stands on the deepest map of the
backbone and brings in the surroundings; the *decoder* brings back the detail from the finer maps. All else is shared.

    context(in_channels, …):                      has `out_channels`; N×in×h×w → N×out×h×w
    decoder(in_channels, context_channels, …):    has `out_channels`; four maps and the context → N×out×h×w, at most at
                                                  1/4 of the image
A decoder with `num_classes` among its options gives scores already and gets no head.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

import torch
import torch.fx.experimental._config
from torch import Tensor, nn

from ..classes import ClassTable
from ..errors import UserError
from .backbone import Backbone
from .blocks import Head, resize


@contextmanager
def exportable() -> Iterator[None]:
    """Let `torch.export` trace maps that have one pixel for some sizes of the image and more for others.

    It would bind the graph to the kind of its example, although one pixel is nothing special to any operation here.
    """
    if torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling():
        config: Any = torch.fx.experimental._config
        with config.patch(backed_size_oblivious=True):
            yield
    else:
        yield


class SegmentationModel(nn.Module):
    """A network for semantic segmentation. `build_model` makes one by name; here its parts come ready-made.

    Args:
        backbone, context, decoder: the parts.
        config: the arguments of `build_model` that make this network again; `num_classes` and `align_corners` are used
            here.

    Attributes:
        classes: what the scores mean, or None where nobody said so. Saved with the model.
        mean, std: how images are to be normalised, one number a channel on the scale 0 … 1: (image - mean) / std.
        metadata: what else is saved with the model (data set, training, results), as plain JSON.
    """

    def __init__(self, backbone: Backbone, context: nn.Module, decoder: nn.Module, config: dict[str, Any]) -> None:
        super().__init__()
        self.backbone = backbone
        self.context = context
        self.decoder = decoder
        scores = "num_classes" in inspect.signature(type(decoder)).parameters
        self.head = nn.Identity() if scores else Head(decoder.out_channels, config["num_classes"])  # type: ignore[arg-type]
        self.align_corners: bool = config["align_corners"]
        self.config = config
        self.mean = backbone.mean
        self.std = backbone.std
        self.metadata: dict[str, Any] = {}
        self._classes: ClassTable | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images N×in_channels×H×W (float) → scores N×num_classes×H×W before the softmax; any H, W ≥ 1."""
        with exportable():
            height, width = images.shape[-2:]
            seen = self.backbone.extended(height), self.backbone.extended(width)
            return resize(self.coarse_logits(images), seen, self.align_corners)[..., :height, :width]

    def coarse_logits(self, images: Tensor) -> Tensor:
        """The scores as the decoder's map has them, coarser than the image: N×in_channels×H×W → N×num_classes×h×w.

        They lie over the image as the backbone sees it, extended to a multiple of `backbone.size_divisor`.
        """
        features = self.backbone(images)
        context = self.context(features[-1])
        scores: Tensor = self.head(self.decoder(features, context))
        return scores

    @property
    def classes(self) -> ClassTable | None:
        """The class table, or None."""
        return self._classes

    @classes.setter
    def classes(self, table: ClassTable | None) -> None:
        if table is not None and len(table) != self.config["num_classes"]:
            raise UserError(f"the model has {self.config['num_classes']} classes, the class table {len(table)}")
        self._classes = table

    def save_pretrained(self, folder: str | PathLike[str], metadata: dict[str, Any] | None = None) -> None:
        """Write a model folder (see `folder.py`); `metadata`, if given, takes the place of the model's own."""
        from .folder import save  # the folder's format knows the network, not the other way round

        save(self, folder, self.metadata if metadata is None else metadata)

    @classmethod
    def from_pretrained(cls, source: str | PathLike[str]) -> SegmentationModel:
        """The model of a model folder, of a run folder, or of a hub id ("owner/name"), in evaluation mode.

        Raises:
            UserError: there is no such folder or hub model, or it is damaged or made by a newer version.
        """
        from .folder import load

        return load(source)

    def push_to_hub(self, repository: str, private: bool = False) -> None:
        """Upload the model to the Hugging Face hub as "owner/name"; makes the repository where there is none.

        Raises:
            UserError: the hub cannot be reached or refuses.
        """
        from .folder import push

        push(self, repository, private)
