"""What inference does not need to compute: batch norms behind convolutions, and the scale of the pixels before one.

A norm with fixed statistics is a scale and an offset for each channel, and a convolution before it can have both in its
weights and its bias. Which norm stands behind which convolution is found by running the network once and looking at
what each is given.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..artifacts.onnx_weights import Folding
from ..models import SegmentationModel
from ..models.blocks import Norm

Convolution = (nn.Conv2d, nn.ConvTranspose2d)


def find_folding(network: SegmentationModel) -> Folding:
    """What of a network can be folded.

    Every norm right behind a convolution goes into it. Where one convolution without a bias is all that is given the
    values, it can take them unscaled: values − scale · mean, instead of (values / scale − mean) / std. (The mean stays
    outside: the convolution pads with zeros, which are to be the mean's.)

    Args:
        network: put into evaluation mode.
    """
    images = torch.randn(2, network.backbone.in_channels, 64, 96, generator=torch.Generator().manual_seed(0))
    names = {module: name for name, module in network.named_modules()}
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # a tensor (kept, so that its id stays its own) and who made it
    norms: dict[str, str] = {}
    first: list[nn.Module] = []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        made[id(output)] = (module, output)

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0] is images and not list(module.children()):
            first.append(module)
        if isinstance(module, Norm) and id(inputs[0]) in made:
            norms[names[made[id(inputs[0])][0]]] = names[module]

    hooks = [module.register_forward_pre_hook(look) for module in network.modules()]
    hooks += [module.register_forward_hook(remember) for module in network.modules() if isinstance(module, Convolution)]
    with torch.no_grad():
        network.eval().coarse_logits(images)
    for hook in hooks:
        hook.remove()

    pixels = first[0] if len(first) == 1 else None
    takes_pixels = isinstance(pixels, nn.Conv2d) and pixels.groups == 1 and pixels.bias is None
    return Folding(norms, names[pixels] if takes_pixels and pixels is not None else None)


def fold(network: SegmentationModel, folding: Folding) -> None:
    """Fold a network in place: its logits stay what they are, but for rounding.

    Args:
        network: is given pixels unscaled from now on, where `folding.pixels` says so.
        folding: what `find_folding` found in it.
    """
    folding.apply(network)
    folded = set(folding.norms.values())
    modules = dict(network.named_modules())
    for name, norm in modules.items():
        if name in folded:
            assert isinstance(norm, Norm)
            owner, _, own = name.rpartition(".")
            setattr(modules[owner], own, nn.Sequential(norm.drop, norm.act))
