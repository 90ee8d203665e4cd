"""Weights for images of other bands: the filters of a trained first layer, spread over the bands of another network.

ImageNet's filters for red, green and blue stay with the bands of these colours, and every other band begins with their
mean. All are scaled by the ratio of the numbers of bands: bands of one scene resemble each other, so that the sum over
them, and what the next layer is given, stays as large as it was (the scaling of timm's `adapt_input_conv`, which
repeats the filters in their order instead).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import UserError
from .backbone import Backbone


def first_layer(backbone: Backbone) -> nn.Conv2d:
    """The layer of a backbone that is given the image, perhaps with a border around it.

    Raises:
        UserError: it is no convolution.
    """
    called: list[nn.Module] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if next(module.parameters(recurse=False), None) is not None:
            called.append(module)

    hooks = [module.register_forward_pre_hook(look) for module in backbone.modules()]
    modes = [(module, module.training) for module in backbone.modules()]
    with torch.no_grad():
        backbone.eval()(torch.zeros(1, backbone.in_channels, 64, 64))
    for module, training in modes:
        module.training = training
    for hook in hooks:
        hook.remove()
    first = called[0]
    if not isinstance(first, nn.Conv2d) or first.in_channels != backbone.in_channels or first.groups != 1:
        raise UserError(
            f"the weights of backbone '{backbone.name}' cannot be spread over {backbone.in_channels} bands, since no"
            " convolution takes its images; choose another backbone, or pretrained=false"
        )
    return first


def spread(backbone: Backbone, trained: Backbone, places: Mapping[int, int]) -> None:
    """Give the first layer of a backbone the filters of a trained one, in place.

    Args:
        backbone: for images of B bands.
        trained: of the same architecture, for images of other bands.
        places: for a band of `backbone` the band of `trained` whose filters it gets; every other band gets their mean.

    Raises:
        UserError: the first layer is no convolution.
    """
    new, old = first_layer(backbone), first_layer(trained).weight.detach()
    filters = [old[:, places[band]] if band in places else old.mean(dim=1) for band in range(new.in_channels)]
    with torch.no_grad():
        new.weight.copy_(torch.stack(filters, dim=1) * (old.shape[1] / new.in_channels))
