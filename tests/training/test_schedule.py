"""Learning-rate schedules against their formulas; optimiser groups."""

import itertools
import math

import pytest
import torch
from torch import nn

from pyramid_attention.training.recipe import TrainRecipe
from pyramid_attention.training.schedule import build_optimizer, build_schedule, rate_factor


@pytest.mark.parametrize("step", [0, 1, 50, 99, 100])
def test_poly_is_the_papers_formula(step: int) -> None:
    assert rate_factor(step, 100, TrainRecipe(schedule="poly", power=0.9)) == pytest.approx((1 - step / 100) ** 0.9)


def test_cosine_ends_at_zero_and_is_half_in_the_middle() -> None:
    train = TrainRecipe(schedule="cosine")
    assert [rate_factor(s, 100, train) for s in (0, 50, 100)] == pytest.approx([1, 0.5, 0])
    assert rate_factor(25, 100, train) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_warm_up_rises_linearly_and_joins_without_a_jump(schedule: str) -> None:
    train = TrainRecipe(schedule=schedule, warmup=0.1)
    factors = [rate_factor(s, 100, train) for s in range(101)]
    assert factors[:10] == pytest.approx([(s + 1) / 11 for s in range(10)])
    assert factors[10] == 1
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def network() -> nn.ModuleDict:
    return nn.ModuleDict({"backbone": nn.Conv2d(3, 4, 1), "head": nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))})


def test_the_schedule_moves_every_group_and_the_backbone_has_its_rate() -> None:
    net = network()
    train = TrainRecipe(learning_rate=0.1, backbone_factor=0.5, momentum=0.8, weight_decay=1e-3)
    optimizer = build_optimizer(net, net["backbone"], train)
    schedule = build_schedule(optimizer, 10, train)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert {rates[id(p)] for p in net["backbone"].parameters()} == {0.05}
    assert {rates[id(p)] for p in net["head"].parameters()} == {0.1}
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * 0.9**0.9)
    assert all(g["momentum"] == 0.8 and g["weight_decay"] == 1e-3 for g in optimizer.param_groups)


def test_adamw_does_not_decay_norms_and_biases() -> None:
    net = network()
    optimizer = build_optimizer(net, net["backbone"], TrainRecipe(optimizer="adamw", weight_decay=0.1))
    assert isinstance(optimizer, torch.optim.AdamW)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert all(decays[id(p)] == (0.1 if p.ndim > 1 else 0.0) for p in net.parameters())
    assert len(decays) == len(list(net.parameters()))
