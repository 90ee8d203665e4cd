"""Small blocks that networks here are built from: a batch norm that survives single values, convolutions, the head.

Batch normalisation (Ioffe and Szegedy 2015) cannot train on one value a channel: its variance is zero and PyTorch
raises an error. A network with global pooling meets that case with a batch of one, and every norm of it does on a
image of one pixel. `Norm` then uses its running statistics and leaves them as they are. The classes of timm that fuse
norm, drop and activation are covered, so that a whole backbone can be converted.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.modules._functions import SyncBatchNorm as synchronised_batch_norm

M = TypeVar("M", bound=nn.Module)


class Norm(nn.BatchNorm2d):
    """Batch norm, then `drop`, then `act` (N×C×H×W in and out).

    In training, where it would see one value a channel (N·H·W = 1), it normalises with its running statistics and
    changes none of its buffers.
    """

    def __init__(self, channels: int, act: nn.Module | None = None) -> None:
        super().__init__(channels)
        self.drop: nn.Module = nn.Identity()  # named as in timm's fused norms, see `convert_norms`
        self.act = act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, drop, activate."""
        if self.training and x.numel() == x.shape[1]:
            x = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        else:
            x = self.normalise(x)
        out: Tensor = self.act(self.drop(x))
        return out

    def normalise(self, x: Tensor) -> Tensor:
        """The plain norm; what more than one value a channel goes through."""
        return super().forward(x)


class _SharedStatistics(torch.autograd.Function):
    """Batch norm by the statistics of all processes, of plain operations: what `SyncBatchNorm` has for GPUs only.

    Each process gives its count, mean and variance, which add up as in Chan, Golub and LeVeque (1979): as exact as the
    norm of all values in one place. `apply` takes what PyTorch's own function takes.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        eps: float,
        momentum: float,
        group: dist.ProcessGroup,
        processes: int,
    ) -> Tensor:
        own_var, own_mean = torch.var_mean(x.to(weight.dtype), (0, 2, 3), correction=0)
        own = torch.stack([torch.full_like(own_mean, x.numel() // x.shape[1]), own_mean, own_var]).double()
        every = [torch.empty_like(own) for _ in range(processes)]
        dist.all_gather(every, own, group)
        counts, means, variances = torch.stack(every, dim=1)  # each processes × channels
        count = counts.sum(0)
        exact_mean = (counts * means).sum(0) / count
        exact_var = (counts * (variances + (means - exact_mean).square())).sum(0) / count
        running_mean.lerp_(exact_mean.to(running_mean.dtype), momentum)
        running_var.lerp_((exact_var * count / (count - 1)).to(running_var.dtype), momentum)
        mean, var = exact_mean.to(weight.dtype), exact_var.to(weight.dtype)
        ctx.save_for_backward(x, weight, mean, var, count.to(weight.dtype))
        ctx.eps, ctx.group = eps, group
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var, count = ctx.saved_tensors
        grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grads[0], x, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )  # as if mean and variance were constants
        sums = torch.stack([grad_bias, grad_weight])
        dist.all_reduce(sums, group=ctx.group)
        mean_grad, mean_product = sums / count
        scale = torch.rsqrt(var + ctx.eps)
        shift, slope, middle = (one.view(1, -1, 1, 1) for one in (mean_grad, mean_product * scale, mean))
        grad_x -= ((x - middle) * slope + shift) * (weight * scale).view(1, -1, 1, 1)
        return grad_x.to(x.dtype), grad_weight, grad_bias, *[None] * 6


class SyncNorm(Norm):
    """`Norm` with the statistics of all processes of a distributed run, each with any number of images from one on.

    It is no subclass of `torch.nn.SyncBatchNorm` because DistributedDataParallel refuses those on the CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, drop, activate."""
        processes = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        if not self.training or processes == 1:
            return super().forward(x)
        # One value here is one of several in all. Every process has to take this branch: it waits for the others.
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        function = _SharedStatistics if x.device.type == "cpu" else synchronised_batch_norm
        x = function.apply(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.eps,
            self.momentum,
            dist.group.WORLD,
            processes,
        )
        out: Tensor = self.act(self.drop(x))
        return out


def convert_norms(module: M) -> M:
    """Turn every `nn.BatchNorm2d` and timm `BatchNormAct2d` of a module into a `Norm`, in place; return the module.

    Each keeps its identity and all it has: parameters, buffers, names, eps, momentum, hooks, fused drop and activation.
    """
    for norm in module.modules():
        if type(norm) is nn.BatchNorm2d:
            norm.drop = nn.Identity()
            norm.act = nn.Identity()
        if type(norm) in (nn.BatchNorm2d, BatchNormAct2d):
            norm.__class__ = Norm
    return module


def convert_sync_batchnorm(module: M) -> M:
    """Turn every batch norm of a module into a `SyncNorm`, in place; return the module.

    PyTorch's own converter would lose the activations fused into timm's norms, timm's the care for single values.
    """
    for norm in convert_norms(module).modules():
        if type(norm) is Norm:
            norm.__class__ = SyncNorm
    return module


class Conv(nn.Conv2d):
    """A convolution with "same" padding (size n becomes ⌈n / stride⌉), by default without bias."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=bias)


