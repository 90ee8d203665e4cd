"""The losses against formulas in float64 and against torch's own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pyramid_attention.training.losses import CrossEntropy, Dice, Distillation, OhemCrossEntropy, SumOfLosses


def batch(seed: int, classes: int = 4, void: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 5, 7, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(classes, (2, 5, 7), generator=generator)
    labels[torch.rand(2, 5, 7, generator=generator) < void] = 255
    return logits, labels


def pixel_losses(logits: torch.Tensor, labels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """−log p(true) of each labelled pixel, and its class, in plain float64 NumPy."""
    flat = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).numpy()
    truth = labels.reshape(-1).numpy()
    flat, truth = flat[truth != 255], truth[truth != 255]
    log_sum = np.log(np.exp(flat - flat.max(1, keepdims=True)).sum(1)) + flat.max(1)
    return log_sum - flat[np.arange(len(truth)), truth], truth


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_cross_entropy_is_the_mean_over_labelled_pixels(seed: int) -> None:
    logits, labels = batch(seed)
    losses, _ = pixel_losses(logits, labels)
    assert CrossEntropy()(logits, labels).item() == pytest.approx(losses.mean(), rel=1e-12)


def test_weighted_cross_entropy_divides_by_the_weights() -> None:
    logits, labels = batch(1)
    weights = [0.5, 2.0, 0.0, 3.0]
    losses, truth = pixel_losses(logits, labels)
    expected = (losses * np.array(weights)[truth]).sum() / np.array(weights)[truth].sum()
    assert CrossEntropy(weights).double()(logits, labels).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 3.0, 4.0]])
def test_cross_entropy_equals_torch(smoothing: float, weights: list[float] | None) -> None:
    logits, labels = batch(2)
    given_weights = None if weights is None else torch.tensor(weights).double()
    expected = F.cross_entropy(logits, labels, given_weights, ignore_index=255, label_smoothing=smoothing)
    assert CrossEntropy(weights, smoothing).double()(logits, labels).item() == pytest.approx(expected.item(), rel=1e-9)


def test_ohem_keeps_exactly_the_unlikely_pixels() -> None:
    logits, labels = batch(3)
    losses, _ = pixel_losses(logits, labels)
    hard = losses[np.exp(-losses) <= 0.6]
    assert len(losses) > len(hard) > 0.1 * len(losses)
    assert OhemCrossEntropy(0.6, keep=0.1)(logits, labels).item() == pytest.approx(hard.mean(), rel=1e-6)


def test_ohem_keeps_at_least_the_hardest_share() -> None:
    logits, labels = batch(4)
    losses, _ = pixel_losses(logits, labels)
    kept = np.sort(losses)[::-1][: int(0.5 * len(losses))]
    assert OhemCrossEntropy(threshold=0.0, keep=0.5)(logits, labels).item() == pytest.approx(kept.mean(), rel=1e-6)


def test_ohem_that_keeps_all_is_cross_entropy() -> None:
    logits, labels = batch(5)
    everything = OhemCrossEntropy(threshold=1.0, keep=1.0)(logits, labels)
    assert everything.item() == pytest.approx(CrossEntropy()(logits, labels).item(), rel=1e-6)


def test_dice_is_the_soft_overlap_of_the_classes_present() -> None:
    logits, labels = batch(6)
    labels[labels == 3] = 2  # a class the labels do not hold
    expected = []
    probabilities = logits.softmax(1).permute(0, 2, 3, 1)[labels != 255].numpy()
    truth = labels[labels != 255].numpy()
    for c in range(3):
        p, t = probabilities[:, c], truth == c
        expected.append(1 - 2 * (p * t).sum() / (p.sum() + t.sum()))
    assert Dice()(logits, labels).item() == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("loss", [CrossEntropy(), OhemCrossEntropy(0.7, 0.1), Dice(), CrossEntropy([1.0, 2, 3, 4])])
def test_a_batch_without_labels_gives_zero_and_no_gradient(loss: torch.nn.Module) -> None:
    logits, labels = batch(7)
    logits = logits.float().requires_grad_()
    value = loss(logits, torch.full_like(labels, 255))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", [CrossEntropy(), OhemCrossEntropy(0.7, 0.1), Dice()])
def test_void_pixels_get_no_gradient(loss: torch.nn.Module) -> None:
    logits, labels = batch(8)
    logits = logits.float().requires_grad_()
    loss(logits, labels).backward()
    gradient = logits.grad.abs().sum(1)
    assert gradient[labels == 255].sum() == 0
    assert gradient[labels != 255].sum() > 0


def test_a_sum_of_losses_adds() -> None:
    logits, labels = batch(9)
    total = SumOfLosses(CrossEntropy(), Dice())(logits, labels)
    assert total.item() == pytest.approx((CrossEntropy()(logits, labels) + Dice()(logits, labels)).item())


def test_dice_of_a_class_of_one_pixel_counts_as_any_other() -> None:
    logits = torch.zeros(1, 2, 1, 2, dtype=torch.float64)  # p = 1/2 everywhere
    labels = torch.tensor([[[0, 1]]])
    assert Dice()(logits, labels).item() == pytest.approx(1 - 2 * 0.5 / (1 + 1))
    one = torch.tensor([[[1, 255]]])
    assert Dice()(logits, one).item() == pytest.approx(1 - 2 * 0.5 / (0.5 + 1))


def test_dice_of_labels_without_the_last_class_and_without_void() -> None:
    logits, labels = batch(9, void=0.0)
    assert Dice()(logits, labels.clamp_max(1)).item() > 0


def test_weights_move_with_the_loss_but_are_not_saved_in_a_checkpoint() -> None:
    for loss in (CrossEntropy([1.0, 2.0]), OhemCrossEntropy(0.7, 0.1, [1.0, 2.0])):
        assert loss.state_dict() == {}
        assert loss.double().weights.dtype == torch.float64


def softmax(logits: torch.Tensor, temperature: float) -> np.ndarray:
    """Probabilities, pixel × class, in plain float64 NumPy."""
    flat = logits.double().permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).numpy() / temperature
    powers = np.exp(flat - flat.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@given(st.integers(0, 10_000), st.sampled_from([0.5, 1.0, 4.0]))
@settings(max_examples=20, deadline=None)
def test_distillation_is_the_mean_divergence_of_labelled_pixels(seed: int, temperature: float) -> None:
    (logits, labels), (teacher, _) = batch(seed), batch(seed + 1)
    ours, theirs = softmax(logits, temperature), softmax(teacher, temperature)
    divergence = (theirs * np.log(theirs / ours)).sum(1)[labels.reshape(-1).numpy() != 255]
    found = Distillation(temperature)(logits, teacher, labels).item()
    assert found == pytest.approx(temperature**2 * divergence.mean(), rel=1e-4)


def test_nothing_is_to_be_learnt_from_a_teacher_that_says_the_same() -> None:
    logits, labels = batch(5)
    given_logits = logits.clone().requires_grad_()
    loss = Distillation(2.0)(given_logits, logits + 3, labels)  # a constant changes no probability
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert given_logits.grad is not None
    assert given_logits.grad.abs().max() < 1e-7


def test_distillation_of_void_alone_is_zero_with_a_gradient_of_zero() -> None:
    logits, labels = batch(6, void=1.1)
    given_logits = logits.clone().requires_grad_()
    loss = Distillation()(given_logits, logits.flip(1), labels)
    loss.backward()
    assert loss.item() == 0
    assert given_logits.grad is not None
    assert not given_logits.grad.any()
