"""What a budget of time buys, and how it is written."""

import pytest
import torch

from pyramid_attention.data.shapes import open_shapes
from pyramid_attention.errors import UserError
from pyramid_attention.models import build_model
from pyramid_attention.training.budget import Speed, measure, parse_budget, plan
from pyramid_attention.training.loaders import build_loaders
from pyramid_attention.training.recipe import Recipe, load_recipe


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("90s", 90), ("1h", 3600), ("1h30m", 5400), ("0.5h", 1800), ("1m30s", 90)]
)
def test_a_budget_is_hours_minutes_and_seconds(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["0", "0m", "", "30", "m", "soon", "-5m", "5 m m", "1d", "3..0m", "10m later"])
def test_anything_else_is_refused(text):
    with pytest.raises(UserError, match="budget= takes a time such as 30m or 1h30m, not"):
        parse_budget(text)


def duration(recipe: Recipe, speed: Speed, batches: int) -> float:
    """Seconds of the steps and the validations of a run."""
    epochs, every = recipe.train.epochs, recipe.train.validate_every
    return epochs * batches * speed.step + -(-epochs // every) * speed.validation


@pytest.mark.parametrize("budget", [60, 600, 1800, 36000])
@pytest.mark.parametrize("batches", [1, 10, 120])
@pytest.mark.parametrize("speed", [Speed(0.01, 0.1), Speed(0.3, 2), Speed(0.3, 12)])
def test_a_plan_fills_the_budget_and_no_more(budget, batches, speed):
    spent = 5
    recipe, reasons = plan(Recipe(), budget, spent, speed, batches)
    used = spent + duration(recipe, speed, batches) + 0.5 * recipe.train.epochs
    one_more = batches * speed.step + 0.5 + speed.validation
    assert used <= budget
    assert used > 0.8 * budget - one_more
    assert -(-recipe.train.epochs // recipe.train.validate_every) <= 20
    assert reasons.keys() == {"train.epochs", "train.validate_every"}


def test_measuring_leaves_the_network_and_the_random_numbers_as_they_were():
    data = open_shapes(train=3, val=2)
    network = build_model(num_classes=len(data.classes), backbone="test_resnet", channels=8)
    network.classes = data.classes
    recipe = load_recipe("shapes", {"data.crop": (64, 64), "data.workers": 0, "train.batch_size": 2})
    before, numbers = {name: value.clone() for name, value in network.state_dict().items()}, torch.get_rng_state()
    device = torch.device("cpu")
    loader, _ = build_loaders(recipe, data.split("train"), data.split("val"), device, 0)
    speed = measure(recipe, network, loader, data.split("val"), device)
    assert min(speed.step, speed.validation) > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert network.training


def test_a_budget_below_one_epoch_says_what_it_buys_and_what_is_needed():
    with pytest.raises(UserError) as caught:
        plan(Recipe(), budget=60, spent=10, speed=Speed(1.0, 5.0), batches=120)
    text = str(caught.value)
    assert "a budget of 1 min buys 42 of the 120 steps of one epoch (1 s a step, 5 s for validation, 10 s gone)" in text
    assert "give budget=3m or more" in text
    assert "\n" not in text
    plan(Recipe(), budget=180, spent=10, speed=Speed(1.0, 5.0), batches=120)