class ConvNormAct(nn.Sequential):
    """`Conv`, `Norm`, and an activation or none."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        act: nn.Module | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__(Conv(in_channels, out_channels, kernel, stride, bias), Norm(out_channels, act))


def match_channels(in_channels: int, out_channels: int, bias: bool = False) -> nn.Module:
    """N×in×H×W → N×out×H×W: a 1×1 convolution, norm and ReLU, or nothing where there are as many already."""
    if in_channels == out_channels:
        return nn.Identity()
    return ConvNormAct(in_channels, out_channels, 1, act=nn.ReLU(inplace=True), bias=bias)


class Head(nn.Conv2d):
    """A 3×3 (or k×k) convolution to one logit a class: N×in×H×W → N×classes×H×W.

    It starts small (a normal distribution of 0.01, no bias), so that training starts from nearly equal logits and a
    loss not far from log(classes), whatever the channels add up to.
    """

    def __init__(self, in_channels: int, num_classes: int, kernel: int = 3) -> None:
        super().__init__(in_channels, num_classes, kernel, padding=kernel // 2)
        nn.init.normal_(self.weight, std=0.01)
        assert self.bias is not None
        nn.init.zeros_(self.bias)


def global_average(x: Tensor) -> Tensor:
    """The mean over all places: N×C×H×W → N×C×1×1."""
    return x.mean(dim=(2, 3), keepdim=True)


def of_global_average(block: nn.Module, x: Tensor) -> Tensor:
    """A block applied to the mean over all places: N×C×H×W → N×out×1×1, in single precision under autocast.

    The means of different images can differ by less than half precision resolves, and a norm would enlarge that.
    """
    if torch.is_autocast_enabled(x.device.type):
        with torch.autocast(x.device.type, enabled=False):
            exact: Tensor = block(global_average(x.float()))
        return exact.to(x.dtype)
    out: Tensor = block(global_average(x))
    return out


class Resize(nn.Module):
    """Bilinear resampling to a given size.

    Args:
        align_corners: the first and last pixels of both maps lie on each other; otherwise their borders do.
    """

    def __init__(self, align_corners: bool = False) -> None:
        super().__init__()
        self.align_corners = align_corners

    def forward(self, x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
        """N×C×h×w → N×C×H×W, `size` = (H, W)."""
        # In a compiled graph sizes are symbols: to compare them would bind the graph to the sizes of its example.
        if not torch.compiler.is_compiling() and x.shape[-2:] == size:
            return x
        return F.interpolate(x, size=size, mode="bilinear", align_corners=self.align_corners)


def initialise(module: nn.Module) -> None:
    """Kaiming's normal initialisation (He et al. 2015) of a part's convolutions; its norms are left at 1 and 0.

    By the number of inputs, not of outputs: an attention map of one channel has 1 output and up to 7·7·2048 inputs, and
    counted by outputs it would start with values in the hundreds wherever the norm behind it uses running statistics.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
