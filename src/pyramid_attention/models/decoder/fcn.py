"""FCN-8s (Long, Shelhamer, Darrell: Fully Convolutional Networks, CVPR 2015, section 4.2).

A score map a level (1/32 or the output stride, 1/16, 1/8), each by a 1×1 convolution, summed on the way up.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..blocks import Head, resize


class FCNDecoder(nn.Module):
    """Gives scores, not features: the network has no head on top of it.

    Args:
        in_channels: of the backbone's maps, fine to coarse; the finest is not used.
        context_channels: of the context.
        num_classes: of the score maps (the network's).
        align_corners: of bilinear resampling.
    """

    def __init__(
        self, in_channels: Sequence[int], context_channels: int, *, num_classes: int, align_corners: bool = False
    ) -> None:
        super().__init__()
        self.out_channels = num_classes
        self.align_corners = align_corners
        maps = (context_channels, in_channels[2], in_channels[1])
        self.scores = nn.ModuleList(Head(channels, num_classes, kernel=1) for channels in maps)

    def forward(self, features: list[Tensor], context: Tensor) -> Tensor:
        """Maps of the backbone, fine to coarse, and the context N×context×h×w → scores N×classes×H/8×W/8."""
        first, *others = self.scores
        total: Tensor = first(context)
        for score, finer in zip(others, (features[2], features[1]), strict=True):
            total = resize(total, finer.shape[-2:], self.align_corners) + score(finer)
        return total
