"""A server with the model in the package, for all tests of the room."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from pyramid_attention.images import encode_image
from pyramid_attention.inference import Segmenter
from served import Running, running


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    return Segmenter.load()


@pytest.fixture(scope="session")
def server(segmenter: Segmenter) -> Iterator[Running]:
    with running({"pan-street": segmenter, "again": segmenter}) as found:
        yield found


@pytest.fixture(scope="session")
def image() -> NDArray[np.uint8]:
    """Of 96×128: sky above, road below, something in between."""
    rng = np.random.default_rng(0)
    image = np.empty((96, 128, 3), np.uint8)
    image[:48], image[48:] = (170, 190, 230), (90, 88, 92)
    image[30:60, 40:90] = (120, 70, 60)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def png(image: NDArray[np.uint8]) -> bytes:
    return encode_image(image, "PNG")
