"""Opening an ONNX file without trusting it, and without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from prospr_engine.errors import ExportError
from prospr_engine.guard import limits

PROTOBUF_LIMIT = limits.ONNX_BYTES.value
"""Bytes of the largest message that protobuf, and so a single ONNX file, can hold."""

INPUT = "input"
OUTPUT = "logits"


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
            raise ExportError(f"{path} is larger than the 2 GiB that an ONNX file can hold.")
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}.") from None


def parse(data: bytes, path: str | Path) -> onnx.ModelProto:
    """``data`` as an ONNX model; nothing that it may refer to is opened."""
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        raise ExportError(f"{path} is not an ONNX file, or is cut off.") from None
    if not model.ir_version or not model.graph.node:
        raise ExportError(f"{path} is not an ONNX file, or is cut off: it holds no operators.")
    return model


def structure_problem(model: onnx.ModelProto) -> str | None:
    """A sentence on the first thing that a file of this engine never holds, or None.

    Looks for what could make a reader open other files or run what cannot be judged: external
    data, functions, nested graphs, operators outside the ONNX standard.
    """
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            return (
                f"The values of {tensor.name!r} lie in another file, which was not opened; only "
                "single files can be verified."
            )
    if model.functions:
        return "The file defines functions of its own, which this engine never writes."
    for node in model.graph.node:
        if node.domain not in {"", "ai.onnx"}:
            return f"The operator {node.domain}.{node.op_type} is not in the ONNX standard."
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            return (
                f"The operator {node.op_type} holds a graph of its own, which this engine never "
                "writes."
            )
    names = [value.name for value in model.graph.input], [v.name for v in model.graph.output]
    if names != ([INPUT], [OUTPUT]):
        return f"The file must have one input {INPUT!r} and one output {OUTPUT!r}, and has others."
    return None


def input_shape(model: onnx.ModelProto) -> tuple[int, ...] | None:
    """Shape of one input without the batch axis; None unless only the batch size is open."""
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
