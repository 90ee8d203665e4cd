"""The rivals' parts against other libraries with the same weights, or against their papers' formulas in float64."""

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from timm.layers import SEModule
from torch import nn
from torchvision.models.segmentation.deeplabv3 import ASPP as TorchvisionASPP

from pyramid_attention.models import build_model, list_architectures, list_options
from pyramid_attention.models.blocks import ConvNormAct, Head
from pyramid_attention.models.context.aspp import ASPP, ASPPOptions
from pyramid_attention.models.context.global_pooling import GlobalPooling, GlobalPoolingOptions
from pyramid_attention.models.context.parsenet import ParseNetContext
from pyramid_attention.models.context.ppm import PPM, PPMOptions
from pyramid_attention.models.context.se import SEContext, SEOptions
from pyramid_attention.models.cost import measure_cost, measure_latency
from pyramid_attention.models.decoder.deeplab import DeepLabDecoder, DeepLabOptions
from pyramid_attention.models.decoder.dfn import ChannelAttention, DFNDecoder, DFNOptions, RefinementResidual
from pyramid_attention.models.decoder.fcn import FCNDecoder, FCNOptions
from pyramid_attention.models.decoder.unet import UNetDecoder, UNetOptions
from pyramid_attention.models.parts import NoOptions
from support import shaken

SIZES = [(1, 1), (5, 7), (12, 12)]


def copy_weights(theirs, ours):
    """Layer by layer in the order of their definition, which is the same on both sides."""
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    pairs = zip(
        [layer for layer in theirs.modules() if isinstance(layer, kinds)],
        [layer for layer in ours.modules() if isinstance(layer, kinds)],
        strict=True,
    )
    for source, target in pairs:
        target.load_state_dict(source.state_dict())
    return ours.eval()


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_aspp_is_torchvisions(size):
    torch.manual_seed(0)
    theirs = shaken(TorchvisionASPP(24, [6, 12, 18], 8))
    ours = copy_weights(theirs, ASPP(24, ASPPOptions(channels=8)))
    x = torch.randn(2, 24, *size)
    close(ours(x), theirs(x))


