"""Open an ONNX file without trusting it, and without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

from prospr_engine.errors import ExportError
from prospr_engine.export.names import INPUT, OUTPUT
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


def structure_problem(model: onnx.ModelProto) -> str | None:
    """A sentence on the first thing that a file from this engine never contains, or None.

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
    names = [value.name for value in model.graph.input], [v.name for v in model.graph.output]
    if names != ([INPUT], [OUTPUT]):
        return f"The file must have exactly one input {INPUT!r} and one output {OUTPUT!r}."
    return None


def input_shape(model: onnx.ModelProto) -> tuple[int, ...] | None:
    """Shape of one input without the batch axis; None unless only the batch size is variable."""
    batch, *rest = model.graph.input[0].type.tensor_type.shape.dim or [None]
    if batch is None or batch.HasField("dim_value") or not all(d.dim_value > 0 for d in rest):
        return None
    return tuple(d.dim_value for d in rest)


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
