"""The ONNX Runtime engine: an exported file on the CPU, or on CUDA where the installed runtime has it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...artifacts import Located, ModelInfo
from ...artifacts.onnx_file import INPUT, SCORES, read_file
from ...classes import ClassTable
from ...errors import UserError
from ..options import DEVICES, SegmenterOptions, unknown_device
from ..threads import usable_cores
from .failures import check_finite, out_of_memory
from .pruning import keep_output

CUDA = "CUDAExecutionProvider"


def open_session(
    model: bytes,
    path: Path,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    *,
    only: str | None = None,
    optimise: bool = True,
) -> Any:
    """An `onnxruntime.InferenceSession` for a file.

    Args:
        model: the file's bytes.
        path: of the file, for messages.
        providers: what it shall run on, in order.
        only: compute this output alone.
        optimise: for speed; without it the session is ready sooner.

    Raises:
        UserError: the file is damaged, no ONNX model, or needs a newer runtime.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised, and said once
    options.intra_op_num_threads = usable_cores()
    options.enable_mem_pattern = False  # a plan for each size of image would be kept for good
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        if only is not None:
            model = keep_output(model, only)
        return onnxruntime.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{path} cannot be loaded by ONNX Runtime {onnxruntime.__version__}: it is damaged, no ONNX model, or made"
            f" for a newer one; export it again ({reason})"
        ) from error


def describe_foreign(session: Any, data: bytes, path: Path, names: Sequence[str] | None) -> ModelInfo:
    """What the user says of another program's file, which says nothing of itself.

    Args:
        session: the file in ONNX Runtime.
        data: its bytes.
        path: of the file, for messages.
        names: of its classes.

    Raises:
        UserError: its inputs and outputs are not those of an exported model; no names are given, or another number.
    """
    try:
        inputs, outputs = session.get_inputs(), {output.name: output for output in session.get_outputs()}
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged: its names are no text ({error}); get or export it again") from error
    wanted = f"uint8 images '{INPUT}' N×H×W×3 in, '{SCORES}' N×C×h×w out"
    if [(one.name, one.type, len(one.shape)) for one in inputs] != [
        (INPUT, "tensor(uint8)", 4)
    ] or SCORES not in outputs:
        has = ", ".join(f"'{one.name}' {one.type} of {len(one.shape)} dimensions" for one in inputs)
        gives = ", ".join(f"'{name}'" for name in outputs)
        raise UserError(
            f"{path} is not a model that 'pan export' made: it takes {has} and gives {gives}; needed are {wanted}"
        )
    count = outputs[SCORES].shape[1]
    if names is None:
        classes = f"{count} classes" if isinstance(count, int) else "classes"
        raise UserError(
            f"{path} holds no model info of pyramid-attention, so what its {classes} are called is missing; name them"
            " with classes=, or export the model again"
        )
    if isinstance(count, int) and count != len(names):
        raise UserError(f"{path} has {count} classes and classes= names {len(names)}")
    return ModelInfo(classes=ClassTable.of(list(names)), weights_sha256=hashlib.sha256(data).hexdigest())


def choose_providers(device: str) -> list[str]:
    """ONNX Runtime's providers for a name of `DEVICES`.

    Raises:
        UserError: an unknown name, or a device that the installed runtime does not have.
    """
    if device not in DEVICES:
        raise unknown_device(device)
    there = onnxruntime.get_available_providers()
    if device == "mps":
        raise UserError('ONNX Runtime has no device mps; use device="cpu" (or auto)')
    if device == "cuda" and CUDA not in there:
        raise UserError(
            'the installed ONNX Runtime has no CUDA; use device="cpu" (or auto), or put onnxruntime-gpu in its place'
        )
    cuda = [CUDA] if device != "cpu" and CUDA in there else []
    return [*cuda, "CPUExecutionProvider"]


def load(model: Located, options: SegmenterOptions) -> OnnxRuntimeEngine:
    """The engine for an exported file."""
    return OnnxRuntimeEngine(model, options.device, options.classes)


class OnnxRuntimeEngine:
    """Runs an exported file.

    Args:
        model: the file.
        device: a name of `DEVICES`.
        classes: names for the classes of another program's file.

    Raises:
        UserError: the file is no exported model, or damaged; there is no such device.
    """

    def __init__(self, model: Located, device: str = "auto", classes: Sequence[str] | None = None) -> None:
        data, info = read_file(model, classes)
        self._session = open_session(data, model.path, choose_providers(device), only=SCORES)
        self.info = info or describe_foreign(self._session, data, model.path, classes)
        self.device = "cuda" if CUDA in self._session.get_providers() else "cpu"
        self._model = model
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = 4

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Images N×H×W×B → logits N×C×h×w (float32).

        Raises:
            UserError: memory runs out, or the logits are not finite.
        """
        (logits,) = self._run(self._session, [SCORES], images)
        return check_finite(logits)

    @cached_property
    def _whole(self) -> Any:
        """The file with all its outputs: who only segments is spared them."""
        return open_session(self._model.path.read_bytes(), self._model.path, self._session.get_providers())

    def attention(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The attention that the file was exported with, by the names of `info.attention`; empty without.

        Args:
            images: N×H×W×3, as to be segmented.

        Raises:
            UserError: memory runs out.
        """
        names = list(self.info.attention)
        return dict(zip(names, self._run(self._whole, names, images), strict=True)) if names else {}

    def _run(self, session: Any, names: list[str], images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        try:
            found: list[NDArray[np.float32]] = session.run(names, {INPUT: images}, self._options)
        except Exception as error:  # as above
            if isinstance(error, MemoryError) or "alloc" in str(error).lower():
                raise out_of_memory(images, self.device) from error
            raise
        return found
