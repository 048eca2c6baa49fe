"""Write trained values into a user's own graph: names, inputs, outputs, metadata and opset stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from prospr_engine.errors import ExportError

Values = np.ndarray[Any, np.dtype[Any]]

LISTS = ("float_data", "double_data", "int32_data", "int64_data", "uint64_data")


def put(
    model: onnx.ModelProto,
    values: Mapping[str, Values],
    computed: Collection[str],
    resized: tuple[int, int] | None = None,
) -> None:
    """Change the tensors of ``model`` to ``values``, by name: initialisers, or what ``Constant``
    nodes make. What is ``computed`` from constants by other nodes becomes an initialiser of the
    same name, and these nodes go. A tensor with the very same values stays as it is, byte by byte.
    ``resized``: the graph has so many classes, and the values are for so many; tensors may then
    differ in that axis, and the output is declared so.

    Raises ``ExportError`` if there is no such tensor, or one of another shape or format.
    """
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    constants = {
        node.output[0]: node for node in graph.node if node.op_type == "Constant" and node.output
    }
    for name, wanted in values.items():
        if name in computed:
            _replace(graph, name, wanted)
        elif name in stored:
            _change(stored[name], wanted, name, resized)
        elif name in constants:
            _change_constant(constants[name], wanted, name, resized)
        else:
            raise ExportError(f"The graph has no tensor {name!r} for the trained values.")
    if computed:
        _drop_unused(graph)
    if resized:
        _declare(graph, *resized)


def constants_of(model: onnx.ModelProto) -> dict[str, Values]:
    """What the ``Constant`` nodes with a tensor make, by name. Raises ``ExportError`` if the values
    of one do not fit its shape."""
    found = {}
    for node in model.graph.node:
        if node.op_type != "Constant" or not node.output:
            continue
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.HasField("t"):
                try:
                    found[node.output[0]] = numpy_helper.to_array(attribute.t)
                except (ValueError, TypeError, KeyError, OverflowError):
                    raise ExportError(
                        f"The values of the tensor {node.output[0]!r} do not fit its shape."
                    ) from None
    return found


def differs_by(now: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, int] | None:
    """The lengths of the one axis in which the shapes differ; None if they do otherwise."""
    pairs = {pair for pair in zip(now, wanted, strict=False) if pair[0] != pair[1]}
    unequal = sum(a != b for a, b in zip(now, wanted, strict=False))
    return pairs.pop() if len(now) == len(wanted) and unequal == 1 else None


def _declare(graph: onnx.GraphProto, before: int, after: int) -> None:
    """Say that the output has ``after`` classes, and nothing of values between that had
    ``before``."""
    for value in graph.output:
        for dim in value.type.tensor_type.shape.dim[1:]:
            if dim.dim_value == before:
                dim.dim_value = after
    for value in [*graph.value_info]:
        if any(dim.dim_value == before for dim in value.type.tensor_type.shape.dim):
            graph.value_info.remove(value)
    listed = {value.name: value for value in graph.input}
    for tensor in graph.initializer:
        if tensor.name in listed:
            shape = listed[tensor.name].type.tensor_type.shape
            for dim, length in zip(shape.dim, tensor.dims, strict=False):
                dim.dim_value = length


def _change(
    tensor: TensorProto, wanted: Values, name: str, resized: tuple[int, int] | None
) -> None:
    now = numpy_helper.to_array(tensor)
    fits = now.shape == wanted.shape
    if resized and not fits and differs_by(now.shape, wanted.shape) == resized:
        fits = True
        tensor.dims[:] = wanted.shape
    if not fits or now.dtype != wanted.dtype:
        raise ExportError(
            f"The tensor {name!r} of the graph is {now.dtype} of shape {now.shape}, and the "
            f"trained values are {wanted.dtype} of shape {wanted.shape}."
        )
    if now.tobytes() == wanted.tobytes():
        return
    filled = [field for field in LISTS if len(getattr(tensor, field))]
    for field in filled:
        tensor.ClearField(field)
    if filled == ["float_data"]:
        tensor.float_data.extend(wanted.reshape(-1).tolist())
    else:
        tensor.raw_data = numpy_helper.from_array(wanted).raw_data


def _change_constant(
    node: onnx.NodeProto, wanted: Values, name: str, resized: tuple[int, int] | None
) -> None:
    for attribute in node.attribute:
        if attribute.name == "value":
            return _change(attribute.t, wanted, name, resized)
        if attribute.name == "value_floats" and wanted.dtype == np.float32:
            attribute.floats[:] = wanted.reshape(-1).tolist()
            return None
        if attribute.name == "value_float" and wanted.dtype == np.float32:
            attribute.f = float(wanted)
            return None
    raise ExportError(f"The tensor {name!r} of the graph is in a form that cannot be changed.")


def _replace(graph: onnx.GraphProto, name: str, wanted: Values) -> None:
    """Make ``name`` an initialiser, whatever made it before."""
    for sparse in graph.sparse_initializer:
        if sparse.values.name == name:
            graph.sparse_initializer.remove(sparse)
            break
    for node in graph.node:
        if name in node.output:
            if len(node.output) > 1:
                raise ExportError(f"The node that makes {name!r} makes other values, too.")
            graph.node.remove(node)
            break
    graph.initializer.append(numpy_helper.from_array(wanted, name))


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Drop the constants that led to a value that is an initialiser now, and the nodes between."""
    kept = {value.name for value in graph.output}
    while True:
        used = Counter(name for node in graph.node for name in node.input)
        idle = [
            node
            for node in graph.node
            if not any(used[name] or name in kept for name in node.output)
        ]
        if not idle:
            break
        for node in idle:
            graph.node.remove(node)
    listed = {value.name for value in graph.input}
    for tensor in [*graph.initializer]:
        if not used[tensor.name] and tensor.name not in kept | listed:
            graph.initializer.remove(tensor)
