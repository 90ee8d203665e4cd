"""The OpenVINO engine: an exported file on Intel's runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from ...artifacts import Located
from ...artifacts.onnx_file import SCORES, read_file
from ...errors import UserError
from ..options import SegmenterOptions
from ..threads import usable_cores
from .failures import check_finite, out_of_memory
from .onnxruntime import describe_foreign, open_session


def load(model: Located, options: SegmenterOptions) -> OpenVinoEngine:
    """The engine for an exported file."""
    return OpenVinoEngine(model, options.device, options.classes)


class OpenVinoEngine:
    """Runs an exported file in fp32 (or the int8 it holds); of its outputs only the logits are computed.

    Args:
        model: the file.
        device: "auto" or "cpu".
        classes: names for the classes of another program's file.

    Raises:
        UserError: the file is no exported model, or damaged; another device.
    """

    device = "cpu"

    def __init__(self, model: Located, device: str = "auto", classes: Sequence[str] | None = None) -> None:
        if device not in ("auto", "cpu"):
            raise UserError(f'the engine openvino runs on the CPU, not on {device}; use device="cpu" (or auto)')
        data, info = read_file(model, classes)
        self.info = info or describe_foreign(open_session(data, model.path, optimise=False), data, model.path, classes)
        core = openvino.Core()
        try:
            whole = core.read_model(data)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(
                f"{model.path} cannot be loaded by OpenVINO {openvino.__version__} ({reason}); use onnxruntime"
            ) from error
        graph = openvino.Model([whole.output(SCORES)], whole.get_parameters())
        properties = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": usable_cores(),
            "INFERENCE_PRECISION_HINT": "f32",  # some processors would be given bf16
        }
        self._request = core.compile_model(graph, "CPU", properties).create_infer_request()

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Images N×H×W×B → logits N×C×h×w (float32).

        Raises:
            UserError: memory runs out, or the logits are not finite.
        """
        try:
            result = self._request.infer({0: images})
        except RuntimeError as error:
            if "alloc" not in str(error).lower():
                raise
            raise out_of_memory(images, "cpu") from error
        logits: NDArray[np.float32] = np.array(result[0])  # the request writes the next result into the same memory
        return check_finite(logits)
