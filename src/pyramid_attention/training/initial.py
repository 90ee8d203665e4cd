"""The network as training begins: as the recipe describes it, and with the weights of a trained model that it names.

The new network may have other classes than the trained model, and other options (an output stride costs no weights). A
tensor of the name and the shape of one of the trained model's starts from it. In the head, a class starts from the
class of the same name. All else starts at random, as without a trained model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..artifacts import read_info
from ..classes import ClassTable
from ..errors import UserError
from ..images import RGB, Bands
from ..models import SegmentationModel, build_model
from ..models.backbone import Backbone
from ..models.blocks import Head
from ..models.first_layer import spread
from .recipe import ChangedModelRecipe, ModelRecipe

LEAST_SHARE = 0.1
"""The share of the backbone's weights that has to fit: names such as "bn1" are in many networks."""


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


def describe(model: ModelRecipe | ChangedModelRecipe | None) -> ModelRecipe:
    """Describe a recipe's network afresh, where it is that of a trained model with changes; reads no weights.

    Raises:
        UserError: there is no such model, or it does not say how it was built; or the recipe describes no network.
    """
    if model is None:
        raise UserError("the recipe describes no network (its run was begun with one from Python); give it as network=")
    if isinstance(model, ModelRecipe):
        return model
    network = dict(read_info(model.init).network)
    if network.pop("in_channels", None) is None:
        raise UserError(f"{model.init} does not say how its network was built, and training needs that")
    if network["architecture"] is None:
        del network["architecture"]
    else:
        network |= {"context": None, "decoder": None}  # the architecture's own, whichever architecture it will be
    fields = {name: network.pop(name) for name in ModelRecipe.model_fields if name in network}
    del network["num_classes"]
    changes = {name: value for name, value in model if value is not None}
    return ModelRecipe.model_validate({**fields, **changes, "options": {**network, **model.options}})


def build_network(model: ModelRecipe, classes: ClassTable, seed: int, bands: Bands = RGB) -> SegmentationModel:
    """Make the network that a recipe describes, as it is before training, for images of some bands.

    ImageNet's filters are spread over bands that are not red, green and blue (see `first_layer`).
    """
    torch.manual_seed(seed)
    network = build_model(
        model.architecture,
        num_classes=len(classes),
        backbone=model.backbone,
        pretrained=model.pretrained,
        output_stride=model.output_stride,
        in_channels=len(bands),
        context=model.context,
        decoder=model.decoder,
        **model.options,
    )
    network.classes, network.bands = classes, bands
    if model.pretrained and bands.names != RGB.names:
        trained = Backbone(model.backbone, model.output_stride, len(RGB), model.pretrained)
        spread(network.backbone, trained, _same_bands(bands, RGB))
    return network


def start_from(network: SegmentationModel, trained: SegmentationModel) -> Start:
    """Give a network the weights of a trained one, in place, as far as they fit.

    Where both take the same bands, the network normalises images as the trained one does; else the filters of its first
    layer are spread over the network's bands.

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
    if network.bands == trained.bands:
        network.mean, network.std = trained.mean, trained.std
    else:
        spread(network.backbone, trained.backbone, _same_bands(network.bands, trained.bands))
    weights = sum(taken.get(name, 0) for name in sizes)
    return Start(weights, sum(sizes.values()), tuple(names[new] for new, _ in rows))


def _same_bands(new: Bands, old: Bands) -> dict[int, int]:
    """Return for a place of a band in the new the place in the old of the band of the same name or colour."""
    by_name = {name: place for place, name in enumerate(old.names)}
    colours, old_colours = new.colours(), old.colours()
    same = {place: by_name[name] for place, name in enumerate(new.names) if name in by_name}
    return same | {place: old_colours[colour] for colour, place in colours.items() if colour in old_colours}


def _same_classes(new: ClassTable | None, old: ClassTable | None) -> list[tuple[int, int]]:
    """Return pairs (place in the new table, place in the old) of the classes of the same name, in whatever case."""
    places = {name.casefold(): place for place, name in enumerate(old.names if old else ())}
    names = enumerate(new.names if new else ())
    return [(place, places[name.casefold()]) for place, name in names if name.casefold() in places]
