"""A data set, a model and a folder to write to, as small as they can be."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.cli import main
from support import training


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set of a few tiny images, and a model."""
    place = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind, shape, high in (("images", (40, 48, 3), 256), ("masks", (40, 48), 2)):
            folder = place / "data" / kind / split
            folder.mkdir(parents=True)
            for name in "ab":
                Image.fromarray(rng.integers(0, high, shape, dtype=np.uint8)).save(folder / f"{name}.png")
    (place / "data" / "dataset.yaml").write_text("names: [ground, box]\n")
    assert main(training(place / "data", place / "trained")) == 0
    shutil.copytree(place / "trained" / "model", place / "model")
    shutil.rmtree(place / "trained")
    return place


@pytest.fixture
def out(place: Path) -> Iterator[Path]:
    """Where a verb writes to, beside the data set and the model."""
    yield place / "out"
    shutil.rmtree(place / "out")
