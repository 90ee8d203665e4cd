"""Run-length codes, read back by those who defined them."""

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco

from pyramid_attention.serving.encodings import brush_rle, coco_rle


@pytest.fixture(scope="module")
def brush() -> ModuleType:
    """Label Studio's own converter, without the rest of its SDK, which wants other versions of half of this house."""
    sdk = importlib.util.find_spec("label_studio_sdk")
    if sdk is None or not sdk.submodule_search_locations:
        pytest.skip("needs label-studio-sdk (pip install --no-deps label-studio-sdk)")
    path = f"{sdk.submodule_search_locations[0]}/converter/brush.py"
    spec = importlib.util.spec_from_file_location("brush", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.random((height, width)) < draw(st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]))


@settings(max_examples=50, deadline=None)
@given(masks())
def test_pycocotools_reads_the_mask(mask: NDArray[np.bool_]) -> None:
    code = coco_rle(mask)
    assert sum(code["counts"]) == mask.size
    assert (coco.decode(coco.frPyObjects(code, *mask.shape)) == mask).all()


@settings(max_examples=25, deadline=None)
@given(mask=masks())
def test_label_studio_reads_the_mask(brush: ModuleType, mask: NDArray[np.bool_]) -> None:
    values = brush.decode_rle(brush_rle(mask)).reshape(*mask.shape, 4)
    assert (values == np.where(mask, 255, 0)[..., None]).all()


def test_runs_longer_than_the_longest_length_are_cut(brush: ModuleType) -> None:
    mask = np.zeros((300, 300), bool)
    mask[100:250] = True
    assert (brush.decode_rle(brush_rle(mask)).reshape(300, 300, 4)[..., 3] == mask * 255).all()