@pytest.mark.parametrize("size", SIZES)
def test_the_levels_of_pyramid_pooling_are_those_of_segmentation_models_pytorch(size):
    torch.manual_seed(0)
    theirs = PSPDecoder([16], use_norm="batchnorm", out_channels=8).psp
    # In the paper every level is normalised; theirs leaves out the norm where the level is one pixel.
    theirs.blocks[0].pool[1] = nn.Sequential(nn.Conv2d(16, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    shaken(theirs)
    ours = PPM(16, PPMOptions(channels=8, align_corners=True)).eval()
    copy_weights(theirs, ours.pools)
    x = torch.randn(2, 16, *size)
    levels_and_map = theirs(x)
    close(ours.pyramid(x), torch.cat([levels_and_map[:, 16:], levels_and_map[:, :16]], 1))
    close(ours(x), ours.join(ours.pyramid(x)))
    assert ours.join[0].kernel_size == (3, 3)


def test_squeeze_and_excitation_is_timms():
    torch.manual_seed(0)
    theirs = SEModule(32, rd_channels=2).eval()
    ours = copy_weights(theirs, SEContext(32, SEOptions()))
    x = torch.randn(2, 32, 5, 7)
    close(ours(x), theirs(x))


@pytest.mark.parametrize("size", [(3, 4), (6, 8)])
def test_a_level_of_the_u_net_is_that_of_segmentation_models_pytorch(size):
    torch.manual_seed(0)
    theirs = shaken(UnetDecoderBlock(12, 6, 8, interpolation_mode="bilinear"))
    ours = UNetDecoder([6, 6, 6, 9], 12, UNetOptions(widths=(8, 8, 8))).eval()
    copy_weights(theirs, ours.levels[0])
    high, low = torch.randn(2, 12, *size), torch.randn(2, 6, 6, 8)
    up = F.interpolate(high, (6, 8), mode="bilinear")
    close(ours.levels[0](torch.cat([up, low], 1)), theirs(high, 6, 8, low))
    finest = [torch.randn(2, 6, 24, 32), torch.randn(2, 6, 12, 16), low, torch.randn(2, 9, *size)]
    assert ours(finest, high).shape == (2, 8, 24, 32)


def test_the_head_is_that_of_segmentation_models_pytorch():
    torch.manual_seed(0)
    theirs = SegmentationHead(6, 5, kernel_size=3, upsampling=4)
    net = build_model("pan", num_classes=5, backbone="test_resnet", channels=6, align_corners=True).eval()
    net.head.load_state_dict(theirs[0].state_dict())
    images = torch.randn(1, 3, 64, 96)
    features = net.backbone(images)
    detail = net.decoder(features, net.context(features[-1]))
    close(net(images), theirs(detail))
    assert isinstance(net.head, Head)


def test_deeplabs_head_is_torchvisions_but_for_the_classifier():
    torch.manual_seed(0)
    theirs = shaken(smp.DeepLabV3("resnet18", encoder_weights=None, decoder_channels=8, classes=3)).decoder
    ours = nn.Sequential(ASPP(512, ASPPOptions(channels=8, rates=(12, 24, 36))), ConvNormAct(8, 8, 3, act=nn.ReLU()))
    copy_weights(theirs, ours)
    x = torch.randn(2, 512, 9, 7)
    close(ours(x), theirs([x]))


def test_deeplabv3plus_joins_the_narrowed_fine_map_and_convolves_twice():
    torch.manual_seed(0)
    decoder = shaken(DeepLabDecoder([6, 7, 8, 9], 5, DeepLabOptions(channels=4, low_channels=3)))
    features, context = [torch.randn(2, 6, 12, 16), None, None, None], torch.randn(2, 5, 3, 4)
    low = decoder.narrow(features[0])
    x = torch.cat([F.interpolate(context, (12, 16), mode="bilinear"), low], 1)
    for block in decoder.join:
        x = F.batch_norm(
            F.conv2d(x, block[0].weight, padding=1),
            block[1].running_mean,
            block[1].running_var,
            block[1].weight,
            block[1].bias,
        ).relu()
    close(decoder(features, context), x)
    assert low.shape[1] == 3


def test_parsenet_normalises_map_and_mean_to_length_ten():
    torch.manual_seed(0)
    context = ParseNetContext(6, NoOptions())
    x = torch.randn(2, 6, 4, 5).double() * 30
    out = context.double()(x)
    assert context.out_channels == 12
    place = x[1, :, 2, 3]
    close(out[1, :6, 2, 3], 10 * place / place.square().sum().sqrt())
    mean = x[1].mean((1, 2))
    close(out[1, 6:, 0, 0], 10 * mean / mean.square().sum().sqrt())
    close(out[1, 6:, 3, 4], out[1, 6:, 0, 0])
    nn.init.constant_(context.global_norm.scale, 3)
    close(context(x)[1, 6:, 0, 0], 0.3 * out[1, 6:, 0, 0])


def test_global_pooling_spreads_one_vector():
    torch.manual_seed(0)
    context = shaken(GlobalPooling(6, GlobalPoolingOptions(channels=4)))
    x = torch.randn(2, 6, 3, 5)
    expected = context.pooled(x.mean((2, 3), keepdim=True))
    close(context(x), expected.expand(2, 4, 3, 5))


def test_fcn_sums_three_score_maps():
    torch.manual_seed(0)
    decoder = FCNDecoder([6, 7, 8, 9], 9, FCNOptions(num_classes=3)).eval()
    for score in decoder.scores:
        nn.init.normal_(score.bias)
    features = [torch.randn(1, c, *s) for c, s in zip([6, 7, 8, 9], [(16, 20), (8, 10), (4, 5), (2, 3)], strict=True)]
    coarse, middle, fine = (
        F.linear(m.movedim(1, -1), score.weight.flatten(1), score.bias).movedim(-1, 1)
        for m, score in zip(features[:0:-1], decoder.scores, strict=True)
    )
    total = F.interpolate(coarse, (4, 5), mode="bilinear") + middle
    total = F.interpolate(total, (8, 10), mode="bilinear") + fine
    close(decoder(features, features[-1]), total)


def test_fcn_has_no_head_of_its_own():
    net = build_model("fcn", num_classes=3, backbone="test_resnet").eval()
    assert net.head is None
    features = net.backbone(images := torch.randn(1, 3, 32, 48))
    scores = net.decoder(features, features[-1])
    close(net(images), F.interpolate(scores, (32, 48), mode="bilinear"))


def test_dfns_blocks():
    torch.manual_seed(0)
    block = shaken(RefinementResidual(5, 4))
    x = torch.randn(2, 5, 6, 7)
    unified = F.conv2d(x, block.unify.weight)
    close(block(x), (unified + F.conv2d(block.first(unified), block.second.weight, padding=1)).relu())
    attention = ChannelAttention(4)
    low, high = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    means = torch.cat([high.mean((2, 3)), low.mean((2, 3))], 1)
    hidden = F.linear(means, attention.squeeze.weight.flatten(1), attention.squeeze.bias).relu()
    weight = F.linear(hidden, attention.excite.weight.flatten(1), attention.excite.bias).sigmoid()
    close(attention(low, high), low * weight[:, :, None, None] + high)


def test_dfn_takes_up_all_four_maps():
    torch.manual_seed(0)
    decoder = shaken(DFNDecoder([3, 4, 5, 6], 4, DFNOptions(channels=4)))
    features = [torch.randn(1, c, s, s) for c, s in zip([3, 4, 5, 6], [16, 8, 4, 4], strict=True)]
    high = context = torch.randn(1, 4, 4, 4)
    for level, low in enumerate(reversed(features)):
        up = F.interpolate(high, low.shape[-2:], mode="bilinear")
        high = decoder.smooth[level](decoder.attend[level](decoder.take_up[level](low), up))
    close(decoder(features, context), high)


def test_all_ten_of_the_comparison_are_there_by_their_names():
    assert list_architectures() == [
        *("pan", "baseline", "fcn", "unet", "parsenet", "senet", "pspnet", "deeplabv3", "deeplabv3plus", "dfn")
    ]


def test_options_of_a_system_or_of_parts():
    assert list_options("baseline") == []
    assert list_options("fcn") == []
    assert list_options("deeplabv3plus") == ["channels", "low_channels", "rates"]
    assert list_options(context="ppm", decoder="bilinear") == ["bins", "channels"]


# Cost


def test_flops_are_twice_the_multiply_adds_of_the_convolutions():
    net = build_model("baseline", num_classes=5, backbone="resnet18", output_stride=32)
    adds = []

    def count(layer, inputs, output):
        adds.append(output.numel() * layer.weight[0].numel())

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    cost = measure_cost(net, (64, 96))
    assert cost.flops == 2 * sum(adds)
    assert cost.parameters == sum(p.numel() for p in net.parameters())


def test_a_resnet_50_costs_what_is_published():
    """torchvision gives 4.09 GFLOPs (multiply-adds) and 25.56 M parameters at 224, 2.05 M of them the classifier's."""
    net = build_model("baseline", num_classes=1, backbone="resnet50", output_stride=32)
    cost = measure_cost(net, (224, 224))
    head = 2048 * 9 + 1
    assert cost.parameters == 25_557_032 - 2_049_000 + head
    assert cost.flops / 2 == pytest.approx(4.09e9, rel=0.005)


def test_latency_is_a_time():
    assert 0 < measure_latency(build_model("fcn", num_classes=2, backbone="test_resnet"), (32, 32), rounds=2) < 60
