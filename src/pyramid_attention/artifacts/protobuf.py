"""The outermost layer of Protocol Buffers: the fields of a message, as places in its bytes.

The base install has no library for `.onnx` files. What is needed of them is little: a field is a number and a wire type
in one varint, then a number or a length and so many bytes (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

BYTES = 2
"""The wire type of strings and messages."""


class Field(NamedTuple):
    """A field of a message: its number, and where it begins, its content begins, and both end."""

    number: int
    begin: int
    content: int
    end: int


def read_fields(message: bytes | memoryview) -> Iterator[Field]:
    """The fields of a message, in their order; what is not asked for is not read.

    Raises:
        ValueError: the bytes are no message (cut off, say).
    """
    place = 0
    while place < len(message):
        begin = place
        key, place = _read_varint(message, place)
        content = place
        if key & 7 == BYTES:
            size, content = _read_varint(message, place)
            place = content + size
        elif key & 7 == 0:
            _, place = _read_varint(message, place)
        elif key & 7 in (1, 5):
            place += 8 if key & 7 == 1 else 4
        else:
            raise ValueError(f"a field of the unknown wire type {key & 7}")
        if place > len(message):
            raise ValueError("a field reaches beyond the end")
        yield Field(key >> 3, begin, content, place)


def write_field(number: int, content: bytes) -> bytes:
    """A field that holds a string or a message."""
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _read_varint(message: bytes | memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("a number without an end")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
