"""Whether an exported file gives what the network gives: no file is kept that was not compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..artifacts.onnx_file import INPUT, LABELS, SCORES
from ..data.shapes import open_shapes
from ..errors import UserError
from ..images import RGB
from ..inference.engines.onnxruntime import open_session
from ..models import SegmentationModel
from ..models.attention import attention_maps
from .graph import Ensemble

SIZES = ((32, 32), (33, 127), (200, 47), (240, 320), (384, 480))
"""Height and width of the images; of each size two, one batch."""
LEAST_AGREEMENT = 0.999
LARGEST_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Verification:
    """How a file compares with its network.

    Attributes:
        agreement: share of pixels with the same label, of the size where it is smallest.
        difference: the largest of a logit or a value of the attention that the file keeps, relative to the largest of
            them where that is above 1.
        sizes: of the images.
    """

    agreement: float
    difference: float
    sizes: tuple[tuple[int, int], ...] = SIZES

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self) | {"sizes": [list(size) for size in self.sizes]}

    def check(self) -> None:
        """Raise where the file is not to be kept.

        Raises:
            UserError: labels or logits differ by more than rounding.
        """
        if self.agreement < LEAST_AGREEMENT or not self.difference <= LARGEST_DIFFERENCE:
            raise UserError(
                f"the exported model differs from the original: {self.agreement:.2%} of the labels agree (at least"
                f" {LEAST_AGREEMENT:.1%} must), logits differ by up to {self.difference:.2g} (at most"
                f" {LARGEST_DIFFERENCE:g} may); no file is kept; please report it with the model's config.json"
            )


def verify(network: SegmentationModel | Ensemble, path: Path) -> Verification:
    """Compare a file in ONNX Runtime with its network in PyTorch, both on the CPU, on drawn images and on noise.

    Raises:
        UserError: the network itself gives logits that are no finite numbers.
    """
    session = open_session(path.read_bytes(), path)
    attention = [name for output in session.get_outputs() if (name := output.name) not in (LABELS, SCORES)]
    agreements, differences = [], []
    for size in SIZES:
        images = _images(size, network)
        labels, *given = session.run([LABELS, SCORES, *attention], {INPUT: images})
        with torch.inference_mode():
            pixels = network.normalise(torch.from_numpy(images))
            expected = network.coarse_logits(pixels).numpy()
            truth = network(pixels).argmax(dim=1).numpy()
            maps = attention_maps(network, pixels) if isinstance(network, SegmentationModel) and attention else {}
        if not np.isfinite(expected).all():
            raise UserError(
                f"the network gives infinite logits, or none at all, for images of {size[0]}×{size[1]} pixels; was it"
                " trained? Before, its norms do not keep a deep network's values in bounds"
            )
        agreements.append(float((labels == truth).mean()))
        for own, theirs in zip(given, [expected, *(maps[name].numpy() for name in attention)], strict=True):
            differences.append(float(np.abs(own - theirs).max() / max(1.0, np.abs(theirs).max())))
    return Verification(min(agreements), max(differences))


def _images(size: tuple[int, int], network: SegmentationModel | Ensemble) -> NDArray[Any]:
    """Two images 2×H×W×B of one size: drawn shapes and noise, or for other bands than RGB large and small patches.

    The patches are spread as the network's statistics say, and some hold no data.
    """
    height, width = size
    bands = network.bands
    if bands != RGB:
        draw = np.random.default_rng(0)
        mean, std = (np.array(values) * bands.scale for values in (network.mean, network.std))
        images = []
        for patch in (16, 1):
            some = draw.normal(mean, std, (-(-height // patch), -(-width // patch), len(bands)))
            images.append(some.repeat(patch, axis=0).repeat(patch, axis=1)[:height, :width])
        values = np.stack(images)
        if bands.dtype != "float32":
            limits = np.iinfo(bands.dtype)
            values = np.rint(values).clip(limits.min, limits.max)
        if bands.nodata is not None:
            values[:, :9, :11] = bands.nodata
        if bands.dtype == "float32":
            values[:, -5:, -7:, 0] = np.nan
        return values.astype(bands.dtype)
    drawn = open_shapes(seed=1).split("val")[0].read_image()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(drawn).resize((width, height))), noise])
