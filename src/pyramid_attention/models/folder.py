"""Model folders: `config.json` (what makes the network again, its classes and preprocessing), `model.safetensors` (its
weights) and `README.md` (a model card).

The weights are safetensors, which hold numbers and cannot run code. Each file is written whole or not at all, the
configuration last: a folder with a `config.json` is complete.
"""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import huggingface_hub
import torch
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors

from ..classes import ClassTable
from ..errors import UserError
from ..files import make_folder, scratch, whole_file
from .architectures import build_model, describe
from .network import SegmentationModel

FORMAT_VERSION = 1
LIBRARY_VERSION = version("pyramid-attention")
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
HUB_ERRORS = (HfHubHTTPError, HFValidationError, OSError)


def save(network: SegmentationModel, folder: str | PathLike[str], metadata: dict[str, Any]) -> None:
    """Write a model folder, over one that is there.

    Raises:
        UserError: if it cannot be written.
    """
    target = make_folder(folder)
    config = {
        "format_version": FORMAT_VERSION,
        "library_version": LIBRARY_VERSION,
        "model": network.spec,
        "classes": network.classes.to_dict() if network.classes else None,
        "preprocessing": {"mean": list(network.mean), "std": list(network.std)},
        "metadata": metadata,
    }
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    weights = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    with whole_file(target / WEIGHTS) as file:
        file.write_bytes(to_safetensors(weights, metadata={"format": "pt"}))  # its own writer hides a full disk
    with whole_file(target / CARD) as file:
        file.write_text(card(config, sum(p.numel() for p in network.parameters())), encoding="utf-8")
    with whole_file(target / CONFIG) as file:
        file.write_text(text, encoding="utf-8")


def load(source: str | PathLike[str]) -> SegmentationModel:
    """Read a model folder, the `model/` of a run folder, or a model of the hub; in evaluation mode.

    Raises:
        UserError: it does not exist, is damaged, does not fit its own configuration, or is of a newer format.
    """
    folder = _resolve(source)
    config = _read_config(folder / CONFIG)
    try:
        model, preprocessing, classes = config["model"], config["preprocessing"], config["classes"]
        network = build_model(**(model | {"pretrained": False}))
        assert network.spec is not None
        network.spec["pretrained"] = model["pretrained"]  # where training started from; the weights are here
        network.classes = ClassTable.from_dict(classes) if classes is not None else None
        network.mean = tuple(float(value) for value in preprocessing["mean"])
        network.std = tuple(float(value) for value in preprocessing["std"])
        network.metadata = dict(config["metadata"])
    except UserError as error:
        raise UserError(f"{folder / CONFIG}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(
            f"{folder / CONFIG} is damaged ({type(error).__name__}: {error}); get the folder again"
        ) from error
    network.load_state_dict(_read_weights(folder / WEIGHTS, network.state_dict()))
    return network.eval()


def weights_digest(source: str | PathLike[str]) -> str:
    """The SHA-256 of a model's file of weights, in hexadecimal; `source` as in `load`.

    Raises:
        UserError: it does not exist.
    """
    path = _resolve(source) / WEIGHTS
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def push(network: SegmentationModel, repository: str, private: bool) -> None:
    """Upload a model folder to the hub.

    Raises:
        UserError: the hub cannot be reached or refuses.
    """
    with scratch(gettempdir()) as folder:
        network.save_pretrained(folder)
        try:
            huggingface_hub.create_repo(repository, private=private, exist_ok=True)
            huggingface_hub.upload_folder(repo_id=repository, folder_path=folder)
        except HUB_ERRORS as error:
            raise UserError(
                f"cannot upload to '{repository}' on the Hugging Face hub ({error}); log in first"
            ) from error


def _resolve(source: str | PathLike[str]) -> Path:
    """The folder that holds `config.json`, downloaded from the hub where the source is no path."""
    path = Path(source)
    for folder in (path, path / "model"):
        if (folder / CONFIG).is_file():
            return folder
    if path.is_dir():
        raise UserError(
            f"{path} holds no {CONFIG} (nor does {path / 'model'}); it is no model folder and no run folder"
        )
    if path.exists():
        raise UserError(f"{path} is a file where a model folder is expected")
    missing = f"there is no model folder {path}"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)):
        raise UserError(f"{missing}; give the path of one, or a hub id such as owner/name")
    try:
        return Path(huggingface_hub.snapshot_download(str(source), allow_patterns=[CONFIG, WEIGHTS]))
    except HUB_ERRORS as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{missing}, and '{source}' cannot be had from the Hugging Face hub ({reason})") from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        format_version = config["format_version"]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is no configuration of a model ({error}); get the folder again") from error
    if not isinstance(format_version, int) or format_version > FORMAT_VERSION:
        made = config.get("library_version", "a newer version")
        raise UserError(
            f"{path} has format {format_version}, written by pyramid-attention {made}, and this is {LIBRARY_VERSION},"
            f" which reads format {FORMAT_VERSION}; update pyramid-attention"
        )
    return dict(config)


def _read_weights(path: Path, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a file, found to be those that are expected."""
    if not path.is_file():
        raise UserError(f"{path} is missing; get the folder again")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or no safetensors file ({error}); get the folder again") from error
    problem = misfit(weights, expected)
    if problem:
        raise UserError(f"{path} does not fit {path.with_name(CONFIG)}: it {problem}")
    return weights


def misfit(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> str | None:
    """How weights differ from those a network expects, in names and shapes, or None where they fit."""
    problems = {
        "is without": expected.keys() - weights.keys(),
        "has the unknown": weights.keys() - expected.keys(),
        "has another shape for": {
            f"{name} ({_shape(weights[name])} instead of {_shape(expected[name])})"
            for name in expected.keys() & weights.keys()
            if weights[name].shape != expected[name].shape
        },
    }
    told = [f"{what} {_some(names)}" for what, names in problems.items() if names]
    return "; it ".join(told) or None


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "a single number"


def _some(names: set[str], show: int = 3) -> str:
    more = f" and {len(names) - show} more" if len(names) > show else ""
    return ", ".join(sorted(names)[:show]) + more


def card(config: dict[str, Any], parameters: int) -> str:
    """A model card (Markdown with the hub's YAML header) from what `config.json` holds."""
    model = config["model"]
    classes = config["classes"]["names"] if config["classes"] else []
    options = "\n".join(f"| {name} | {json.dumps(value)} |" for name, value in model.items())
    metadata = json.dumps(config["metadata"], indent=2, ensure_ascii=False)
    return f"""---
library_name: pyramid-attention
pipeline_tag: image-segmentation
---
# {model["architecture"] or describe(model)} on {model["backbone"]}

Semantic segmentation into {model["num_classes"]} classes{": " if classes else ""}{", ".join(classes)}.
{parameters:,} parameters. Network: {describe(model)}.

```python
from pyramid_attention import Segmenter

segmentation = Segmenter.load("this folder or its hub id")("photo.jpg")
```

| option | value |
|---|---|
{options}

## How it was made

```json
{metadata}
```

Written by pyramid-attention {config["library_version"]}.
"""
