"""Fields of messages, read by hand and compared with what the library of ONNX writes and reads."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_attention.artifacts.protobuf import read_fields, write_field


@given(st.lists(st.tuples(st.text(), st.text(max_size=300)), max_size=5), st.integers(0, 2**60), st.text())
def test_the_fields_of_a_message_are_those_that_were_written(entries, version, name):
    model = onnx.ModelProto(ir_version=version, producer_name=name)
    for key, value in entries:
        model.metadata_props.add(key=key, value=value)
    message = model.SerializeToString()
    found = list(read_fields(message))
    assert b"".join(message[field.begin : field.end] for field in found) == message
    assert [field.number for field in found] == [1, 2] + [14] * len(entries)
    assert message[found[1].content : found[1].end].decode() == name
    read = [message[field.content : field.end] for field in found[2:]]
    again = [onnx.StringStringEntryProto.FromString(content) for content in read]
    assert [(entry.key, entry.value) for entry in again] == entries


@given(st.binary(max_size=400))
def test_a_field_that_is_written_is_read_by_the_library(content):
    model = onnx.ModelProto.FromString(write_field(7, onnx.GraphProto(doc_string=content.hex()).SerializeToString()))
    assert model.graph.doc_string == content.hex()


@pytest.mark.parametrize(
    ("message", "fault"), [(b"\x0a\x05abc", "end"), (b"\xff" * 12, "end"), (b"\x08", "end"), (b"\x0b", "wire type")]
)
def test_what_is_no_message(message, fault):
    with pytest.raises(ValueError, match=fault):
        list(read_fields(message))
