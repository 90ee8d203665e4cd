"""The norm that survives a single value, and its conversions."""

import pytest
import timm
import torch
import torch.distributed as dist
from timm.layers import convert_sync_batchnorm as timm_convert_sync_batchnorm
from torch import nn
from torch.nn.functional import interpolate

from pyramid_attention.models import blocks
from pyramid_attention.models.blocks import (
    ConvNormAct,
    Norm,
    Resize,
    SyncNorm,
    convert_norms,
    convert_sync_batchnorm,
    initialise,
)


def shaken(module: nn.Module) -> nn.Module:
    """Parameters and statistics that differ from those every norm starts with."""
    torch.manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return module


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("convert", [convert_norms, convert_sync_batchnorm])
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "efficientnet_b0", "test_resnet"])
def test_a_converted_backbone_gives_the_same_and_learns_the_same(name, convert):
    stock = shaken(timm.create_model(name, features_only=True))
    ours = shaken(timm.create_model(name, features_only=True))
    ours.load_state_dict(stock.state_dict())
    assert convert(ours) is ours
    assert list(ours.state_dict()) == list(stock.state_dict())
    assert not any(type(m) in (nn.BatchNorm2d, blocks.BatchNormAct2d) for m in ours.modules())
    images = torch.randn(2, 3, 64, 64)
    for training in (False, True):  # in training the statistics move, too: compared below
        for mine, theirs in zip(ours.train(training)(images), stock.train(training)(images), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    sum(m.mean() for m in ours(images)).backward()
    sum(m.mean() for m in stock(images)).backward()
    for mine, theirs in zip(ours.parameters(), stock.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=0)
    for (key, mine), theirs in zip(ours.state_dict().items(), stock.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), key


def test_the_stock_converters_lose_what_ours_keep():
    images = torch.randn(2, 3, 64, 64)
    model = shaken(timm.create_model("mobilenetv3_small_050", features_only=True)).eval()
    expected = model(images)[-1]
    torch_converted = nn.SyncBatchNorm.convert_sync_batchnorm(convert_norms(model))
    assert not torch.allclose(torch_converted(images)[-1], expected), "PyTorch's keeps the fused activations now"
    model = timm_convert_sync_batchnorm(convert_norms(timm.create_model("resnet18", features_only=True)))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        model(torch.randn(1, 3, 1, 1))


def test_a_conversion_keeps_eps_momentum_mode_hooks_and_fused_parts():
    fused = blocks.BatchNormAct2d(4, eps=0.25, momentum=0.5, act_layer=nn.SiLU, drop_layer=nn.Dropout).eval()
    act, drop, seen = fused.act, fused.drop, []
    fused.register_forward_hook(lambda *_: seen.append(True))
    for convert, kind in ((convert_norms, Norm), (convert_sync_batchnorm, SyncNorm)):
        norm = convert(fused)
        assert norm is fused
        assert type(norm) is kind
        assert (norm.eps, norm.momentum, norm.training) == (0.25, 0.5, False)
        assert norm.act is act
        assert norm.drop is drop
    fused(torch.zeros(1, 4, 2, 2))
    assert seen == [True]


@pytest.mark.parametrize("kind", [Norm, SyncNorm])
def test_a_single_value_is_normalised_with_running_statistics_which_stay(kind):
    norm = shaken(Norm(5, act=nn.ReLU()))
    norm = convert_sync_batchnorm(norm) if kind is SyncNorm else norm
    before, x = state(norm), torch.randn(1, 5, 1, 1, requires_grad=True)
    expected = torch.relu(
        (x.flatten() - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps) * norm.weight + norm.bias
    )
    out = norm(x)
    torch.testing.assert_close(out.flatten(), expected)
    out.sum().backward()
    assert norm.weight.grad.isfinite().all()
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())
    norm(torch.randn(2, 5, 1, 1))
    assert norm.num_batches_tracked == before["num_batches_tracked"] + 1
    assert not torch.equal(norm.running_mean, before["running_mean"])


def test_a_backbone_with_pooled_norms_trains_on_one_image():
    model = convert_norms(timm.create_model("skresnet18", features_only=True))
    fused = [name for name, part in model.named_modules() if name.endswith("attn.bn") and isinstance(part, Norm)]
    assert fused
    before = state(model)
    model(torch.randn(1, 3, 64, 64))
    after = model.state_dict()
    assert all(torch.equal(before[f"{name}.running_mean"], after[f"{name}.running_mean"]) for name in fused)
    assert not torch.equal(before["bn1.running_mean"], after["bn1.running_mean"])


def test_lightning_may_wrap_it_on_the_cpu(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        nn.parallel.DistributedDataParallel(nn.Sequential(SyncNorm(2)))  # refuses PyTorch's own on the CPU
    finally:
        dist.destroy_process_group()


def test_among_processes_on_a_device_the_statistics_are_shared_even_of_single_values(monkeypatch):
    asked = []

    def shared(x, *how):
        asked.append(how)
        return x

    monkeypatch.setattr(blocks.synchronised_batch_norm, "apply", shared)
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    norm = SyncNorm(3, act=nn.Flatten()).to("meta")  # a device that is not the CPU, to be had everywhere
    assert norm(torch.zeros(1, 3, 1, 1, device="meta")).shape == (1, 3), "the activation follows"
    (how,) = asked
    assert how[:4] == (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    assert how[4:] == (norm.eps, norm.momentum, dist.group.WORLD, 2)
    norm.eval()(torch.zeros(1, 3, 1, 1, device="meta"))
    assert len(asked) == 1, "in evaluation the running statistics are used"


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2), (7, 2)])
def test_a_stride_halves_rounding_up(n, kernel, stride):
    assert ConvNormAct(2, 3, kernel, stride).eval()(torch.zeros(1, 2, n, 4)).shape[-2:] == (
        -(-n // stride),
        4 // stride,
    )


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(3, 5), (6, 4), (1, 1), (7, 11)])
def test_resize_is_bilinear(size, align_corners):
    x = torch.randn(2, 3, 3, 5)
    expected = interpolate(x, size=size, mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(Resize(align_corners)(x, size), expected, rtol=0, atol=0)


def test_initialisation_keeps_the_variance_of_what_follows_a_relu():
    torch.manual_seed(0)
    block = ConvNormAct(64, 256, 3)
    initialise(block)
    assert block[0].weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)
