"""Real data of other fields, read with nothing but their path: every mask against a reading that is written here."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.data import open_dataset
from pyramid_attention.data.samples import MaskFileSample
from support import CAMVID

FIELDS = CAMVID.parent / "fields"
VOID = {(155, 155, 155), (0, 0, 0)}
"""Colours of aerial that are no class: what classes.json calls Unlabeled, and what was left unpainted."""


def samples(folder: str) -> list[MaskFileSample]:
    splits = open_dataset(FIELDS / folder).splits
    return [sample for of in splits.values() for sample in of if isinstance(sample, MaskFileSample)]


@pytest.mark.skipif(not FIELDS.exists(), reason="the data of other fields are not here")
def test_aerial_images_whose_indexed_masks_have_a_palette_each_are_read_by_colour() -> None:
    found = samples("aerial")
    assert len(found) == 54
    label_of: dict[tuple[int, ...], int] = {}
    for sample in found[::5]:
        colours = np.asarray(Image.open(sample.mask).convert("RGB")).reshape(-1, 3)
        labels = sample.read_mask().ravel()
        for colour in np.unique(colours, axis=0):
            shown = np.unique(labels[(colours == colour).all(axis=1)])
            assert len(shown) == 1
            known = label_of.setdefault(tuple(colour.tolist()), int(shown[0]))
            assert known == shown[0]
    assert {colour for colour, label in label_of.items() if label == 255} <= VOID
    assert sorted(label for label in label_of.values() if label != 255) == [0, 1, 2, 3, 4]


@pytest.mark.skipif(not FIELDS.exists(), reason="the data of other fields are not here")
def test_nuclei_whose_masks_show_one_object_each_are_united() -> None:
    found = samples("nuclei")
    assert len(found) == 110
    for sample in found[::20]:
        objects = sorted(Path(sample.image).parents[1].glob("masks/*.png"))
        united = np.max([np.asarray(Image.open(path).convert("L")) for path in objects], axis=0)
        assert np.array_equal(sample.read_mask(), united > 127)
