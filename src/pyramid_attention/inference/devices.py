"""Which device a network runs on, and whether an error says that its memory is too small."""

from __future__ import annotations

import torch

from ..errors import UserError
from .options import unknown_device


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The torch device for a name of `options.DEVICES`; "auto" is the first that is there of cuda, mps and cpu.

    A `torch.device` is returned as it is: code that already holds one (a rank of a distributed run) keeps it.

    Raises:
        UserError: an unknown name, or a device that this machine (or this build of PyTorch) does not have.
    """
    if isinstance(device, torch.device):
        return device
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if device not in available:
        raise unknown_device(device)
    if not available[device]:
        raise UserError(f'PyTorch finds no {device} device on this machine; use device="cpu" (or auto)')
    return torch.device(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: torch's own class on accelerators, a plain RuntimeError elsewhere."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # The words of CUDA and MPS, of the CPU's allocator on Windows, and of the CPU's on Linux and macOS.
    signs = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
