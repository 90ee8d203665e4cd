"""The ONNX Runtime engine: an exported file on the CPU, or on CUDA where the installed runtime has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...errors import UserError, nearest
from ..threads import usable_cores
from .exported import INPUT, SCORES, describe
from .failures import check_finite, out_of_memory
from .pruning import keep_output

DEVICES = ("auto", "cpu", "cuda", "mps")
CUDA = "CUDAExecutionProvider"


def open_session(
    path: Path,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    *,
    only: str | None = None,
    optimise: bool = True,
) -> Any:
    """An `onnxruntime.InferenceSession` for a file.

    Args:
        path: of the file.
        providers: what it shall run on, in order.
        only: compute this output alone.
        optimise: for speed; without it the session is ready sooner.

    Raises:
        UserError: the file is damaged, no ONNX model, or needs a newer runtime.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised, and told once
    options.intra_op_num_threads = usable_cores()
    options.enable_mem_pattern = False  # a plan for each size of image would be kept for good
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        model = path.read_bytes()
        if only is not None:
            model = keep_output(model, only)
        return onnxruntime.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{path} cannot be loaded by ONNX Runtime {onnxruntime.__version__}: it is damaged, no ONNX model, or made"
            f" for a newer one; export it again ({reason})"
        ) from error


def choose_providers(device: str) -> list[str]:
    """ONNX Runtime's providers for a name of `DEVICES`.

    Raises:
        UserError: an unknown name, or a device that the installed runtime does not have.
    """
    if device not in DEVICES:
        raise UserError(f"there is no device '{device}'.{nearest(device, DEVICES)}")
    there = onnxruntime.get_available_providers()
    if device == "mps":
        raise UserError('ONNX Runtime has no device mps; use device="cpu" (or auto)')
    if device == "cuda" and CUDA not in there:
        raise UserError(
            'the installed ONNX Runtime has no CUDA; use device="cpu" (or auto), or put onnxruntime-gpu in its place'
        )
    cuda = [CUDA] if device != "cpu" and CUDA in there else []
    return [*cuda, "CPUExecutionProvider"]


class OnnxRuntimeEngine:
    """Runs an exported file.

    Args:
        path: of the `.onnx` file.
        device: a name of `DEVICES`.
        classes: names for the classes of a file that does not hold them.

    Raises:
        UserError: the file is no exported model, or damaged; there is no such device.
    """

    def __init__(self, path: Path, device: str = "auto", classes: Sequence[str] | None = None) -> None:
        self._session = open_session(path, choose_providers(device), only=SCORES)
        self.device = "cuda" if CUDA in self._session.get_providers() else "cpu"
        description = describe(self._session, path, classes)
        self.classes = description.classes
        self.size_divisor = description.size_divisor
        self.align_corners = description.align_corners
        self.metadata = description.metadata
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = 4

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score images N×H×W×3 (uint8) → N×C×h×w (float32).

        Raises:
            UserError: memory runs out, or the scores are not finite numbers.
        """
        try:
            (scores,) = self._session.run([SCORES], {INPUT: images}, self._options)
        except Exception as error:  # as above
            if isinstance(error, MemoryError) or "alloc" in str(error).lower():
                raise out_of_memory(images, self.device) from error
            raise
        return check_finite(scores)
