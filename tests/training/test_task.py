"""A step of training against what it is by definition: accumulation, clipping, averaging, the choice of the loss.

The networks are a convolution of one pixel as "backbone" and one as "head", so that a batch's loss has no memory of
other batches and gradients can be followed by hand.
"""

from __future__ import annotations

import math

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.images import RGB
from pyramid_attention.training import Recipe, load_recipe
from pyramid_attention.training.task import SegmentationTask, build_loss
from pyramid_attention.training.trainer import build_trainer

CPU = torch.device("cpu")
CLASSES = ClassTable.of(["a", "b", "c"])
PLAIN = load_recipe(
    Recipe(), {"train": {"optimizer": "sgd", "momentum": 0, "weight_decay": 0, "learning_rate": 0.5, "power": 1}}
)


class Two(nn.Module):
    """What the task asks of a network, as small as can be."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.backbone, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)
        self.norm = nn.BatchNorm2d(4, affine=False).eval()  # statistics that change with a step, where asked for
        self.classes, self.bands, self.mean, self.std = CLASSES, RGB, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.backbone(images)).tanh())


def batches(count: int, size: int) -> list[dict[str, torch.Tensor]]:
    """So many batches of so many images; two of size 2 hold the images of one of size 4."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (count * size, 3, 5, 6), generator=generator, dtype=torch.uint8)
    masks = torch.randint(3, (count * size, 5, 6), generator=generator, dtype=torch.uint8)
    return [{"image": image, "mask": mask} for image, mask in zip(images.split(size), masks.split(size), strict=True)]


class Weights(pl.Callback):
    """Keeps the weights and the statistics after each optimiser step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, np.ndarray]] = []

    def on_train_batch_end(self, trainer, task, *_):
        if trainer.global_step > len(self.steps):
            self.steps.append({name: value.double().numpy() for name, value in task.network.state_dict().items()})


def fit(tmp_path, data, steps=10, network=None, **fields) -> tuple[SegmentationTask, Weights]:
    """One epoch over the batches, by a plain SGD and the fields that are given."""
    recipe = load_recipe(PLAIN, {"train.epochs": 1, **{f"train.{name}": value for name, value in fields.items()}})
    task, weights = SegmentationTask(network or Two(), recipe, steps), Weights()
    build_trainer(tmp_path, recipe.train, CPU, [weights]).fit(task, DataLoader(data, batch_size=None))
    return task, weights


def change(before: nn.Module, after: dict[str, np.ndarray]) -> np.ndarray:
    """How all weights have moved, as one vector."""
    return np.concatenate(
        [(after[name] - own.detach().double().numpy()).ravel() for name, own in before.named_parameters()]
    )


def test_two_accumulated_halves_are_one_step_of_the_whole(tmp_path):
    _, halves = fit(tmp_path, batches(2, 2), accumulate=2)
    _, whole = fit(tmp_path, batches(1, 4))
    _, single = fit(tmp_path, batches(2, 2))
    assert [len(one.steps) for one in (halves, whole, single)] == [1, 1, 2]
    np.testing.assert_allclose(change(Two(), halves.steps[0]), change(Two(), whole.steps[0]), rtol=1e-4, atol=1e-7)
    assert np.abs(change(Two(), single.steps[-1]) - change(Two(), whole.steps[0])).max() > 1e-3


@pytest.mark.parametrize("share", [0.25, 4.0])
def test_the_gradient_is_scaled_to_the_norm_that_is_asked_for_where_it_is_longer(tmp_path, share):
    _, free = fit(tmp_path, batches(1, 4))
    gradient = change(Two(), free.steps[0]) / -0.5  # by one step of SGD at this rate
    norm = np.linalg.norm(gradient)
    _, clipped = fit(tmp_path, batches(1, 4), clip=share * norm)
    expected = gradient * min(1, share)
    np.testing.assert_allclose(change(Two(), clipped.steps[0]) / -0.5, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_averaged_weights_follow_the_recursion_once_a_step(tmp_path, accumulate):
    """e ← d·e + (1 − d)·w, with d rising to the recipe's: min(0.7, 1 − t^(−2/3)) at step t, 0 at the first."""
    network = Two()
    network.norm.train()  # its statistics are averaged, too
    task, weights = fit(tmp_path, batches(8, 2), network=network, ema=0.7, accumulate=accumulate)
    assert len(weights.steps) == 8 // accumulate
    expected = {name: value.double().numpy() for name, value in Two().state_dict().items()}
    for step, own in enumerate(weights.steps, 1):
        decay = min(0.7, 1 - step ** (-2 / 3))
        expected = {name: decay * value + (1 - decay) * own[name] for name, value in expected.items()}
    for name, value in task.best_network.state_dict().items():
        if value.is_floating_point():
            np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    moved = np.abs(change(task.network, {k: v.double().numpy() for k, v in task.best_network.state_dict().items()}))
    assert moved.max() > 1e-3  # it is not the trained network itself


