"""How DATA is read, said on the command line: the same options on every verb that takes DATA, each with its effect."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.cli import main
from pyramid_attention.data import open_dataset
from pyramid_attention.data.reading import Reading


def drawings(root: Path) -> Path:
    """Ten images in two scenes, with the masks of three annotators, who differ in one pixel, and a depth map each."""
    for i in range(10):
        name = f"{'ab'[i % 2]}_{i}"
        pixels = np.random.default_rng(i).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        for folder, drawn in (
            ("shots", pixels),
            ("depth", np.add.outer(np.arange(12), np.arange(16)).astype(np.uint8)),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn).save(root / folder / f"{name}.png")
        for who in "xyz":
            mask = np.zeros((12, 16), np.uint8)
            mask[3:9, 4:12] = 255
            mask[0, 0] = 255 * (who != "x")
            (root / "by" / who).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(root / "by" / who / f"{name}.png")
    return root


def copied(root: Path, copy: Path, *options: str) -> dict[str, list[np.ndarray]]:
    """The masks by split of what `pan data convert` makes of it."""
    assert main(["data", "convert", str(root), str(copy), *options]) == 0
    dataset = open_dataset(copy, make_val=False)
    return {split: [sample.read_mask() for sample in of] for split, of in dataset.splits.items()}


def test_annotators_share_and_groups_change_what_is_read(tmp_path: Path) -> None:
    root = drawings(tmp_path / "set")
    first = copied(root, tmp_path / "1", "--images", "shots/{id}.png", "--masks", "by/x/{id}.png", "--val", "0.3")
    assert sum(map(len, first.values())) == 10
    assert 2 <= len(first["val"]) <= 4
    assert all(mask[0, 0] == 0 for of in first.values() for mask in of)
    most = copied(
        root,
        tmp_path / "2",
        "--images",
        "shots/{id}.png",
        "--masks",
        "by/{annotator}/{id}.png",
        "--annotators",
        "majority",
    )
    assert all(mask[0, 0] == mask[4, 5] == 1 for of in most.values() for mask in of)
    patterns = ("--images", "shots/{id}.png", "--masks", "by/x/{id}.png")
    grouped = copied(root, tmp_path / "3", *patterns, "--group", "^[ab]")
    assert {split: len(of) for split, of in grouped.items()} == {"train": 5, "val": 5}


VERBS = {
    "train": ["train", "DATA", "--out", "OUT"],
    "eval": ["eval", "DATA"],
    "data inspect": ["data", "inspect", "DATA"],
    "data convert": ["data", "convert", "DATA", "OUT"],
    "ablate": ["ablate", "gau", "DATA", "--out", "OUT"],
    "export": ["export", "MODEL", "--int8", "--calibrate", "DATA", "--out", "OUT"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_takes_data_hands_on_how_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    got: list[Reading] = []
    words = ["--images", "i/{id}.png", "--masks", "m/{id}.png"]
    words += ["--annotators", "majority", "--group", "^.", "--val", "0.4"]
    monkeypatch.setattr(Reading, "__post_init__", lambda self: got.append(self))
    main([*(str(tmp_path / word) if word.isupper() else word for word in VERBS[verb]), *words])
    (reading,) = [one for one in got if one.images is not None][:1]
    assert (reading.images, reading.masks, reading.annotators) == ("i/{id}.png", "m/{id}.png", "majority")
    assert (reading.group, reading.val) == ("^.", 0.4)
