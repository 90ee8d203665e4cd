"""The fields that follow from data and machine."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from pyramid_attention.classes import ClassTable
from pyramid_attention.data.shapes import open_shapes
from pyramid_attention.errors import UserError
from pyramid_attention.training.autoconfigure import (
    Facts,
    configure,
    kept_bytes_per_pixel,
    look_at,
    refuse_hopeless,
)
from pyramid_attention.training.recipe import load_recipe

FACTS = Facts(
    images=800,
    size=(200, 330),
    pixels=(900, 100),
    sides=(60.0, 12.0),
    device="cpu",
    bytes_per_pixel=1000.0,
    memory=8 * 2**30,
)


def chosen(**changes):
    """The recipe `finetune` for other facts."""
    fields = changes.pop("fields", {})
    return configure(load_recipe("finetune", fields), dataclasses.replace(FACTS, **changes))[0]


class Drawn:
    """A sample with a given mask."""

    def __init__(self, mask):
        self.mask = np.array(mask, np.uint8)

    def read_mask(self):
        return self.mask


def test_a_look_finds_median_size_pixels_and_the_sides_of_regions():
    one = np.zeros((10, 20))
    one[1:4, 1:4] = 1
    one[6:8, 10:18] = 1  # two regions of 9 and 16 pixels
    two = np.zeros((12, 30))
    two[0, 0] = 255
    three = np.zeros((14, 24))
    size, pixels, sides = look_at([Drawn(one), Drawn(two), Drawn(three)], 3)
    assert size == (12, 24)
    assert pixels == (200 - 25 + 359 + 336, 25, 0)
    assert sides[:2] == (math.sqrt(336), 4)  # half of the pixels lie in regions of at most this
    assert math.isnan(sides[2])


def test_what_a_layer_keeps_for_the_gradient_is_counted_once_and_without_its_weights():
    """A convolution keeps its input (3 maps), the ReLU its output, which the next convolution keeps as well."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    before = torch.get_rng_state()
    assert kept_bytes_per_pixel(network) == (3 + 8) * 4
    assert torch.equal(torch.get_rng_state(), before)


def test_the_crop_is_the_median_image_to_a_multiple_of_32_and_bounded():
    assert chosen().data.crop == (192, 256)
    assert chosen(size=(20, 2000), device="cuda").data.crop == (32, 512)


def test_images_are_not_made_so_small_that_the_smallest_objects_vanish():
    assert chosen(sides=(60.0, 40.0)).data.scale == (0.5, 2.0)
    assert chosen(sides=(60.0, 12.0)).data.scale == (0.67, 2.0)
    assert chosen(sides=(60.0, 3.0)).data.scale == (1.0, 2.0)
    assert chosen(sides=(math.nan, math.nan)).data.scale == (0.5, 2.0)


def test_a_batch_fits_into_memory_and_the_rate_follows_it():
    assert (chosen().train.batch_size, chosen().train.learning_rate) == (8, 1e-3)
    small = chosen(memory=400 * 2**20)  # of which half, for 94 MiB an image
    assert (small.train.batch_size, small.train.learning_rate) == (2, 5e-4)
    assert chosen(memory=1).train.batch_size == 1
    assert chosen(memory=None, device="cuda").train.batch_size == 16
    assert chosen(images=3).train.batch_size == 3


def test_little_data_is_trained_on_for_more_epochs():
    assert [chosen(images=images).train.epochs for images in (1, 80, 800, 80000)] == [120, 120, 24, 10]
    assert chosen(images=80).train.validate_every == 6


def test_what_is_given_is_not_chosen():
    recipe = chosen(fields={"data.crop": (64, 96), "train.epochs": 3, "train.learning_rate": 0.5})
    assert (recipe.data.crop, recipe.train.epochs, recipe.train.learning_rate) == ((64, 96), 3, 0.5)
    assert recipe.train.validate_every == 1
    assert recipe.auto == ()


def test_nothing_is_chosen_for_a_recipe_that_does_not_ask():
    recipe = load_recipe("voc")
    assert configure(recipe, FACTS) == (recipe, {})


def test_the_resolved_recipe_says_why(tmp_path):
    asked = load_recipe("finetune", {"train.epochs": 3})
    recipe, reasons = configure(asked, FACTS)
    assert reasons.keys() == set(asked.auto)
    recipe.save(tmp_path / "recipe.yaml", reasons)
    text = (tmp_path / "recipe.yaml").read_text()
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    assert yaml.safe_load(text) == recipe.model_dump(mode="json")
    lines = [line for line in text.splitlines() if "  # " in line]
    assert [line.split(":")[0].strip() for line in lines] == [
        "crop",
        "scale",
        "batch_size",
        "learning_rate",
        "validate_every",
    ]
    assert "  crop:  # the median image is 330×200; at most 256 on cpu" in lines


def test_one_class_or_one_image_is_refused():
    data = open_shapes(train=1, val=1)
    recipe = load_recipe("finetune")
    refuse_hopeless(data, recipe)
    with pytest.raises(UserError, match=r"one class \('cell'\), so there is nothing to tell apart; label what is not"):
        refuse_hopeless(dataclasses.replace(data, classes=ClassTable.of(["cell"])), recipe)
    alone = dataclasses.replace(data, splits={"train": data.split("train")})
    with pytest.raises(UserError, match=r"one image \(.*\), so none is left .* data\.val_split=train"):
        refuse_hopeless(alone, recipe)
    refuse_hopeless(alone, recipe.with_fields({"data.val_split": "train"}))