def test_without_averaging_the_trained_network_is_the_best_one(tmp_path):
    task, _ = fit(tmp_path, batches(1, 2))
    assert task.best_network is task.network


def test_the_rate_of_each_step_is_the_schedules(tmp_path):
    """SGD moves by rate × gradient; poly with power 1 halves the rate half-way."""
    network, half = Two(), Two()
    one = batches(1, 4)
    _, first = fit(tmp_path, one, steps=2)
    half.load_state_dict({name: torch.from_numpy(value) for name, value in first.steps[0].items()})
    _, both = fit(tmp_path, one * 2, steps=2, network=network)
    _, again = fit(tmp_path, one, steps=2, network=half)  # at the full rate once more
    begin = first.steps[0]
    second = np.concatenate([(both.steps[1][n] - begin[n]).ravel() for n, _ in Two().named_parameters()])
    full = np.concatenate([(again.steps[0][n] - begin[n]).ravel() for n, _ in Two().named_parameters()])
    np.testing.assert_allclose(second, full / 2, rtol=1e-3, atol=1e-6)


def test_images_are_normalised_by_the_networks_statistics():
    task = SegmentationTask(Two(), PLAIN, 1)
    pixels = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = (np.array([0, 128, 255]) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(task.normalise(pixels).flatten().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("fields", [{}, {"train.ema": 0.9}])
def test_a_resumed_run_normalises_images_as_the_trained_model_does(fields):
    recipe = load_recipe(PLAIN, fields)
    begun, resumed = (SegmentationTask(Two(), recipe, 10) for _ in range(2))
    begun.network.mean, begun.network.std = (0.5, 0.4, 0.3), (0.3, 0.2, 0.1)
    checkpoint: dict = {}
    begun.on_save_checkpoint(checkpoint)
    resumed.on_load_checkpoint(checkpoint)
    assert resumed.network.mean == resumed.best_network.mean == (0.5, 0.4, 0.3)
    pixels = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    torch.testing.assert_close(resumed.normalise(pixels)[0, :, 0, 0], torch.tensor([0.5 / 0.3, 0.6 / 0.2, 0.7 / 0.1]))


def reference_loss(logits, labels, loss, weights, smoothing, threshold, keep):
    """The recipe's losses in NumPy, by their definitions."""
    flat = logits.transpose(0, 2, 3, 1).reshape(-1, logits.shape[1]).astype(np.float64)
    truth = labels.reshape(-1)
    flat, truth = flat[truth != 255], truth[truth != 255]
    log = flat - np.log(np.exp(flat).sum(1, keepdims=True))
    weights = np.ones(flat.shape[1]) if weights is None else np.array(weights)
    true = log[np.arange(len(truth)), truth]
    pixel = -(1 - smoothing) * weights[truth] * true - smoothing * (weights * log).mean(1)
    probabilities, total = np.exp(log), 0.0
    for part in loss.split("+"):
        if part == "cross_entropy":
            total += pixel.sum() / weights[truth].sum()
        elif part == "ohem":
            likelihood = np.exp(true)
            hardest = np.sort(likelihood)[max(1, int(keep * len(likelihood))) - 1]
            total += pixel[likelihood <= max(threshold, hardest)].mean()
        else:
            overlaps = [
                2 * probabilities[truth == c, c].sum() / (probabilities[:, c].sum() + (truth == c).sum())
                for c in np.unique(truth)
            ]
            total += 1 - np.mean(overlaps)
    return total


@pytest.mark.parametrize("loss", ["cross_entropy", "ohem", "dice", "cross_entropy+dice", "ohem+dice"])
@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 0.5)])
@pytest.mark.parametrize(("smoothing", "threshold", "keep"), [(0.0, 0.7, 0.1), (0.1, 0.3, 0.5), (0.2, 0.9, 0.0)])
def test_the_loss_is_that_of_the_recipe(loss, weights, smoothing, threshold, keep):
    fields = {"loss": loss, "class_weights": weights, "label_smoothing": smoothing}
    fields |= {"ohem_threshold": threshold, "ohem_keep": keep}
    recipe = load_recipe(PLAIN, {f"train.{name}": value for name, value in fields.items()})
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 2, (2, 3, 6, 7)).astype(np.float32)
    labels = rng.choice([0, 1, 2, 255], (2, 6, 7))
    found = build_loss(recipe.train, CLASSES.names)(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    expected = reference_loss(logits, labels, loss, weights, smoothing, threshold, keep)
    assert math.isclose(found, expected, rel_tol=1e-5)


@pytest.mark.parametrize(("weights", "says"), [((1.0, 2.0), "2 values for 3 classes"), ((0, 0, 0), "are all 0")])
def test_class_weights_that_cannot_be(weights, says):
    recipe = load_recipe(PLAIN, {"train.class_weights": weights})
    with pytest.raises(UserError, match=says):
        build_loss(recipe.train, CLASSES.names)
