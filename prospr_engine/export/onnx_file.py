"""Open an ONNX file without trusting it, and without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

from prospr_engine.errors import ExportError
from prospr_engine.export.interface import Interface
from prospr_engine.guard import limits

PROTOBUF_LIMIT = limits.ONNX_BYTES.value
"""Bytes of the largest protobuf message, and so of a single ONNX file."""


def read_bytes(path: str | Path) -> bytes:
    """The content of the file at ``path``; raises ``ExportError`` if it cannot be an ONNX file."""
    path = Path(path)
    try:
        if path.is_dir():
            raise ExportError(f"{path} is a folder; give the ONNX file in it.")
        if not path.is_file():
            raise ExportError(f"There is no file {path}.")
        size = path.stat().st_size
        if size == 0:
            raise ExportError(f"{path} is empty; export the network again.")
        if size > PROTOBUF_LIMIT:
            raise ExportError(f"{path} exceeds the 2 GiB limit of an ONNX file.")
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}.") from None


def parse(data: bytes, path: str | Path) -> onnx.ModelProto:
    """``data`` as an ONNX model; files that it refers to are not opened."""
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        raise ExportError(f"{path} is not an ONNX file, or is truncated.") from None
    if not _texts_are_text(model):
        raise ExportError(f"{path} is damaged: a name in it is not text.")
    if not model.ir_version or not model.graph.node:
        raise ExportError(f"{path} is not an ONNX file, or is truncated: it has no operators.")
    return model


def _texts_are_text(message: Message) -> bool:
    """Whether every text in ``message`` is one; protobuf gives bytes for what is not UTF-8."""
    if isinstance(message, onnx.TensorProto):  # its values would be copied
        texts = [message.name, message.doc_string]
        parts: list[Message] = [*message.external_data, *message.metadata_props]
    else:
        texts, parts = [], []
        for field, content in message.ListFields():
            values: Any = [content] if isinstance(content, str | bytes | Message) else content
            if field.type == field.TYPE_STRING:
                texts += values
            elif field.message_type:
                parts += values
    return all(isinstance(text, str) for text in texts) and all(map(_texts_are_text, parts))


def structure_problem(
    model: onnx.ModelProto, interface: Interface, input_shape: tuple[int, ...]
) -> str | None:
    """A sentence on the first thing that a file from this engine never contains, or None; its
    input and output are those of ``interface``, for inputs of ``input_shape``.

    Looks for whatever could make a reader open other files or run unverifiable code: external
    data, functions, nested graphs, operators outside the ONNX standard.
    """
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            return (
                f"The values of {tensor.name!r} are in another file, which was not opened; only "
                "single files can be verified."
            )
    if model.functions:
        return "The file defines its own functions, which this engine never writes."
    for node in model.graph.node:
        if node.domain not in {"", "ai.onnx"}:
            return f"The operator {node.domain}.{node.op_type} is not in the ONNX standard."
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            return (
                f"The operator {node.op_type} contains a nested graph, which this engine never "
                "writes."
            )
    own, other = interface.input, interface.output
    outputs = [value.name for value in model.graph.output]
    found = other in outputs if interface != Interface() else outputs == [other]
    if [value.name for value in inputs_of(model.graph)] != [own] or not found:
        return f"The file must have exactly one input {own!r} and one output {other!r}."
    if not takes(model, interface, input_shape):
        shape = "×".join(map(str, input_shape))
        return f"The input of the file is not the exported one: batches of {shape}."
    return None


def takes(model: onnx.ModelProto, interface: Interface, input_shape: tuple[int, ...]) -> bool:
    """Whether the input of ``model`` is declared for batches of that size and inputs of that shape,
    which a user's own graph may leave open."""
    kind = inputs_of(model.graph)[0].type.tensor_type
    own = interface != Interface()
    if own and not kind.HasField("shape"):
        return True
    batch, *rest = kind.shape.dim or [None]
    if batch is None or len(rest) != len(input_shape):
        return False
    if batch.HasField("dim_value") and batch.dim_value != interface.batch:
        return False
    declared = [dim.dim_value for dim in rest]
    free = 0 if own else None
    return all(found in (wanted, free) for found, wanted in zip(declared, input_shape, strict=True))


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """What has to be fed: older formats list the weights among the inputs, too."""
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {sparse.values.name for sparse in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in stored]


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for nested in (attribute.g, *attribute.graphs):
                yield from _tensors(nested)
