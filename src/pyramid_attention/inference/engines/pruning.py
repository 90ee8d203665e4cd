"""An exported file without what only other programs need: the upsampling and the argmax behind its `labels`.

The Segmenter starts from the scores, and ONNX Runtime computes a graph to its end whichever outputs are asked for. So
the nodes that the scores do not depend on are left out of the file's bytes before it is loaded. The base install has no
library for that; what is needed of Protocol Buffers is their outermost layer (field number and length, then bytes:
protobuf.dev/programming-guides/encoding) and four fields of `onnx.proto`.
"""

from __future__ import annotations

from collections.abc import Iterator

MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_OUTPUT = 1, 12
NODE_INPUT, NODE_OUTPUT = 1, 2
VALUE_NAME = 1
BYTES = 2
"""The wire type of strings and messages."""


def keep_output(model: bytes, name: str) -> bytes:
    """A serialised ONNX model with one of its outputs, and the nodes that this one needs.

    Args:
        model: an `onnx.ModelProto`.
        name: of the output; where there is none, the model comes back as it is.

    Raises:
        ValueError: the bytes are no such message (cut off, say).
    """
    parts = []
    for number, whole, content in _fields(model):
        if number != MODEL_GRAPH:
            parts.append(whole)
            continue
        graph = _pruned(content, name)
        parts.append(_varint(MODEL_GRAPH << 3 | BYTES) + _varint(len(graph)) + graph)
    return b"".join(parts)


def _pruned(graph: bytes, name: str) -> bytes:
    fields = list(_fields(graph))
    outputs = [_strings(content, VALUE_NAME)[0] for number, _, content in fields if number == GRAPH_OUTPUT]
    if name not in outputs:
        return graph
    needed, kept = {name}, set()
    for index in range(len(fields) - 1, -1, -1):  # nodes stand in an order in which they can be computed
        number, _, content = fields[index]
        if number == GRAPH_NODE and needed & set(_strings(content, NODE_OUTPUT)):
            needed.update(_strings(content, NODE_INPUT))  # exported nodes hold no graphs, whose inputs would count, too
            kept.add(index)
    return b"".join(
        whole
        for index, (number, whole, content) in enumerate(fields)
        if (number != GRAPH_NODE or index in kept)
        and (number != GRAPH_OUTPUT or _strings(content, VALUE_NAME)[0] == name)
    )


def _strings(message: bytes, wanted: int) -> list[str]:
    return [content.decode() for number, _, content in _fields(message) if number == wanted]


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each field's number, its bytes with key and length, and its content (empty for plain numbers)."""
    place = 0
    while place < len(message):
        begin = place
        key, place = _read_varint(message, place)
        size = 0
        if key & 7 == BYTES:
            size, place = _read_varint(message, place)
        elif key & 7 == 0:
            _, place = _read_varint(message, place)
        elif key & 7 in (1, 5):
            place += 8 if key & 7 == 1 else 4
        else:
            raise ValueError(f"a field of the unknown wire type {key & 7}")
        end = place + size
        if end > len(message):
            raise ValueError("a field reaches beyond the end")
        yield key >> 3, message[begin:end], message[place:end]
        place = end


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
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
