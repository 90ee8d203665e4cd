"""Model folders: `config.json` (the model's info), `model.safetensors` (its weights) and `README.md` (a model card).

The weights are safetensors, which hold numbers and cannot run code. A folder is written elsewhere and takes the place
of an earlier one in one step: there is always a whole model.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import carry_over, scratch, whole_folder
from .hub import upload
from .info import ModelInfo
from .integrity import check_bytes, read_bytes
from .locate import CARD, CONFIG, WEIGHTS
from .network import build_described, describe_network

if TYPE_CHECKING:
    from ..models import SegmentationModel


def read_info(folder: Path) -> ModelInfo:
    """What a model folder says of its model.

    Raises:
        UserError: it cannot be read, is damaged, or of another version's format.
    """
    return ModelInfo.from_json(read_bytes(folder / CONFIG)[0], folder / CONFIG)


def save_model(
    network: SegmentationModel,
    folder: str | os.PathLike[str],
    *,
    recipe: Mapping[str, Any] | None = None,
    validation: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    max_size: int | None = None,
) -> None:
    """Write a model folder, over one that is there; what is said besides the network is described by `ModelInfo`.

    Other files that the folder holds stay in it.

    Raises:
        UserError: if it cannot be written, or the network cannot be described: `build_model` did not make it.
    """
    from safetensors.torch import save

    from ..models.architectures import describe

    if network.spec is None:
        raise UserError(
            "a network whose parts were put together by hand cannot be saved, since nothing says how to build it again;"
            " make it by build_model(context=…, decoder=…), which takes classes of your own"
        )
    info = describe_network(network, recipe=recipe, validation=validation, provenance=provenance, max_size=max_size)
    weights = save(
        {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()},
        metadata={"format": "pt"},
    )
    info = replace(info, weights_sha256=hashlib.sha256(weights).hexdigest())
    card = model_card(info, describe(network.spec), sum(each.numel() for each in network.parameters()))
    contents = {WEIGHTS: weights, CARD: card.encode(), CONFIG: info.to_json().encode()}
    with whole_folder(folder, over=True) as place:
        for name, content in contents.items():
            with open(place / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if os.path.isdir(folder):  # it may hold an exported file
            carry_over(Path(folder), place)


def load_folder(folder: Path, parts: Iterable[type | str] = ()) -> SegmentationModel:
    """The network of a model folder, in evaluation mode; see `load_model`.

    Raises:
        UserError: the folder is damaged, its weights do not fit its network, or it is of another version's format.
    """
    import safetensors.torch
    from safetensors import SafetensorError

    from ..models.misfit import misfit

    info = read_info(folder)
    path = folder / WEIGHTS
    data, stat = read_bytes(path)
    check_bytes(path, stat, [data], info.weights_sha256)
    network = build_described(info, folder / CONFIG, parts)
    try:
        weights = safetensors.torch.load(data)
    except SafetensorError as error:
        raise UserError(f"{path} is no safetensors file ({error}); get the folder again") from error
    problem = misfit(weights, network.state_dict())
    if problem:
        raise UserError(f"{path} does not fit {folder / CONFIG}: it {problem}")
    network.load_state_dict(weights)
    return network.eval()


def push_model(
    network: SegmentationModel,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    branch: str | None = None,
    commit_message: str = "Push model using pyramid-attention",
    **facts: Any,
) -> None:
    """Upload a model folder to the Hugging Face hub, as "owner/name"; makes the repository where there is none.

    Args:
        network: which.
        repo_id: "owner/name".
        private: whether a new repository is; by default as the owner's settings say.
        token: for the hub; by default the one that was logged in with.
        branch: to upload to; by default the main one.
        commit_message: of the upload.
        facts: what `save_model` takes: `recipe`, `validation`, `provenance`, `max_size`.

    Raises:
        UserError: the hub cannot be reached or refuses.
    """
    with scratch(tempfile.gettempdir()) as place:
        save_model(network, place / "model", **facts)
        upload(place / "model", repo_id, private, token, branch, commit_message)


def _terms(info: ModelInfo) -> str:
    """What the weights were trained on, and that a licence of the file says nothing of it."""
    start, data = info.network.get("pretrained"), info.recipe.get("data", {}).get("path")
    trained = [
        *(["on ImageNet (Russakovsky et al. 2015; its images are for research)"] if start is True else []),
        *([f"before on what the file {start} holds"] if isinstance(start, str) else []),
        *([f"on {data}"] if data else []),
    ]
    known = f"The weights were trained {', then '.join(trained)}. " if trained else ""
    return (
        f"{known}A licence of this file, which whoever passes it on may give it, is not the licence of the images and"
        " labels that it was trained on: whether the model may be used for a purpose depends on both."
    )


def model_card(info: ModelInfo, network: str, parameters: int) -> str:
    """A model card (Markdown with the hub's YAML header).

    Args:
        info: the model's.
        network: what it is, in words.
        parameters: how many it has.
    """
    classes = info.classes.names if info.classes else ()
    options = "\n".join(f"| {name} | {json.dumps(value)} |" for name, value in info.network.items())
    facts = {name: getattr(info, name) for name in ("recipe", "validation", "provenance")}
    made = json.dumps({name: fact for name, fact in facts.items() if fact}, indent=2, ensure_ascii=False)
    return f"""---
library_name: pyramid-attention
pipeline_tag: image-segmentation
---
# {network.partition(" (")[0]} on {info.network["backbone"]}

Semantic segmentation into {info.network["num_classes"]} classes{": " if classes else ""}{", ".join(classes)}.
{parameters:,} parameters. Network: {network}. Images: {info.bands}.

```python
from pyramid_attention import Segmenter

segmentation = Segmenter.load("this folder or its hub id")("photo.jpg")
```

| option | value |
|---|---|
{options}

## How it was made

```json
{made}
```

## Terms

{_terms(info)}

Written by pyramid-attention {info.library_version}.
"""
