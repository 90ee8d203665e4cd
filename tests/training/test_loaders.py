"""Batches: which images, in which order, by how many processes; and what is decoded before training."""

import os
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from pyramid_attention.classes import ClassTable
from pyramid_attention.data import Dataset
from pyramid_attention.data.loading import EpochSampler
from pyramid_attention.data.samples import DecodedSample
from pyramid_attention.errors import UserError
from pyramid_attention.training import Recipe, load_recipe, loaders, processes
from pyramid_attention.training.loaders import build_loaders, fits_in_memory, loader_processes, open_samples

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@dataclass
class Grey:
    """An image of one grey, its own number, and a mask of as many."""

    number: int
    fails: bool = False
    reads: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"n{self.number}"

    def read_image(self) -> np.ndarray:
        self.reads.append(self.name)
        if self.fails:
            raise UserError(f"{self.name} is damaged")
        return np.full((8, 8, 3), self.number, np.uint8)

    def read_mask(self) -> np.ndarray:
        return np.full((8, 8), self.number, np.uint8)


def dataset(train: list[Grey], val: list[Grey], **fields: object) -> Dataset:
    names = [f"class {i}" for i in range(40)]
    return Dataset(
        **{"format": "own", "root": None, "classes": ClassTable.of(names)} | fields, splits={"train": train, "val": val}
    )


def recipe(**data: object) -> Recipe:
    plain = {"crop": (8, 8), "scale": (1, 1), "flip": False, "workers": 0}
    return load_recipe(Recipe(), {"data": {**plain, **data}, "train": {"batch_size": 4}, "seed": 5})


@pytest.mark.parametrize(
    ("device", "cores", "expected"), [(CPU, 1, 0), (CPU, 2, 1), (CPU, 16, 1), (CUDA, 1, 1), (CUDA, 5, 5), (CUDA, 64, 8)]
)
def test_processes_that_load(monkeypatch: pytest.MonkeyPatch, device: torch.device, cores: int, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert loader_processes(None, device) == expected
    assert loader_processes(3, device) == 3


def test_images_are_kept_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [Grey(i) for i in range(10)]  # 8 × 8 pixels of 3 bytes, and as many of mask
    monkeypatch.setattr(loaders, "CACHE_LIMIT", 10 * 8 * 8 * 4)
    assert fits_in_memory(samples)
    assert not fits_in_memory([*samples, Grey(10)])


@pytest.mark.parametrize(
    ("format", "check", "cache", "train_reads", "val_reads"),
    [
        ("own", True, True, 1, 1),
        ("own", True, False, 1, 1),
        ("own", False, True, 1, 0),
        ("own", False, False, 0, 0),
        ("shapes", True, True, 1, 0),  # drawn images cannot be broken
        ("shapes", True, False, 0, 0),
    ],
)
def test_what_is_decoded_before_training(
    format: str, check: bool, cache: bool, train_reads: int, val_reads: int
) -> None:
    train, val = [Grey(i) for i in range(6)], [Grey(i) for i in range(2)]
    found, found_val = open_samples(recipe(check=check, cache=cache).data, dataset(train, val, format=format))
    assert [len(one.reads) for one in train] == [train_reads] * 6
    assert [len(one.reads) for one in val] == [val_reads] * 2
    assert all(isinstance(one, DecodedSample) == cache for one in found)
    assert list(found_val) == val
    for _ in range(2):
        assert [one.read_image()[0, 0, 0] for one in found] == list(range(6))
    assert [len(one.reads) for one in train] == [train_reads + 2 * (not cache)] * 6


def test_what_is_broken_or_a_problem_ends_it() -> None:
    data = recipe().data
    with pytest.raises(UserError, match="n1 is damaged … and 1 more of 3 have a problem"):
        open_samples(data, dataset([Grey(0), Grey(1, True), Grey(2, True)], [Grey(3)]))
    with pytest.raises(UserError, match="n3 is damaged"):
        open_samples(data, dataset([Grey(0)], [Grey(3, True)]))
    with pytest.raises(UserError, match="two masks"):
        open_samples(data, dataset([Grey(0)], [Grey(1)], problems=("a has two masks",)))


def numbers(batches: object) -> list[list[int]]:
    return [batch["image"][:, 0, 0, 0].tolist() for batch in batches]  # type: ignore[attr-defined]


@pytest.mark.parametrize("done", [0, 3])
def test_an_epoch_has_the_order_of_its_number(done: int) -> None:
    samples = [Grey(i) for i in range(10)]
    batches, images = build_loaders(recipe(), samples, samples[:3], CPU, done)
    sampler = EpochSampler(10, seed=5)
    sampler.set_epoch(done)
    order = [index for _, index in sampler]
    assert numbers(batches) == [order[:4], order[4:8]]  # what is left of the last batch is dropped
    assert [name for name, _, _ in images] == ["n0", "n1", "n2"]


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    batches, _ = build_loaders(recipe(), [Grey(i) for i in range(3)], [Grey(0)], CPU, 0)
    assert [sorted(batch) for batch in numbers(batches)] == [[0, 1, 2]]


def test_processes_share_batches_and_images_of_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [Grey(i) for i in range(10)]
    whole, _ = build_loaders(recipe(), samples, samples, CPU, 0)
    shares = []
    monkeypatch.setattr(processes, "count", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        shares.append(build_loaders(recipe(), samples, samples, CPU, 0))
    steps = zip(*(numbers(one) for one, _ in shares), strict=True)
    assert [[image for part in step for image in part] for step in steps] == numbers(whole)
    names = [[sample and sample[0] for sample in images] for _, images in shares]
    assert names == [["n0", "n3", "n6", "n9"], ["n1", "n4", "n7", None], ["n2", "n5", "n8", None]]
    with pytest.raises(
        UserError, match=r"a batch of 2 images \(train.batch_size=4, 2 in 'train'\) does not reach for 3"
    ):
        build_loaders(recipe(), samples[:2], samples, CPU, 0)


def test_validation_gives_images_as_they_are() -> None:
    _, images = build_loaders(recipe(reduce=2), [Grey(1)], [Grey(7)], CPU, 0)
    ((name, image, mask),) = images
    assert (name, image.shape, mask.shape) == ("n7", (8, 8, 3), (8, 8))
    assert isinstance(image, np.ndarray)
    assert (image == 7).all()
    assert (mask == 7).all()


def test_loading_leaves_the_global_random_numbers_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    batches, images = build_loaders(recipe(scale=(0.5, 2), flip=True), [Grey(i) for i in range(8)], [Grey(1)], CPU, 0)
    list(batches), list(images)
    assert torch.equal(before, torch.random.get_rng_state())
