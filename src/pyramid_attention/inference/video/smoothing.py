"""Labels that are steady over time: the probabilities of each frame are averaged with those before it, along motion.

Where a place of a frame was in the frame before is found by DIS optical flow (Kroeger et al., ECCV 2016), as OpenCV has
it. The averaged probabilities of that frame are brought along, and count for the more the better the two frames agree
there: where they do not (something came from behind something else, or from outside), the network's own stand.

    weight = PERSISTENCE × exp(−(difference of the frames / TOLERANCE)²)
    average = weight × average before, brought along + (1 − weight) × probabilities
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from ...artifacts import ModelInfo
from ..engines import Engine

PERSISTENCE = 0.65
"""How much the frames before count where nothing speaks against it."""
TOLERANCE = 12.0
"""Grey levels by which two frames may differ at a place and still show the same thing."""


def flow_between(image: NDArray[np.uint8], before: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where each pixel of an image was in the one before: H×W×2 (float32), in pixels to the right and down.

    Args:
        image, before: H×W (uint8) grey.
    """
    flow: NDArray[np.float32] = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(image, before, None)  # type: ignore[call-overload]
    return flow


def brought_along(
    values: NDArray[np.float32] | NDArray[np.uint8], flow: NDArray[np.float32], *, nearest: bool = False
) -> NDArray[np.float32] | NDArray[np.uint8]:
    """Values H×W or H×W×C of the frame before, where they are now; beyond the border those of the border.

    Args:
        values: float32 or uint8.
        flow: H×W×2, see `flow_between`.
        nearest: take the nearest value and mix none, as labels want it.
    """
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return cv2.remap(values, x + flow[..., 0], y + flow[..., 1], how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


class SmoothedEngine:
    """An engine whose logits are steady from one image to the next, which are frames of one video in their order.

    Its logits are logarithms of averaged probabilities: those of a first frame give the labels of the engine itself.

    Args:
        engine: which.
        state: where to go on: what `take_state` gave.
        keep_every: after each so many images the state is kept for `take_state`.
    """

    def __init__(
        self, engine: Engine, state: Mapping[str, NDArray[np.generic]] | None = None, keep_every: int | None = None
    ) -> None:
        self._engine, self._keep_every = engine, keep_every
        self._kept: dict[int, dict[str, NDArray[np.generic]]] = {}
        self._count = 0
        self._grey: NDArray[np.uint8] | None = None
        self._average: NDArray[np.float32] | None = None  # h×w×C
        if state is not None:
            self._grey, self._average = state["grey"].astype(np.uint8), state["average"].astype(np.float32)

    @property
    def info(self) -> ModelInfo:
        """The engine's."""
        return self._engine.info

    @property
    def device(self) -> str:
        """The engine's."""
        return self._engine.device

    def take_state(self, count: int) -> dict[str, NDArray[np.generic]]:
        """What is remembered of the first `count` images, a multiple of `keep_every`; can be taken once."""
        return self._kept.pop(count)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`; the images N×H×W×3 follow one another and the last call's."""
        logits = self._engine(images)
        return np.stack([self._smooth(image, own) for image, own in zip(images, logits, strict=True)])

    def _smooth(self, image: NDArray[np.uint8], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8)
        logits = logits - logits.max(axis=0)
        logarithm = logits - np.log(np.exp(logits).sum(axis=0))
        own = np.exp(logarithm).transpose(1, 2, 0)
        if self._average is None or self._grey is None or self._grey.shape != grey.shape:
            average, result = own, logarithm
        else:
            weight, flow = self._agreement(grey, self._grey, own.shape[:2])
            before = brought_along(self._average, flow)
            average = own + weight[..., None] * (before - own)
            result = np.log(np.maximum(average, 1e-30)).transpose(2, 0, 1)
        self._grey, self._average = grey, average.astype(np.float32)
        self._count += 1
        if self._keep_every and self._count % self._keep_every == 0:
            self._kept[self._count] = {"grey": self._grey, "average": self._average}
        return np.ascontiguousarray(result, np.float32)

    def _agreement(
        self, grey: NDArray[np.uint8], before: NDArray[np.uint8], grid: tuple[int, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How much the frame before counts at each place of the grid of h×w logits, and the flow there, in places."""
        height, width = grey.shape
        flow = flow_between(grey, before)
        size = grid[1], grid[0]
        whole = cv2.absdiff(grey, brought_along(before, flow)).astype(np.float32)
        difference = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
        places = np.array([grid[1] / width, grid[0] / height], np.float32)
        coarse = cv2.resize(flow, size, interpolation=cv2.INTER_AREA).astype(np.float32) * places
        weight = PERSISTENCE * np.exp(-((difference / TOLERANCE) ** 2))
        return weight.astype(np.float32), coarse
