"""An exported file without what only other programs need: the upsampling and the argmax behind its `labels`.

The Segmenter starts from the logits, and ONNX Runtime computes a graph to its end whichever outputs are asked for. So
the nodes that the logits do not depend on are left out of the file's bytes before it is loaded.
"""

from __future__ import annotations

from ...artifacts.protobuf import read_fields, write_field

MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_OUTPUT = 1, 12
NODE_INPUT, NODE_OUTPUT = 1, 2
VALUE_NAME = 1


def keep_output(model: bytes, name: str) -> bytes:
    """A serialised ONNX model with one of its outputs, and the nodes that this one needs.

    Args:
        model: an `onnx.ModelProto`.
        name: of the output; where there is none, the model comes back as it is.

    Raises:
        ValueError: the bytes are no such message (cut off, say).
    """
    return b"".join(
        write_field(MODEL_GRAPH, _pruned(model[field.content : field.end], name))
        if field.number == MODEL_GRAPH
        else model[field.begin : field.end]
        for field in read_fields(model)
    )


def _pruned(graph: bytes, name: str) -> bytes:
    fields = [(field, graph[field.content : field.end]) for field in read_fields(graph)]
    outputs = [_strings(content, VALUE_NAME)[0] for field, content in fields if field.number == GRAPH_OUTPUT]
    if name not in outputs:
        return graph
    needed, kept = {name}, set()
    for field, content in reversed(fields):  # nodes stand in an order in which they can be computed
        if field.number == GRAPH_NODE and needed & set(_strings(content, NODE_OUTPUT)):
            needed.update(_strings(content, NODE_INPUT))  # exported nodes hold no graphs, whose inputs would count, too
            kept.add(field)
    return b"".join(
        graph[field.begin : field.end]
        for field, content in fields
        if (field.number != GRAPH_NODE or field in kept)
        and (field.number != GRAPH_OUTPUT or _strings(content, VALUE_NAME)[0] == name)
    )


def _strings(message: bytes, wanted: int) -> list[str]:
    return [message[field.content : field.end].decode() for field in read_fields(message) if field.number == wanted]
