"""Exported files: what is known of the model is in them, and no byte of them changes unnoticed."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from pyramid_attention.artifacts import Flops, ModelInfo, load_model, locate, read_info
from pyramid_attention.artifacts.onnx_file import write_file
from pyramid_attention.classes import ClassTable
from pyramid_attention.cli import main
from pyramid_attention.errors import UserError
from pyramid_attention.inference import Segmenter
from support import brightest, mutated

INFO = ModelInfo(
    network={"num_classes": 3},
    classes=ClassTable.of(["red", "green", "Bläue"]),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    max_size=480,
    validation={"miou": 0.5},
    flops=Flops(2.0, 1.0),
)


@pytest.fixture
def file(tmp_path) -> Path:
    write_file(brightest(), tmp_path / "model.onnx", INFO, {"norms": {}})
    return tmp_path / "model.onnx"


def refusal(path: Path, action=Segmenter.load) -> str:
    with pytest.raises(UserError) as caught:
        action(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_info_comes_back_and_the_labels_are_the_graphs(file):
    assert replace(read_info(file), weights_sha256=None) == INFO
    segmenter = Segmenter.load(file)
    assert segmenter.info == read_info(file)
    assert segmenter.max_size == 480
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    np.testing.assert_array_equal(segmenter(image).labels, image.argmax(axis=2))


def test_the_digest_is_that_of_every_other_byte_of_the_file(file):
    whole = file.read_bytes()
    tail = onnx.ModelProto(metadata_props=[onnx.load(file).metadata_props[-1]]).SerializeToString()
    assert whole.endswith(tail)
    assert read_info(file).weights_sha256 == hashlib.sha256(whole[: -len(tail)]).hexdigest()


def test_another_program_may_read_it_and_write_it_as_it_is(file, tmp_path):
    onnx.save(onnx.load(file), tmp_path / "again.onnx")
    assert Segmenter.load(tmp_path / "again.onnx").info == read_info(file)


@pytest.mark.parametrize(("name", "count"), [("small", 300), ("pan-street", 30)])
def test_no_change_of_a_byte_goes_unnoticed(file, name, count):
    whole = (file if name == "small" else locate(name).path).read_bytes()
    info = read_info(file if name == "small" else name)
    draw = random.Random(0)
    refused = 0
    for _ in range(count):
        file.write_bytes(mutated(whole, draw))
        try:
            found = Segmenter.load(file).info
        except UserError as error:
            refused += "\n" not in str(error) and str(file) in str(error)
        else:
            refused += found == info  # one space more or less in the text of the info
    assert refused == count


def test_a_flipped_exponent_of_a_weight_is_one_line(file, tmp_path, capsys):
    """The fault that would otherwise give other labels in silence."""
    whole = file.read_bytes()
    place = whole.index(np.array([1.0, 1.0, 1.0], np.float32).tobytes()) + 3
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
    (tmp_path / "a.png").write_bytes(b"")
    assert main(["predict", str(tmp_path / "a.png"), "--model", str(file), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"pan: {file} is damaged: its weights are not those that were written; get or export it again"
    )
    assert not list(tmp_path.glob("out/*"))


def test_a_file_that_was_right_is_looked_at_again_when_it_changes(file):
    Segmenter.load(file)
    whole = bytearray(file.read_bytes())
    whole[whole.index(b"brightest")] ^= 1
    file.write_bytes(whole)
    assert "is damaged" in refusal(file)


def test_what_names_its_classes_takes_no_others(file):
    with pytest.raises(UserError, match="names its own classes; leave out classes="):
        Segmenter.load(file, classes=["a", "b", "c"])


@pytest.mark.parametrize("place", [-3, 5])  # the tag of the info's entry, and its key, beside the key's length
def test_what_no_longer_says_its_classes_where_it_should_takes_no_others_either(file, place):
    content = bytearray(file.read_bytes())
    content[content.rindex(b"\x0a\x11pyramid_attention") + place] ^= 8
    file.write_bytes(content)
    assert "is damaged" in refusal(file, lambda path: Segmenter.load(path, classes=["a", "b", "c"]))


# Networks made again: `test_onnx_weights` has those that can be


def test_files_that_cannot_be_trained(file, tmp_path):
    other = tmp_path / "other.onnx"
    write_file(brightest(), other, replace(INFO, precision="int8"))
    assert "has 8-bit weights" in refusal(other, load_model)
    write_file(brightest(), other, replace(INFO, network={"num_classes": 3, "backbone": "test_resnet"}), {"norms": {}})
    assert "does not hold all that its network needs" in refusal(other, load_model)
    write_file(brightest(), other, replace(INFO, network={"num_classes": 3, "backbone": "test_resnet"}))
    assert "does not hold all that its network needs" in refusal(other, load_model)
    write_file(brightest(), other, replace(INFO, network={}))
    assert "does not say how its network is built" in refusal(other, load_model)
    onnx.save(brightest(), other)
    assert "is not a model that 'pan export' made" in refusal(other, load_model)
    assert "holds no model info of pyramid-attention" in refusal(other, read_info)
    for content in (b"nothing", b""):
        other.write_bytes(content)
        assert "other.onnx" in refusal(other, load_model)
        assert "is damaged" in refusal(other, read_info)
    file.write_bytes(file.read_bytes()[:-3])
    assert "is damaged" in refusal(file, load_model)
