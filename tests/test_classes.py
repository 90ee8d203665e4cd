"""The class table: what it accepts, VOC's colours, and the drawing of labels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pyramid_attention.classes import IGNORE, ClassTable, voc_colours
from pyramid_attention.errors import EXTRAS, MissingExtra, SomeFailed, UserError, nearest, require


def test_voc_colours_are_those_of_the_devkit():
    assert voc_colours(22)[:9] == (
        (0, 0, 0),  # background
        (128, 0, 0),  # aeroplane
        (0, 128, 0),
        (128, 128, 0),
        (0, 0, 128),
        (128, 0, 128),
        (0, 128, 128),
        (128, 128, 128),
        (64, 0, 0),  # cat
    )
    assert voc_colours(22)[15] == (192, 128, 128)  # person
    assert voc_colours(256)[255] == (224, 224, 192)  # the void of VOC's masks
    assert len(set(voc_colours(256))) == 256


def test_a_table_from_names_from_a_number_and_from_colours():
    assert ClassTable.of(3).names == ("class 0", "class 1", "class 2")
    assert ClassTable.of(["sky", "road"]).colours == voc_colours(2)
    table = ClassTable.of(["sky"], [[1, 2, 3]])
    assert (len(table), table.colours, table.void_name) == (1, ((1, 2, 3),), "void")
    assert len(ClassTable.of(255)) == 255


@pytest.mark.parametrize(
    ("names", "colours", "message"),
    [
        ((), (), "1 to 255 classes, this one has 0"),
        (tuple(str(i) for i in range(256)), voc_colours(256), "1 to 255 classes, this one has 256"),
        (("a", "b"), ((0, 0, 0),), "2 class names but 1 colours"),
        (("a", "b", "a"), voc_colours(3), "used twice: a"),
        (("a",), ((0, 0, 256),), "colour of class 'a' must be three whole numbers of 0 to 255"),
        (("a",), ((0, 0, -1),), "colour of class 'a'"),
        (("a",), ((0, 0),), "colour of class 'a'"),
        (("a",), ((0, 0, 0.5),), "colour of class 'a'"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(names, colours, message):
    with pytest.raises(UserError, match=message):
        ClassTable(names, colours)


def test_the_colour_of_void_is_checked_too():
    with pytest.raises(UserError, match="colour of class 'nothing'"):
        ClassTable(("a",), ((0, 0, 0),), void_name="nothing", void_colour=(0, 0, 300))


def test_a_table_survives_json():
    table = ClassTable(("a", "b"), ((1, 2, 3), (4, 5, 6)), "nothing", (7, 8, 9))
    assert ClassTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_a_label_map_is_drawn_in_the_classes_colours_and_void_in_its_own():
    table = ClassTable(("a", "b"), ((1, 2, 3), (4, 5, 6)), void_colour=(7, 8, 9))
    drawn = table.colourise(np.array([[0, 1], [IGNORE, 7]], dtype=np.uint8))
    assert drawn.tolist() == [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], list(voc_colours(8)[7])]]
    assert (table.palette().shape, table.palette().dtype) == ((256, 3), np.uint8)


def test_nearest_names_what_was_meant_or_all_there_is():
    assert nearest("camvids", ["camvid", "shapes"]) == " Did you mean 'camvid'?"
    assert nearest("vall", ["val", "wall", "test"]) == " Did you mean 'val' or 'wall'?"
    assert nearest("zzz", ["val", "train"]) == " Known: train, val."
    assert nearest("zzz", []) == ""


def test_a_slip_of_one_letter_names_one_word_only():
    assert nearest("train.epoch", ["train.epochs", "train.step", "train.batch"]) == " Did you mean 'train.epochs'?"


def test_an_error_is_one_line_and_has_its_exit_code():
    assert str(UserError("one\n  two\tthree")) == "one two three"
    assert (UserError.exit_code, SomeFailed.exit_code, MissingExtra.exit_code) == (2, 1, 2)


def test_require_names_the_extra_that_brings_a_package(monkeypatch):
    require("this test", "torch")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for module, extra in EXTRAS.items():
        with pytest.raises(
            MissingExtra, match=rf"pan train needs {module}.*pip install 'pyramid-attention\[{extra}\]'"
        ):
            require("pan train", module)
