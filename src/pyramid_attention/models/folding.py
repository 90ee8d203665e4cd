"""What inference does not need to compute: batch norms behind convolutions, and the scale of the pixels before one.

A norm with fixed statistics is a scale and an offset for each channel, and a convolution before it can have both in its
weights and its bias. Which norm stands behind which convolution is found by running the network once and looking at
what each is given.

A network that is to be trained again needs its norms back. Folding is linear in the weights: a network whose
convolutions are all ones, folded, shows what each weight was multiplied by.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .blocks import Norm
from .network import SegmentationModel

Convolution = (nn.Conv2d, nn.ConvTranspose2d)


def example() -> Tensor:
    """A normalised image N×3×H×W to find out with what stands behind what."""
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def fold(network: SegmentationModel, images: Tensor) -> bool:
    """Fold a network in place, in evaluation mode.

    Every norm right behind a convolution goes into it. Where one convolution without a bias is all that sees the
    pixels, it is changed to take them unscaled: pixels − 255 mean, with pixels of 0 … 255, instead of (pixels / 255 −
    mean) / std. (The mean stays outside: the convolution pads with zeros, which are to be the mean's.)

    Args:
        network: changed; its scores stay what they are, but for rounding.
        images: a normalised image N×3×H×W to run it on.

    Returns:
        Whether pixels are now to be given unscaled.
    """
    found: dict[int, tuple[nn.Module, Tensor]] = {}  # a tensor (kept, so that its id stays its own) and who made it
    pairs: list[tuple[Norm, nn.Module]] = []
    first: list[nn.Module] = []

    def made(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found[id(output)] = (module, output)

    def used(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0] is images and not list(module.children()):
            first.append(module)
        if isinstance(module, Norm) and id(inputs[0]) in found:
            pairs.append((module, found[id(inputs[0])][0]))

    hooks = [module.register_forward_pre_hook(used) for module in network.modules()]
    hooks += [module.register_forward_hook(made) for module in network.modules() if isinstance(module, Convolution)]
    with torch.no_grad():
        network.eval().coarse_logits(images)
    for hook in hooks:
        hook.remove()

    scaled = first[0] if len(first) == 1 and isinstance(first[0], nn.Conv2d) else None
    if scaled is not None and (scaled.groups > 1 or scaled.bias is not None):
        scaled = None
    for norm, convolution in pairs:
        _absorb(convolution, norm)
    folded = {id(norm) for norm, _ in pairs}
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if id(child) in folded:
                assert isinstance(child, Norm)
                setattr(parent, name, nn.Sequential(child.drop, child.act))
    if scaled is not None:
        scaled.weight.data.div_(torch.tensor(network.std).view(1, -1, 1, 1) * 255)
    return scaled is not None


def _absorb(convolution: nn.Module, norm: Norm) -> None:
    """Give a convolution's weights and bias the scale and the offset of the norm behind it."""
    assert isinstance(convolution, Convolution)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight.double(),
        None if convolution.bias is None else convolution.bias.double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        norm.weight.double(),
        norm.bias.double(),
        transpose=isinstance(convolution, nn.ConvTranspose2d),
    )
    convolution.weight = nn.Parameter(weight.float(), requires_grad=False)
    convolution.bias = nn.Parameter(bias.float(), requires_grad=False)


def pack_norms(network: nn.Module) -> dict[str, str]:
    """The norms of a network as text: weight, bias, mean and variance of each (float32, base64), by its name."""
    return {
        name: base64.b64encode(torch.stack(_numbers(norm)).numpy().tobytes()).decode()
        for name, norm in network.named_modules()
        if isinstance(norm, Norm)
    }


def unpack_norms(network: nn.Module, packed: Mapping[str, str]) -> None:
    """Give a network the norms that `pack_norms` wrote, in place.

    Raises:
        KeyError: one is missing.
        ValueError: one has another size.
    """
    for name, norm in network.named_modules():
        if isinstance(norm, Norm):
            values = np.frombuffer(base64.b64decode(packed[name]), np.float32).reshape(4, norm.num_features)
            for tensor, value in zip(_numbers(norm), values, strict=True):
                tensor.copy_(torch.from_numpy(value.copy()))


def _numbers(norm: Norm) -> list[Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return [norm.weight.detach(), norm.bias.detach(), norm.running_mean, norm.running_var]


def unfold(network: SegmentationModel, folded: Mapping[str, Tensor]) -> None:
    """Give a network the weights it had before it was folded, in place; the inverse of `fold`, but for rounding.

    Args:
        network: with the norms it had; everything else is replaced.
        folded: the parameters of the folded network, by name.

    Raises:
        KeyError: a parameter is missing.
        RuntimeError: one has another shape.
    """
    ones = copy.deepcopy(network)
    convolutions = {name: module for name, module in ones.named_modules() if isinstance(module, Convolution)}
    for module in convolutions.values():
        nn.init.ones_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    fold(ones, example())
    norms = {id(own) for module in network.modules() if isinstance(module, Norm) for own in module.parameters()}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            owner, _, kind = name.rpartition(".")
            if id(parameter) in norms:
                continue
            value = folded[name]
            if owner in convolutions:
                after = convolutions[owner]
                scale = after.weight
                if kind == "bias":
                    assert after.bias is not None
                    scale = scale.flatten(1)[:, 0] if isinstance(after, nn.Conv2d) else scale[0, :, 0, 0]
                    value = value - after.bias
                value = torch.where(scale == 0, 0.0, value / scale)
            parameter.copy_(value)
