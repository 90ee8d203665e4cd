"""FPA, the two-level PyramidAttention and GAU against their formulas, from state dicts in double precision."""

import pytest
import torch
import torch.nn.functional as F

from pyramid_attention.models import PyramidAttention
from pyramid_attention.models.context.fpa import FPA, FPAOptions
from pyramid_attention.models.context.pyramid_attention import PyramidAttentionContext, PyramidAttentionOptions
from pyramid_attention.models.decoder.gau import GAU, GAUDecoder, GAUOptions
from support import shaken

SIZES = [(1, 1), (1, 5), (2, 2), (3, 7), (8, 8), (11, 6)]


def conv(w, name, x, stride=1):
    """A convolution with "same" padding and the norm behind it, from a state dict."""
    kernel = w[f"{name}.0.weight"]
    x = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2)
    return norm(w, f"{name}.1", x)


def norm(w, name, x):
    mean, var, weight, bias = (w[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias)


def up(x, size, align_corners=False):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def transposed(w, name, x, size):
    x = F.conv_transpose2d(x, w[f"{name}.0.weight"], stride=2, padding=1)
    return norm(w, f"{name}.1", x).relu()[:, :, : size[0], : size[1]]


def pyramid(w, x, downsample="avg", align_corners=False):
    """The attention of FPA, from a state dict: three times down, a convolution on each level, added on the way up."""
    pool = {"avg": F.avg_pool2d, "max": F.max_pool2d, "conv": lambda x, *_, **__: x}[downsample]
    maps = [x]
    for level in range(3):
        halved = pool(maps[-1], 2, ceil_mode=True)
        maps.append(conv(w, f"downs.{level}.2", halved, stride=2 if downsample == "conv" else 1).relu())
    out = conv(w, "levels.2", maps[3]).relu()
    for level in (2, 1, 0):
        size = maps[level].shape[-2:]
        learnt = f"ups.{level}.0.weight" in w
        out = transposed(w, f"ups.{level}", out, size) if learnt else up(out, size, align_corners)
        if level > 0:
            out = out + conv(w, f"levels.{level - 1}", maps[level]).relu()
    return conv(w, "widen", out).relu() if "widen.0.weight" in w else out


def main(w, x):
    return conv(w, "main", x).relu()


def pooled(w, x):
    return conv(w, "pooled", x.mean((2, 3), keepdim=True)).relu()


def fpa(channels_in=8, **options):
    torch.manual_seed(0)
    return shaken(FPA(channels_in, FPAOptions(channels=4, **options))).double()


def image(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("downsample", ["avg", "max", "conv"])
@pytest.mark.parametrize("attention_channels", [None, 3, 1])
def test_fpa_is_main_times_pyramid_plus_global(size, downsample, attention_channels):
    module = fpa(attention_channels=attention_channels, downsample=downsample)
    w, x = module.state_dict(), image(2, 8, *size)
    torch.testing.assert_close(module(x), main(w, x) * pyramid(w, x, downsample) + pooled(w, x))


def test_fpa_has_the_kernels_and_widths_of_the_paper():
    shapes = {name: tuple(tensor.shape) for name, tensor in FPA(2048, FPAOptions()).state_dict().items()}
    for level, kernel in enumerate((7, 5, 3)):
        assert shapes[f"downs.{level}.2.0.weight"] == (256, 2048 if level == 0 else 256, kernel, kernel)
        assert shapes[f"levels.{level}.0.weight"] == (256, 256, kernel, kernel)
    small = FPA(8, FPAOptions(channels=4, kernels=(3, 3, 3)))
    assert {part[0].kernel_size for part in small.levels} == {(3, 3)}
    assert small.out_channels == 4


def test_fpa_without_a_global_branch_is_the_product_alone():
    module = fpa(global_branch="none")
    w, x = module.state_dict(), image(2, 8, 5, 6)
    assert not any(name.startswith(("pooled", "excited")) for name in w)
    torch.testing.assert_close(module(x), main(w, x) * pyramid(w, x))


def test_fpa_with_squeeze_and_excitation_scales_the_product_by_channel():
    module = fpa(32, global_branch="se")
    w, x = module.state_dict(), image(2, 32, 5, 6)
    hidden = F.linear(x.mean((2, 3)), w["excited.squeeze.weight"].flatten(1), w["excited.squeeze.bias"]).relu()
    assert hidden.shape == (2, 2)  # 32 channels, reduced 16 times
    scale = F.linear(hidden, w["excited.excite.weight"].flatten(1), w["excited.excite.bias"]).sigmoid()
    torch.testing.assert_close(module(x), main(w, x) * pyramid(w, x) * scale[:, :, None, None])


@pytest.mark.parametrize("size", SIZES)
def test_fpa_goes_up_by_transposed_convolutions_cut_to_size(size):
    module = fpa(upsample="transposed", global_branch="none", downsample="conv")
    w, x = module.state_dict(), image(2, 8, *size)
    assert w["ups.2.0.weight"].shape == (4, 4, 4, 4)
    torch.testing.assert_close(module(x), main(w, x) * pyramid(w, x, "conv"))


def test_fpa_aligned_corners_reach_every_resampling():
    module = fpa(align_corners=True)
    w, x = module.state_dict(), image(1, 8, 9, 9)
    torch.testing.assert_close(module.attention(x), pyramid(w, x, align_corners=True))
    assert not torch.allclose(module.attention(x), pyramid(w, x))


# PyramidAttention


def test_pyramid_attention_has_the_names_and_shapes_of_the_original():
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    expected = {"glob.1.weight": (256, 512, 1, 1)}
    for name, outputs, kernel in [
        ("down2_1", 512, 5),
        ("down2_2", 256, 5),
        ("down3_1", 512, 3),
        ("down3_2", 256, 3),
        ("conv1", 256, 1),
    ]:
        expected[f"{name}.0.weight"] = (outputs, 512, kernel, kernel)
        expected |= {f"{name}.1.{key}": (outputs,) if key != "num_batches_tracked" else () for key in norm}
    assert {key: tuple(value.shape) for key, value in PyramidAttention(512, 256).state_dict().items()} == expected


def pyramid_attention(w, x):
    """PAN.md's table and flow, from a state dict."""

    def block(name, x, stride=1):
        kernel = w[f"{name}.0.weight"]
        x = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2)
        mean, var = w[f"{name}.1.running_mean"], w[f"{name}.1.running_var"]
        return F.elu(F.batch_norm(x, mean, var, w[f"{name}.1.weight"], w[f"{name}.1.bias"]))

    a = block("down2_1", x, 2)
    b = block("down3_1", a, 2)
    a = block("down2_2", a) + up(block("down3_2", b), a.shape[-2:], True)
    pooled = F.conv2d(F.adaptive_avg_pool2d(x, 1), w["glob.1.weight"])
    return block("conv1", x) * up(a, x.shape[-2:], True) + up(pooled, x.shape[-2:], True)


@pytest.mark.parametrize("size", [(16, 16), *SIZES])
def test_pyramid_attention_gives_the_original_numbers(size):
    torch.manual_seed(0)
    module = shaken(PyramidAttention(16, 8))
    x = torch.randn(2, 16, *size)
    torch.testing.assert_close(module(x), pyramid_attention(module.state_dict(), x), atol=1e-5, rtol=1e-5)


def test_pyramid_attention_in_fpas_place_reduces_to_512_channels_first():
    torch.manual_seed(0)
    context = shaken(PyramidAttentionContext(24, PyramidAttentionOptions(channels=8))).double()
    x = image(1, 24, 5, 4)
    reduced = conv(context.state_dict(), "reduce", x).relu()
    assert reduced.shape[1] == 512
    torch.testing.assert_close(context(x), pyramid_attention(context.attention.state_dict(), reduced))
    assert context.out_channels == 8


# GAU


def gau(w, name, low, high, activation="relu", align_corners=False):
    """One GAU, from a state dict: low × weight + high, the weight by the convolutions that are there."""
    act = {"relu": F.relu, "sigmoid": torch.sigmoid}[activation]
    size = low.shape[-2:]
    out = conv(w, f"{name}low", low)
    if f"{name}channel.0.weight" in w:
        out = out * act(conv(w, f"{name}channel", high.mean((2, 3), keepdim=True)))
    if f"{name}spatial.0.weight" in w:
        out = out * up(act(conv(w, f"{name}spatial", high)), size, align_corners)
    return out + up(high, size, align_corners)


@pytest.mark.parametrize(("gate", "weights"), [("channel", {4}), ("spatial", {1}), ("both", {4, 1}), ("none", set())])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("low_size", "high_size"), [((8, 6), (4, 3)), ((5, 5), (5, 5)), ((7, 1), (4, 1))])
def test_gau_is_low_times_gate_plus_high(gate, weights, activation, align_corners, low_size, high_size):
    torch.manual_seed(0)
    options = GAUOptions(channels=4, gate=gate, gate_activation=activation, align_corners=align_corners)
    unit = shaken(GAU(5, options)).double()
    low, high = image(2, 5, *low_size), image(2, 4, *high_size)
    w = unit.state_dict()
    torch.testing.assert_close(unit(low, high), gau(w, "", low, high, activation, align_corners))
    assert {len(w[f"{part}.0.weight"]) for part in ("channel", "spatial") if f"{part}.0.weight" in w} == weights


@pytest.mark.parametrize("low_kernel", [1, 3])
@pytest.mark.parametrize("context_channels", [4, 10])
def test_the_decoder_goes_up_through_the_three_finer_maps(low_kernel, context_channels):
    torch.manual_seed(0)
    options = GAUOptions(channels=4, low_kernel=low_kernel)
    decoder = shaken(GAUDecoder([6, 7, 8, 9], context_channels, options)).double()
    features = [image(1, c, s, s) for c, s in zip([6, 7, 8, 9], [16, 8, 4, 4], strict=True)]
    context = image(1, context_channels, 4, 4)
    w = decoder.state_dict()
    high = conv(w, "project", context).relu() if context_channels != 4 else context
    for level, low in enumerate(features[2::-1]):
        assert w[f"units.{level}.low.0.weight"].shape[-1] == low_kernel
        high = gau(w, f"units.{level}.", low, high)
    torch.testing.assert_close(decoder(features, context), high)
    assert decoder.out_channels == 4
