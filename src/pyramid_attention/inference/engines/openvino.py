"""The OpenVINO engine: an exported file on Intel's runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from ...errors import UserError
from ..threads import usable_cores
from .exported import SCORES, describe
from .failures import check_finite, out_of_memory
from .onnxruntime import open_session


class OpenVinoEngine:
    """Runs an exported file in fp32 (or the int8 it holds); of its outputs only the scores are computed.

    Args:
        path: of the `.onnx` file.
        device: "auto" or "cpu".
        classes: names for the classes of a file that does not hold them.

    Raises:
        UserError: the file is no exported model, or damaged; another device.
    """

    def __init__(self, path: Path, device: str = "auto", classes: Sequence[str] | None = None) -> None:
        if device not in ("auto", "cpu"):
            raise UserError(f'the engine openvino runs on the CPU, not on {device}; use device="cpu" (or auto)')
        # OpenVINO does not pass on a file's metadata; ONNX Runtime, which is always there, reads them.
        description = describe(open_session(path, optimise=False), path, classes)
        self.classes = description.classes
        self.size_divisor = description.size_divisor
        self.align_corners = description.align_corners
        self.metadata = description.metadata
        core = openvino.Core()
        whole = core.read_model(path)
        model = openvino.Model([whole.output(SCORES)], whole.get_parameters())
        properties = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": usable_cores(),
            "INFERENCE_PRECISION_HINT": "f32",  # some processors would be given bf16
        }
        self._request = core.compile_model(model, "CPU", properties).create_infer_request()

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score images N×H×W×3 (uint8) → N×C×h×w (float32).

        Raises:
            UserError: memory runs out, or the scores are not finite numbers.
        """
        try:
            result = self._request.infer({0: images})
        except RuntimeError as error:
            if "alloc" not in str(error).lower():
                raise
            raise out_of_memory(images, "cpu") from error
        scores: NDArray[np.float32] = np.array(result[0])  # the request writes the next result into the same memory
        return check_finite(scores)
