"""Augmentation as the paper trains: random scale, crop padded with the ignore label, left-right flip; colour optional.

The window is drawn first and only what it shows is resized. Every random number comes from PyTorch's default CPU
generator, as torchvision's transforms draw theirs; whoever calls seeds it. Normalisation is not here: batches stay
uint8 until they are on the device.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from ..classes import IGNORE

FILL = (124, 116, 104)
"""The colour around an image that is smaller than the crop: the mean of ImageNet, so about zero once normalised."""


class Window(NamedTuple):
    """What a training image shows: a part of the original, its size afterwards, and where it lies in the crop."""

    part: tuple[int, int, int, int]
    """Top, left, height and width in the original."""
    size: tuple[int, int]
    """Height and width once resized."""
    corner: tuple[int, int]
    """Top and left in the crop; both 0 where the crop is filled."""


def draw_window(pixels: tuple[int, int], crop: tuple[int, int], scale: tuple[float, float]) -> Window:
    """Scale an image of `pixels` = (height, width) by one random factor and cut a window of at most the crop's size.

    The factor is uniform in `scale`. Per axis, a window of round(crop / factor) pixels becomes crop pixels, or, where
    the image is smaller than that, all its pixels become round(pixels × factor), at a random place in the crop.
    """
    factor = torch.empty(()).uniform_(*scale).item()
    start, extent, size = [], [], []
    for have, wanted in zip(pixels, crop, strict=True):
        needed = max(1, round(wanted / factor))
        extent.append(min(needed, have))
        size.append(wanted if needed <= have else min(wanted, max(1, round(have * factor))))
        start.append(_integer_below(have - extent[-1] + 1))
    corner = [_integer_below(wanted - got + 1) for wanted, got in zip(crop, size, strict=True)]
    return Window((start[0], start[1], extent[0], extent[1]), (size[0], size[1]), (corner[0], corner[1]))


def _integer_below(end: int) -> int:
    return int(torch.randint(end, ()))


def _resized_image(image: NDArray[np.uint8], window: Window) -> Tensor:
    """The window's part of H×W×3 at its size, 3×h×w, bilinear with antialiasing; of the same size it is exact."""
    top, left, height, width = window.part
    part = torch.from_numpy(image[top : top + height, left : left + width]).permute(2, 0, 1)
    if window.size == (height, width):
        return part
    return F.resize_image(part, list(window.size))  # type: ignore[no-any-return]


def _resized_mask(mask: NDArray[np.uint8], window: Window) -> Tensor:
    """The window's part of H×W at its size, 1×h×w: the label at the middle of each new pixel."""
    top, left, height, width = window.part
    rows, columns = (
        first + ((np.arange(size) + 0.5) * (extent / size)).astype(np.intp)
        for first, extent, size in ((top, height, window.size[0]), (left, width, window.size[1]))
    )
    return torch.from_numpy(mask.take(rows, axis=0).take(columns, axis=1))[None]


def _framed(pixels: Tensor, window: Window, empty: Tensor) -> Tensor:
    """C×h×w at its place in a crop that is `empty` (C×H×W) around it."""
    if window.size == empty.shape[1:]:
        return pixels
    frame = empty.clone()
    (top, left), (height, width) = window.corner, window.size
    frame[:, top : top + height, left : left + width] = pixels
    return frame


class TrainTransform:
    """The augmentation of training: scale and crop, colour, noise, pad, flip.

    Images are resized bilinearly with antialiasing; masks take the nearest pixel (by centres, so that they stay
    aligned).

    Args:
        crop: height and width of what comes out.
        scale: least and largest factor of the random scale.
        flip: mirror left to right every other time.
        jitter: brightness, contrast and saturation vary by up to this share; 0 leaves colours alone.
        noise: every other image gets Gaussian noise of a standard deviation of 0 to this (1 is 255), as a camera's
            sensor has it in the dark.
    """

    def __init__(
        self,
        crop: tuple[int, int],
        scale: tuple[float, float] = (0.5, 2.0),
        flip: bool = True,
        jitter: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        self.crop, self.scale, self.flip = crop, scale, flip
        self._no_image = torch.tensor(FILL, dtype=torch.uint8).view(3, 1, 1).repeat(1, *crop)
        self._no_labels = torch.full((1, *crop), IGNORE, dtype=torch.uint8)
        self.noise = noise
        self._colour = v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter) if jitter else None

    def __call__(self, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Augment an image (H×W×3 uint8) and its mask (H×W uint8).

        Returns:
            the image, 3×h×w uint8, and the mask, h×w uint8, both of the crop's size.
        """
        window = draw_window(mask.shape, self.crop, self.scale)
        view, labels = _resized_image(image, window), _resized_mask(mask, window)
        if self._colour is not None:
            view = self._colour(view)
        if self.noise and torch.rand(()) < 0.5:
            deviation = 255 * self.noise * torch.rand(())
            view = (view + deviation * torch.randn(view.shape)).round_().clamp_(0, 255).to(torch.uint8)
        view = _framed(view, window, self._no_image)
        labels = _framed(labels, window, self._no_labels)
        if self.flip and torch.rand(()) < 0.5:
            view, labels = view.flip(-1), labels.flip(-1)
        return view, labels[0]
