"""The weights of a network in an exported graph: what is written so that they can be found again, and the finding.

In the graph norms are folded into convolutions (`export/folding.py`), some weights are laid out otherwise, some are
dropped for an equal one of another name. The norms are written beside the graph as they were; and since it is written
which was folded into which convolution, the folded weights can be divided by what they were multiplied by.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ..models import SegmentationModel
from ..models.blocks import Norm

LAYOUTS = {4: ((0, 1, 2, 3), (2, 3, 0, 1), (0, 2, 3, 1)), 2: ((0, 1), (1, 0))}
"""By number of axes, their orders in a graph: a convolution's own, Winograd's, a narrow one's; a linear map's two."""


@dataclass(frozen=True)
class Folding:
    """Which layers of a network are folded into its convolutions, by their names in it.

    Attributes:
        norms: of each convolution that takes up the norm behind it, that norm.
        pixels: the convolution that takes values less their mean, without division by their deviation; None
            where pixels are divided by it.
    """

    norms: Mapping[str, str]
    pixels: str | None

    def apply(self, network: SegmentationModel) -> None:
        """Change the convolutions of a network, in place; the norms stay where they are."""
        for name in self._convolutions():
            self._change(network, name, network.get_submodule(name))

    def reverse(self, network: SegmentationModel, folded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters as they were before `apply`, but for rounding.

        Folding is linear in the weights: a convolution of ones, folded, shows what each weight was multiplied by.

        Args:
            network: has the norms and the deviation it had before.
            folded: the parameters of the changed network, by name.

        Raises:
            KeyError: a parameter is missing.
        """
        found = dict(folded)
        for name in self._convolutions():
            ones: Any = copy.deepcopy(network.get_submodule(name))
            biased = ones.bias is not None
            nn.init.ones_(ones.weight)
            if biased:
                nn.init.zeros_(ones.bias)
            self._change(network, name, ones)
            found[f"{name}.weight"] = _divided(found[f"{name}.weight"], ones.weight)
            if biased:
                scale = ones.weight[:, 0, 0, 0] if isinstance(ones, nn.Conv2d) else ones.weight[0, :, 0, 0]
                found[f"{name}.bias"] = _divided(found[f"{name}.bias"] - ones.bias, scale)
        return found

    def _convolutions(self) -> list[str]:
        return sorted({*self.norms, *([] if self.pixels is None else [self.pixels])})

    def _change(self, network: SegmentationModel, name: str, convolution: Any) -> None:
        """Change a convolution as the one of that name in the network is to be."""
        if name in self.norms:
            norm: Any = network.get_submodule(self.norms[name])
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
        if name == self.pixels:
            convolution.weight.data.div_(torch.tensor(network.std).view(1, -1, 1, 1) * network.bands.scale)


def _divided(value: Tensor, scale: Tensor) -> Tensor:
    return torch.where(scale == 0, 0.0, value / scale)


def encode(
    network: SegmentationModel, folding: Folding, folded: Mapping[str, Tensor], model: onnx.ModelProto
) -> dict[str, Any]:
    """What `decode` needs besides the graph, as plain JSON.

    Args:
        network: as it was before folding.
        folding: of its layers.
        folded: its parameters after folding, by name.
        model: that was exported from the folded network.
    """
    norms = {
        name: _to_text(torch.stack(_values(norm))) for name, norm in network.named_modules() if isinstance(norm, Norm)
    }
    return {"norms": norms, "folding": asdict(folding), "elsewhere": _find_elsewhere(folded, model)}


def decode(network: SegmentationModel, model: onnx.ModelProto, written: Mapping[str, Any]) -> None:
    """Give a network the weights that it had before it was exported, in place; the inverse of `encode`.

    Raises:
        KeyError: something is missing.
        ValueError, RuntimeError: something has another shape.
    """
    norms = {name: norm for name, norm in network.named_modules() if isinstance(norm, Norm)}
    for name, norm in norms.items():
        values = _from_text(written["norms"][name], (4, norm.num_features))
        for tensor, value in zip(_values(norm), values, strict=True):
            tensor.copy_(value)
    tensors = {value.name.removeprefix("network."): value for value in model.graph.initializer}
    parameters = {
        name: parameter for name, parameter in network.named_parameters() if name.rpartition(".")[0] not in norms
    }
    folded = {}
    for name, parameter in parameters.items():
        place = written["elsewhere"].get(name, {"tensor": name, "axes": range(parameter.ndim)})
        if "values" in place:
            folded[name] = _from_text(place["values"], parameter.shape)
        else:
            axes = list(place["axes"])
            moved = onnx.numpy_helper.to_array(tensors[place["tensor"]])
            array = moved.reshape([parameter.shape[axis] for axis in axes]).transpose(np.argsort(axes))
            folded[name] = torch.from_numpy(array.copy())
    found = Folding(**written["folding"]).reverse(network, folded)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(found[name])


def _find_elsewhere(folded: Mapping[str, Tensor], model: onnx.ModelProto) -> dict[str, Any]:
    """Where the parameters are that the exporter moved about, or dropped for an equal one of another name."""
    there = {value.name.removeprefix("network."): value for value in model.graph.initializer}
    alike: dict[tuple[int, bytes], str] = {}
    for name, value in there.items():
        if value.data_type == onnx.TensorProto.FLOAT:
            array = onnx.numpy_helper.to_array(value)
            alike[array.size, array.tobytes()] = name
    found: dict[str, Any] = {}
    for name, parameter in folded.items():
        array = parameter.numpy()
        same = name in there and tuple(there[name].dims) == array.shape
        if same and onnx.numpy_helper.to_array(there[name]).tobytes() == array.tobytes():
            continue
        for axes in LAYOUTS.get(array.ndim, (tuple(range(array.ndim)),)):
            moved = array.transpose(axes)
            source = alike.get((moved.size, moved.tobytes()))
            if source is not None:
                found[name] = {"tensor": source, "axes": axes}
                break
        else:
            found[name] = {"values": _to_text(parameter)}
    return found


def _values(norm: Norm) -> list[Tensor]:
    """Weight, bias, mean and variance of a norm."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return [norm.weight.detach(), norm.bias.detach(), norm.running_mean, norm.running_var]


def _to_text(values: Tensor) -> str:
    """The numbers of a tensor (float32) in base64."""
    return base64.b64encode(values.numpy().tobytes()).decode()


def _from_text(text: str, shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), np.float32).reshape(shape).copy())
