"""FPA, the two-level PyramidAttention and GAU against straight transcriptions of `PAN.md` in torch functions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pyramid_attention.models import PyramidAttention
from pyramid_attention.models.context.fpa import FPA, FPAOptions
from pyramid_attention.models.context.pyramid_attention import PyramidAttentionContext, PyramidAttentionOptions
from pyramid_attention.models.decoder.gau import GAU, GAUDecoder, GAUOptions
from support import shaken

SIZES = [(1, 1), (1, 5), (2, 2), (3, 7), (8, 8), (11, 6)]


def weights_of(module):
    return iter([m for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d)])


def conv(parts, x, stride=1):
    """The next convolution and norm of a module in its order of definition."""
    convolution, norm = next(parts), next(parts)
    x = F.conv2d(x, convolution.weight, None, stride, convolution.kernel_size[0] // 2)
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5)


def up(x, size, align_corners=False):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("downsample", ["avg", "max", "conv"])
@pytest.mark.parametrize("attention_channels", [None, 3, 1])
def test_fpa_is_main_times_pyramid_plus_global(size, downsample, attention_channels):
    torch.manual_seed(0)
    fpa = shaken(FPA(12, FPAOptions(channels=6, attention_channels=attention_channels, downsample=downsample)))
    x = torch.randn(2, 12, *size)

    def down(parts, x):
        if downsample == "conv":
            return conv(parts, x, stride=2).relu()
        if downsample == "avg":
            x = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        else:
            x = F.max_pool2d(x, 2, ceil_mode=True)
        return conv(parts, x).relu()

    main = conv(weights_of(fpa.main), x).relu()
    downs, levels = weights_of(fpa.downs), weights_of(fpa.levels)
    one = down(downs, x)
    two = down(downs, one)
    three = down(downs, two)
    one, two, three = (conv(levels, level).relu() for level in (one, two, three))
    two = two + up(three, two.shape[-2:])
    one = one + up(two, one.shape[-2:])
    attention = up(one, size)
    if attention_channels == 3:
        attention = conv(weights_of(fpa.widen), attention).relu()
    pooled = conv(weights_of(fpa.pooled), x.mean((2, 3), keepdim=True)).relu()
    torch.testing.assert_close(fpa(x), main * attention + pooled, atol=1e-5, rtol=1e-5)


def test_fpa_has_the_kernels_and_widths_of_the_paper():
    fpa = FPA(2048, FPAOptions())
    kernels = [part[-1][0].kernel_size[0] for part in fpa.downs], [part[0].kernel_size[0] for part in fpa.levels]
    assert kernels == ([7, 5, 3], [7, 5, 3])
    assert [part[-1][0].in_channels for part in fpa.downs] == [2048, 256, 256]
    assert fpa.out_channels == 256
    small = FPA(8, FPAOptions(channels=4, kernels=(3, 3, 3)))
    assert {part[0].kernel_size for part in small.levels} == {(3, 3)}


def test_fpa_without_a_global_branch_is_the_product_alone():
    torch.manual_seed(0)
    with_it = shaken(FPA(8, FPAOptions(channels=4)))
    without = shaken(FPA(8, FPAOptions(channels=4, global_branch="none")))
    missing = without.load_state_dict(with_it.state_dict(), strict=False)
    assert {key.split(".")[0] for key in missing.unexpected_keys} == {"pooled"}
    x = torch.randn(2, 8, 5, 6)
    pooled = with_it.pooled(x.mean((2, 3), keepdim=True))
    torch.testing.assert_close(without(x) + pooled, with_it(x), atol=1e-5, rtol=1e-5)


def test_fpa_with_squeeze_and_excitation_scales_the_product_by_channel():
    torch.manual_seed(0)
    plain = shaken(FPA(32, FPAOptions(channels=4, global_branch="none")))
    se = shaken(FPA(32, FPAOptions(channels=4, global_branch="se")))
    se.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 32, 5, 6)
    squeeze, excite = weights_of(se.excited)
    hidden = F.linear(x.mean((2, 3)), squeeze.weight.flatten(1), squeeze.bias).relu()
    assert hidden.shape == (2, 2)  # 32 channels, reduced 16 times
    scale = F.linear(hidden, excite.weight.flatten(1), excite.bias).sigmoid()
    torch.testing.assert_close(se(x), plain(x) * scale[:, :, None, None], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_fpa_goes_up_by_transposed_convolutions_cut_to_size(size):
    torch.manual_seed(0)
    fpa = shaken(FPA(8, FPAOptions(channels=4, upsample="transposed", global_branch="none", downsample="conv")))
    x = torch.randn(2, 8, *size)

    def transposed(part, x, size):
        x = F.conv_transpose2d(x, part[0].weight, stride=2, padding=1)
        norm = part[1]
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
        return x[:, :, : size[0], : size[1]]

    one = fpa.downs[0](x)
    two = fpa.downs[1](one)
    three = fpa.levels[2](fpa.downs[2](two))
    two = fpa.levels[1](two) + transposed(fpa.ups[2], three, two.shape[-2:])
    one = fpa.levels[0](one) + transposed(fpa.ups[1], two, one.shape[-2:])
    torch.testing.assert_close(fpa(x), fpa.main(x) * transposed(fpa.ups[0], one, size), atol=1e-5, rtol=1e-5)


def test_fpa_aligned_corners_reach_every_resampling():
    torch.manual_seed(0)
    half = shaken(FPA(8, FPAOptions(channels=4, align_corners=False)))
    aligned = shaken(FPA(8, FPAOptions(channels=4, align_corners=True)))
    aligned.load_state_dict(half.state_dict())
    x = torch.randn(1, 8, 9, 9)
    one = aligned.downs[0](x)
    two = aligned.downs[1](one)
    three = aligned.levels[2](aligned.downs[2](two))
    two = aligned.levels[1](two) + up(three, two.shape[-2:], True)
    one = aligned.levels[0](one) + up(two, one.shape[-2:], True)
    torch.testing.assert_close(aligned.attention(x), up(one, (9, 9), True))
    assert not torch.allclose(half(x), aligned(x))


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
    context = shaken(PyramidAttentionContext(24, PyramidAttentionOptions(channels=8)))
    x = torch.randn(1, 24, 5, 4)
    reduced = conv(weights_of(context.reduce), x).relu()
    assert reduced.shape[1] == 512
    expected = pyramid_attention(context.attention.state_dict(), reduced)
    torch.testing.assert_close(context(x), expected, atol=1e-4, rtol=1e-4)
    assert context.out_channels == 8


# GAU


@pytest.mark.parametrize("gate", ["channel", "spatial", "both", "none"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("low_size", "high_size"), [((8, 6), (4, 3)), ((5, 5), (5, 5)), ((7, 1), (4, 1))])
def test_gau_is_low_times_gate_plus_high(gate, activation, align_corners, low_size, high_size):
    torch.manual_seed(0)
    unit = shaken(GAU(5, GAUOptions(channels=4, gate=gate, gate_activation=activation, align_corners=align_corners)))
    low, high = torch.randn(2, 5, *low_size), torch.randn(2, 4, *high_size)
    act = {"relu": F.relu, "sigmoid": torch.sigmoid}[activation]
    expected = conv(weights_of(unit.low), low)
    if gate in ("channel", "both"):
        expected = expected * act(conv(weights_of(unit.channel), high.mean((2, 3), keepdim=True)))
    if gate in ("spatial", "both"):
        place = act(conv(weights_of(unit.spatial), high))
        assert place.shape == (2, 1, *high_size)
        expected = expected * up(place, low_size, align_corners)
    expected = expected + up(high, low_size, align_corners)
    torch.testing.assert_close(unit(low, high), expected, atol=1e-5, rtol=1e-5)
    assert (unit.channel is None) == (gate in ("spatial", "none"))
    assert (unit.spatial is None) == (gate in ("channel", "none"))


@pytest.mark.parametrize("low_kernel", [1, 3])
def test_the_decoder_goes_up_through_the_three_finer_maps(low_kernel):
    torch.manual_seed(0)
    decoder = shaken(GAUDecoder([6, 7, 8, 9], 4, GAUOptions(channels=4, low_kernel=low_kernel)))
    features = [torch.randn(1, c, s, s) for c, s in zip([6, 7, 8, 9], [16, 8, 4, 4], strict=True)]
    context = torch.randn(1, 4, 4, 4)
    high = context
    for unit, low in zip(decoder.units, features[2::-1], strict=True):
        assert unit.low[0].kernel_size == (low_kernel, low_kernel)
        high = unit(low, high)
    torch.testing.assert_close(decoder(features, context), high)
    assert decoder.out_channels == 4


def test_a_context_of_another_width_is_brought_to_the_decoders():
    decoder = shaken(GAUDecoder([6, 7, 8, 9], 10, GAUOptions(channels=4)))
    features = [torch.randn(1, c, 2, 2) for c in (6, 7, 8, 9)]
    context = torch.randn(1, 10, 2, 2)
    reduced = conv(weights_of(decoder.project), context).relu()
    other = GAUDecoder([6, 7, 8, 9], 4, GAUOptions(channels=4)).eval()
    other.load_state_dict({k: v for k, v in decoder.state_dict().items() if not k.startswith("project")})
    torch.testing.assert_close(decoder(features, context), other(features, reduced), atol=1e-5, rtol=1e-5)
