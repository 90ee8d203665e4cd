"""The description of a saved model: it comes back as it was written, and no change of it goes unnoticed."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_attention.artifacts import Flops, ModelInfo
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.images import Bands

INFO = ModelInfo(
    network={"architecture": "pan", "num_classes": 3, "kernels": [7, 5, 3]},
    classes=ClassTable.of(["road", "sky", "Bäume"], [(1, 2, 3), (4, 5, 6), (7, 8, 9)]),
    bands=Bands(("red", "B8", "B11"), "int16", -1.0, 4),
    mean=(0.1, 0.2, 0.3),
    std=(0.5, 0.6, 0.7),
    max_size=480,
    size_divisor=32,
    align_corners=True,
    precision="int8",
    recipe={"seed": 3, "data": {"classes": None}},
    validation={"miou": 1 / 3},
    provenance={"averaged": ["a", "b"]},
    flops=Flops(9145.835266113281, 47104.0),
    weights_sha256="0" * 64,
    attention=("attention", "places_16"),
    class_of_channels=(1, 0, 1),
)
WRITTEN = INFO.to_json().encode()


def refusal(content: bytes) -> str:
    with pytest.raises(UserError, match=r"^a/config\.json ") as caught:
        ModelInfo.from_json(content, "a/config.json")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def sealed(**changes) -> bytes:
    """The description with other values and the digest that goes with them."""
    data = {**json.loads(WRITTEN), **changes}
    del data["digest"]
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return json.dumps({**data, "digest": hashlib.sha256(text.encode()).hexdigest()}).encode()


def test_it_comes_back_as_it_was_written():
    assert ModelInfo.from_json(WRITTEN, "a file") == INFO
    assert ModelInfo.from_json(ModelInfo().to_json().encode(), "a file") == ModelInfo()
    unlike = [
        each.name for each in dataclasses.fields(INFO) if getattr(INFO, each.name) == getattr(ModelInfo(), each.name)
    ]
    assert unlike == ["library_version"]  # so every other field was compared with what it is not by default


def test_spaces_and_line_endings_are_no_change():
    assert (
        ModelInfo.from_json(json.dumps(json.loads(WRITTEN), indent=7).replace("\n", "\r\n").encode(), "a file") == INFO
    )


@given(st.integers(0, len(WRITTEN) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing(place, flipped):
    content = bytearray(WRITTEN)
    content[place] ^= flipped
    try:
        found = ModelInfo.from_json(bytes(content), "a/config.json")
    except UserError:
        return
    assert found == INFO  # a space became a tab


@given(st.integers(0, len(WRITTEN) - 2))
def test_a_cut_is_noticed(length):
    assert "is damaged" in refusal(WRITTEN[:length])


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"{}", b'{"digest": 3}', b"\xff", b"[" * 10**6])
def test_what_is_no_description(content):
    assert "is damaged: it holds no model info of pyramid-attention" in refusal(content) or content == b'{"digest": 3}'


@pytest.mark.parametrize("changes", [{"classes": [1]}, {"mean": None}, {"flops": {"per_pixel": 1}}, {"more": 1}])
def test_a_description_of_another_shape(changes):
    assert "holds no model info" in refusal(sealed(**changes))


def test_another_format():
    text = refusal(sealed(format_version=9, library_version="7.0"))
    assert "has format 9, written by pyramid-attention 7.0, and this is" in text
    assert "update pyramid-attention" in text


@pytest.mark.parametrize("value", [np.float32(0.5), float("nan")])
def test_what_json_does_not_have_is_refused(value):
    with pytest.raises((TypeError, ValueError), match="JSON"):
        ModelInfo(validation={"miou": value}).to_json()


def test_the_cost_of_an_image():
    assert Flops(2.0, 10.0).of(3, 5) == 40.0
