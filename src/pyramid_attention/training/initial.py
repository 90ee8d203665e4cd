"""The network as training begins: as the recipe describes it, and with the weights of a trained model that it names.

The new network may have other classes than the trained model, and other options (an output stride costs no weights). A
tensor of the name and the shape of one of the trained model's starts from it. In the head, a class starts from the
class of the same name. All else starts at random, as without a trained model.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from ..classes import ClassTable
from ..errors import UserError
from ..inference.engines.exported import KEY, Description
from ..inference.load import find_model
from ..models import SegmentationModel, build_model
from ..models.blocks import Head
from ..models.folding import unfold, unpack_norms
from .recipe import ChangedModelRecipe, ModelRecipe

LEAST_SHARE = 0.1
"""Of the backbone's weights that have to fit: names such as "bn1" are in many."""


@dataclass(frozen=True)
class Start:
    """How much of a network starts from a trained model.

    Attributes:
        taken: how many of the network's weights come from the trained model.
        parameters: how many weights the network has.
        classes: the names of the classes whose weights in the head come from it.
    """

    taken: int
    parameters: int
    classes: tuple[str, ...]

    def __str__(self) -> str:
        classes = f"; known classes: {', '.join(self.classes)}" if self.classes else ""
        return f"{self.taken / self.parameters:.1%} of the weights start from it{classes}"


def load_trained(model: str | os.PathLike[str]) -> SegmentationModel:
    """The trained network of a run folder, a model folder, a hub id, or a file that `pan export` made of one.

    Raises:
        UserError: there is no such model, it is damaged, or it is an exported one that cannot be trained.
    """
    found = find_model(model)
    if isinstance(found, Path) and found.suffix == ".onnx":
        return rebuild(found)
    return SegmentationModel.from_pretrained(found)


def rebuild(path: Path) -> SegmentationModel:
    """The network that a file was exported from, its norms no longer folded into its convolutions.

    Raises:
        UserError: the file is damaged, of 8 bits, or holds too little to make the network again.
    """
    try:
        model = onnx.load(path)
    except Exception as error:  # of protobuf, which has several
        raise UserError(f"{path} is damaged or no ONNX model; export it again") from error
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    if text is None:
        raise UserError(f"{path} is not a model that 'pan export' made, and only such can be trained again")
    description = Description.from_json(text, path)
    if description.metadata.get("precision") == "int8":
        raise UserError(f"{path} has 8-bit weights, which cannot be trained; name the model it was exported from")
    try:
        network = build_model(**(description.metadata["model"] | {"pretrained": False}))
        network.mean, network.std = (tuple(description.trainable[name]) for name in ("mean", "std"))
        unpack_norms(network, description.trainable["norms"])
        unfold(network, _parameters(network, model, description.trainable["elsewhere"]))
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} does not hold all that its network needs to be trained again ({error}); export it again, or name"
            " the model it was exported from"
        ) from error
    network.classes = description.classes
    return network.eval()


def _parameters(
    network: SegmentationModel, model: onnx.ModelProto, elsewhere: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """The folded network's parameters by name, from the graph's tensors and what `elsewhere` says of the others."""
    tensors = {value.name.removeprefix("network."): value for value in model.graph.initializer}
    found = {}
    for name, parameter in network.named_parameters():
        place = elsewhere.get(name)
        if place is None:
            if name not in tensors:
                continue  # of a norm that was folded
            array = onnx.numpy_helper.to_array(tensors[name])
        elif "numbers" in place:
            array = np.frombuffer(base64.b64decode(place["numbers"]), np.float32).reshape(parameter.shape)
        else:
            axes = place["axes"]
            moved = onnx.numpy_helper.to_array(tensors[place["tensor"]])
            array = moved.reshape([parameter.shape[axis] for axis in axes]).transpose(np.argsort(axes))
        found[name] = torch.from_numpy(array.copy())
    return found


def describe(model: ModelRecipe | ChangedModelRecipe | None) -> ModelRecipe:
    """A recipe's network described afresh, where it is that of a trained model with changes.

    Raises:
        UserError: there is no such model, or it takes other images than RGB; or the recipe describes no network.
    """
    if model is None:
        raise UserError("the recipe describes no network (its run was begun with one from Python); give it as network=")
    if isinstance(model, ModelRecipe):
        return model
    trained = load_trained(model.init)
    assert trained.spec is not None, "what was saved can be made again"
    network = dict(trained.spec)
    if network.pop("in_channels") != 3:
        raise UserError(f"{model.init} takes images of other channels than RGB, which training does not read")
    if network["architecture"] is None:
        del network["architecture"]
    else:
        network |= {"context": None, "decoder": None}  # the architecture's own, whichever architecture it will be
    fields = {name: network.pop(name) for name in ModelRecipe.model_fields if name in network}
    del network["num_classes"]
    changes = {name: value for name, value in model if value is not None}
    return ModelRecipe.model_validate({**fields, **changes, "options": {**network, **model.options}})


def build_network(model: ModelRecipe, classes: ClassTable, seed: int) -> SegmentationModel:
    """The network that a recipe describes, as it is before training."""
    torch.manual_seed(seed)
    network = build_model(
        model.architecture,
        num_classes=len(classes),
        backbone=model.backbone,
        pretrained=model.pretrained,
        output_stride=model.output_stride,
        context=model.context,
        decoder=model.decoder,
        **model.options,
    )
    network.classes = classes
    return network


def start_from(network: SegmentationModel, trained: SegmentationModel) -> Start:
    """Give a network the weights of a trained one, in place, as far as they fit, and its normalisation of images.

    Raises:
        UserError: next to nothing of the backbone fits: it is another.
    """
    heads = {
        f"{name}.{part}"
        for name, module in network.named_modules()
        if isinstance(module, Head)
        for part, _ in module.named_parameters()
    }
    have, state = trained.state_dict(), network.state_dict()
    rows = _same_classes(network.classes, trained.classes)
    taken: dict[str, int] = {}  # how many weights of which parameter
    with torch.no_grad():
        for name, tensor in state.items():
            source = have.get(name)
            if source is None:
                continue
            if name in heads:
                if source.shape[1:] == tensor.shape[1:]:
                    for new, old in rows:
                        tensor[new] = source[old]
                    taken[name] = len(rows) * tensor[0].numel()
            elif source.shape == tensor.shape:
                tensor.copy_(source)
                taken[name] = tensor.numel()
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    backbone = {name for name in sizes if name.startswith("backbone.")}
    share = sum(taken.get(name, 0) for name in backbone) / sum(sizes[name] for name in backbone)
    if share < LEAST_SHARE:
        raise UserError(
            f"{share:.0%} of the backbone {network.backbone.name} fit the trained model's,"
            f" {trained.backbone.name}; leave out model.backbone, or model.init"
        )
    names = network.classes.names if network.classes else ()
    network.mean, network.std = trained.mean, trained.std
    weights = sum(taken.get(name, 0) for name in sizes)
    return Start(weights, sum(sizes.values()), tuple(names[new] for new, _ in rows))


def _same_classes(new: ClassTable | None, old: ClassTable | None) -> list[tuple[int, int]]:
    """Pairs (place in the new table, place in the old) of the classes of the same name, in whatever case."""
    places = {name.casefold(): place for place, name in enumerate(old.names if old else ())}
    names = enumerate(new.names if new else ())
    return [(place, places[name.casefold()]) for place, name in names if name.casefold() in places]
