"""Augmentation as the paper trains: random scale, crop padded with the ignore label, left-right flip; colour optional.

The window is drawn first and only what it shows is resized. Every random number comes from PyTorch's default CPU
generator, as torchvision's transforms draw theirs; whoever calls seeds it. Normalisation is not here: batches of 8-bit
images stay uint8 until they are on the device. Values of other types become float32, which holds all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from ..classes import IGNORE
from ..images import RGB, Bands
from .scene_blocks import Block
from .scenes import Scene

FILL = (124, 116, 104)
"""The colour around an image in RGB that is smaller than the crop: the mean of ImageNet, about zero once normalised.
For other bands it is their own mean."""
NOISE = 4.0
"""Standard deviations of a band that a noise of 1 stands for where values are not of 8 bits; in ImageNet 255 is 4.4."""


class Window(NamedTuple):
    """What a training image shows: a part of the original, its size afterwards, and where it lies in the crop."""

    part: tuple[int, int, int, int]
    """Top, left, height and width in the original."""
    size: tuple[int, int]
    """Height and width once resized."""
    corner: tuple[int, int]
    """Top and left in the crop; both 0 where the crop is filled."""


def draw_window(
    pixels: tuple[int, int],
    crop: tuple[int, int],
    scale: tuple[float, float],
    place: Callable[[int, int], tuple[int, int]] | None = None,
) -> Window:
    """Scale an image of `pixels` = (height, width) by one random factor and cut a window of at most the crop's size.

    The factor is uniform in `scale`. Per axis, a window of round(crop / factor) pixels becomes crop pixels, or, where
    the image is smaller than that, all its pixels become round(pixels × factor), at a random place in the crop. Which
    rows and columns of the image the window shows is random, too, unless `place` says it (given height and width: top
    and left).
    """
    factor = torch.empty(()).uniform_(*scale).item()
    start, extent, size = [], [], []
    for have, wanted in zip(pixels, crop, strict=True):
        needed = max(1, round(wanted / factor))
        extent.append(min(needed, have))
        size.append(wanted if needed <= have else min(wanted, max(1, round(have * factor))))
        if place is None:
            start.append(_integer_below(have - extent[-1] + 1))
    if place is not None:
        start = list(place(extent[0], extent[1]))
    corner = [_integer_below(wanted - got + 1) for wanted, got in zip(crop, size, strict=True)]
    return Window((start[0], start[1], extent[0], extent[1]), (size[0], size[1]), (corner[0], corner[1]))


def _integer_below(end: int) -> int:
    return int(torch.randint(end, ()))


def _resized_image(part: NDArray[Any], window: Window) -> Tensor:
    """The window's part h×w×B at its size, B×h'×w', bilinear with antialiasing; of the same size it is exact."""
    pixels = torch.from_numpy(part if part.dtype == np.uint8 else part.astype(np.float32)).permute(2, 0, 1)
    if window.size == part.shape[:2]:
        return pixels
    return F.resize_image(pixels, list(window.size))  # type: ignore[no-any-return]


def _resized_mask(part: NDArray[Any], window: Window) -> Tensor:
    """The window's part h×w of a mask at its size, 1×h'×w': the label at the middle of each new pixel."""
    rows, columns = (
        ((np.arange(size) + 0.5) * (extent / size)).astype(np.intp)
        for extent, size in zip(part.shape, window.size, strict=True)
    )
    return torch.from_numpy(part.take(rows, axis=0).take(columns, axis=1))[None]


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
        jitter: brightness, contrast and saturation vary by up to this share; 0 leaves colours alone. Of other bands
            than RGB all become brighter by up to so many of their standard deviations, contrast varies as in RGB, and
            saturation, which is of three colours, does not.
        noise: every other image gets Gaussian noise of a standard deviation of 0 to this, as a camera's sensor has it
            in the dark; 1 is 255 for 8 bits, else `NOISE` standard deviations of the band.
        bands: what the values of images are.
        mean, std: of the bands, in their values; not needed for RGB.
    """

    def __init__(
        self,
        crop: tuple[int, int],
        scale: tuple[float, float] = (0.5, 2.0),
        flip: bool = True,
        jitter: float = 0.0,
        noise: float = 0.0,
        bands: Bands = RGB,
        mean: Sequence[float] = FILL,
        std: Sequence[float] = (),
    ) -> None:
        self.crop, self.scale, self.flip = crop, scale, flip
        self.bands = bands
        values = torch.tensor(FILL if bands == RGB else mean).view(-1, 1, 1)
        self._mean = values.round().to(torch.uint8) if bands.dtype == "uint8" else values
        self._no_labels = torch.full((1, *crop), IGNORE, dtype=torch.uint8)
        self.noise, self.jitter = noise, jitter
        self._std = torch.tensor(std).view(-1, 1, 1)
        self._loudest = 255 if bands.dtype == "uint8" else NOISE * self._std
        self._colour = v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter) if jitter else None

    def __call__(self, image: NDArray[Any], mask: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Augment an image (H×W×B) and its mask (H×W uint8).

        Returns:
            the image, B×h×w uint8 or float32, and the mask, h×w uint8, both of the crop's size.
        """
        window = draw_window(mask.shape, self.crop, self.scale)
        top, left, height, width = window.part
        part = slice(top, top + height), slice(left, left + width)
        return self._vary(image[part], mask[part], window)

    def of_scene(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """A training image from anywhere in a scene, as `__call__` gives it; only its window is read."""
        pixels = scene.raster.height, scene.raster.width
        window = draw_window(pixels, self.crop, self.scale, lambda *size: scene.draw(size, _integer_below))
        top, left, height, width = window.part
        part = Block((top, top + height), (left, left + width))
        return self._vary(scene.read_image(part), scene.read_mask(part, False), window)

    def _vary(self, image: NDArray[Any], mask: NDArray[np.uint8], window: Window) -> tuple[Tensor, Tensor]:
        view, labels = self._resized(image, window), _resized_mask(mask, window)
        if self._colour is not None:
            view = self._colour(view) if self.bands == RGB else self._jittered(view)
        if self.noise and torch.rand(()) < 0.5:
            deviation = self._loudest * self.noise * torch.rand(())
            view = _like(view, view + deviation * torch.randn(view.shape))
        view = _framed(view, window, self._mean.repeat(1, *self.crop))
        labels = _framed(labels, window, self._no_labels)
        if self.flip and torch.rand(()) < 0.5:
            view, labels = view.flip(-1), labels.flip(-1)
        return view, labels[0]

    def _resized(self, image: NDArray[Any], window: Window) -> Tensor:
        """As `_resized_image`; what holds no data has the mean of its band, as normalised it is 0 for the network."""
        gone = self.bands.missing(image)
        if gone is None or not gone.any():
            return _resized_image(image, window)
        view = _resized_image(np.where(gone[..., None], self._mean.view(-1).numpy(), image), window)
        return torch.where(_resized_mask(gone, window), self._mean, view)

    def _jittered(self, view: Tensor) -> Tensor:
        """The image brighter or darker, and with another contrast, see `jitter`."""
        brighter, contrast = self.jitter * (2 * torch.rand(2) - 1)
        values = view.float()
        own = values.mean(dim=(1, 2), keepdim=True)
        return _like(view, own + (values - own) * (1 + contrast) + self._std * brighter)


def _like(view: Tensor, values: Tensor) -> Tensor:
    """Values of the type of `view`: whole numbers of 8 bits, or as they are."""
    return values.round_().clamp_(0, 255).to(torch.uint8) if view.dtype == torch.uint8 else values
