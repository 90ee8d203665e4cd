"""Augmentation as the paper trains: random scale, crop padded with the ignore label, left-right flip; colour optional.

Every random number comes from PyTorch's default CPU generator, as torchvision's transforms draw theirs; whoever calls
seeds it. Normalisation is not here: batches stay uint8 until they are on the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from ..classes import IGNORE

FILL = (124, 116, 104)
"""The colour around a picture that is smaller than the crop: the mean of ImageNet, so about zero once normalised."""


def _integer_below(end: int) -> int:
    return int(torch.randint(end, ()))


class RandomScaleCrop(v2.Transform):  # type: ignore[misc]
    """Scale a picture and its mask by one random factor, and cut a random window of at most the crop's size from them.

    The factor is uniform in `scale`. Only the window is resized, not the whole picture: per axis, a window of
    round(crop / factor) pixels becomes crop pixels, or, where the picture is smaller than that, all its pixels become
    round(pixels × factor). With the factor 1 the result is an exact window of the original. Pictures are resized
    bilinearly with antialiasing, masks take the nearest pixel (by centres, so that they stay aligned).

    Args:
        crop: height and width.
        scale: least and largest factor.
    """

    _transformed_types = (tv_tensors.Image, tv_tensors.Mask)

    def __init__(self, crop: tuple[int, int], scale: tuple[float, float]) -> None:
        super().__init__()
        self.crop = crop
        self.scale = scale

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The window in the original (top, left, height, width) and its size afterwards (height, width)."""
        factor = torch.empty(()).uniform_(*self.scale).item()
        corner, window, size = [], [], []
        for pixels, crop in zip(F.get_size(flat_inputs[0]), self.crop, strict=True):
            needed = max(1, round(crop / factor))
            window.append(min(needed, pixels))
            size.append(crop if needed <= pixels else min(crop, max(1, round(pixels * factor))))
            corner.append(_integer_below(pixels - window[-1] + 1))
        return {"window": (*corner, *window), "size": size}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Cut and resize one picture or mask (1×H×W)."""
        is_mask = isinstance(inpt, tv_tensors.Mask)
        how = InterpolationMode.NEAREST_EXACT if is_mask else InterpolationMode.BILINEAR
        output = F.resized_crop_image(inpt.as_subclass(Tensor), *params["window"], params["size"], interpolation=how)
        return tv_tensors.wrap(output, like=inpt)


class RandomPad(v2.Transform):  # type: ignore[misc]
    """Put a picture and its mask at one random place in the crop, with `FILL` and `IGNORE` around them."""

    _transformed_types = (tv_tensors.Image, tv_tensors.Mask)

    def __init__(self, crop: tuple[int, int]) -> None:
        super().__init__()
        self.crop = crop

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """How many pixels to add: left, top, right, bottom."""
        height, width = F.get_size(flat_inputs[0])
        down, across = self.crop[0] - height, self.crop[1] - width
        top, left = _integer_below(down + 1), _integer_below(across + 1)
        return {"padding": [left, top, across - left, down - top]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Pad one picture or mask."""
        if not any(params["padding"]):
            return inpt
        return F.pad(inpt, params["padding"], fill=IGNORE if isinstance(inpt, tv_tensors.Mask) else list(FILL))


class TrainTransform:
    """The augmentation of training: scale and crop, colour, pad, flip.

    Args:
        crop: height and width of what comes out.
        scale: least and largest factor of the random scale.
        flip: mirror left to right every other time.
        jitter: brightness, contrast and saturation vary by up to this share; 0 leaves colours alone.
    """

    def __init__(
        self,
        crop: tuple[int, int],
        scale: tuple[float, float] = (0.5, 2.0),
        flip: bool = True,
        jitter: float = 0.0,
    ) -> None:
        steps: list[v2.Transform] = [RandomScaleCrop(crop, scale)]
        if jitter:
            steps.append(v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter))
        steps.append(RandomPad(crop))
        if flip:
            steps.append(v2.RandomHorizontalFlip(0.5))
        self._steps = v2.Compose(steps)

    def __call__(self, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Augment a picture (H×W×3 uint8) and its mask (H×W uint8).

        Returns:
            the picture, 3×h×w uint8, and the mask, h×w uint8, both of the crop's size.
        """
        picture, labels = self._steps(
            tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)), tv_tensors.Mask(torch.from_numpy(mask)[None])
        )
        return picture.as_subclass(Tensor), labels.as_subclass(Tensor)[0]
