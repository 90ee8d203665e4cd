"""What augmentation does depends on (seed, epoch, sample) alone, however the samples are loaded."""

import pytest
import torch
from torch.utils.data import DataLoader

from pyramid_attention.data import check_samples, open_dataset
from pyramid_attention.data.loading import EpochSampler, TrainingSet
from pyramid_attention.data.transforms import TrainTransform

COUNT = 10


def training_set(cache: bool = False, seed: int = 3) -> TrainingSet:
    samples = open_dataset("shapes", train=COUNT, size=64).split("train")
    samples = check_samples(samples, keep=cache)
    return TrainingSet(samples, TrainTransform((48, 48), jitter=0.3), seed=seed)


def epochs(training: TrainingSet, seed: int = 3, **options: object) -> list[torch.Tensor]:
    """All images of two epochs, in order, each with its mask as a fourth channel."""
    sampler = EpochSampler(COUNT, seed=seed)
    loader = DataLoader(training, batch_size=4, sampler=sampler, **options)  # type: ignore[arg-type]
    seen = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        seen.append(torch.cat([torch.cat([b["image"], b["mask"][:, None].to(torch.uint8)], dim=1) for b in loader]))
    return seen


@pytest.fixture(scope="module")
def reference() -> list[torch.Tensor]:
    return epochs(training_set())


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 0},
        {"num_workers": 1, "multiprocessing_context": "fork"},
        {"num_workers": 2, "multiprocessing_context": "fork", "persistent_workers": True},
        {"num_workers": 2, "multiprocessing_context": "fork", "prefetch_factor": 1},
        {"num_workers": 1, "multiprocessing_context": "spawn", "persistent_workers": True},
        {"num_workers": 1, "multiprocessing_context": "forkserver", "persistent_workers": True},
    ],
    ids=lambda options: "-".join(str(v) for v in options.values()),
)
def test_the_same_samples_however_they_are_loaded(
    reference: list[torch.Tensor], options: dict[str, object], cache: bool
) -> None:
    for mine, theirs in zip(epochs(training_set(cache), **options), reference, strict=True):
        assert torch.equal(mine, theirs)


def test_other_epochs_and_other_seeds_differ(reference: list[torch.Tensor]) -> None:
    training = training_set()
    assert not torch.equal(training[0, 5]["image"], training[1, 5]["image"])
    assert not torch.equal(training[0, 5]["image"], training_set(seed=4)[0, 5]["image"])
    assert not torch.equal(reference[0], reference[1])


def test_reading_leaves_the_global_random_numbers_alone() -> None:
    torch.manual_seed(8)
    before = torch.random.get_rng_state()
    training_set()[0, 0]
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_sampler_orders_by_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(100, seed=seed)
        sampler.set_epoch(epoch)
        pairs = list(sampler)
        assert {e for e, _ in pairs} == {epoch}
        return [index for _, index in pairs]

    assert sorted(order(1, 0)) == list(range(100))
    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(s, e)) for s in (1, 2) for e in (0, 1)}) == 4


def test_types_and_shapes() -> None:
    sample = training_set()[0, 1]
    assert sample["image"].shape == (3, 48, 48)
    assert sample["image"].dtype == torch.uint8
    assert sample["mask"].shape == (48, 48)
    assert sample["mask"].dtype == torch.uint8
