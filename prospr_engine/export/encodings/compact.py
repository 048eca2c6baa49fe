"""The compact encodings: tensors in less space, which standard operators unpack on loading.

Every tensor is stored in the smallest of three ways: whole; as the values that are not zero and
a bit for every place (``_with_bits``); or as these and the gaps between them (``_with_gaps``).
Nodes with constant inputs put it together again, under the tensor's own name. Runtimes evaluate
them once, so the network is as fast as with dense weights. The nodes never ask for the places of
nonzero values (NonZero): ONNX Runtime would do that on every call, and OpenVINO not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from prospr_engine.errors import ExportError
from prospr_engine.export.encodings.dense import decode as stored_tensors
from prospr_engine.export.encodings.gaps import gap_coded

UNPACK = "unpack"
"""How the names of the nodes start that put a tensor together."""
MOST_VALUES = 2**28
"""ONNX Runtime evaluates no more than 1 GiB beforehand: a larger tensor stays as it is."""
POWERS = (1, 2, 4, 8, 16, 32, 64, 128)

Values = np.ndarray[Any, np.dtype[Any]]


def encode(model: onnx.ModelProto, masks: Mapping[str, Values]) -> onnx.ModelProto:
    """The packed model, its weights as they are. Its zeros decide, not the masks."""
    return pack(model)


def encode_half(model: onnx.ModelProto, masks: Mapping[str, Values]) -> onnx.ModelProto:
    """The packed model, its weights rounded to 16 bits."""
    return pack(model, np.float16)


def pack(model: onnx.ModelProto, number: type[np.floating[Any]] = np.float32) -> onnx.ModelProto:
    """Store every float32 tensor of ``model`` in the smallest way, its values as ``number``; one
    with values that ``number`` cannot hold stays as it is."""
    graph = model.graph
    mark = _unused_mark(graph)
    constants: dict[str, onnx.TensorProto] = {}
    tensors, nodes = [], []
    for place, tensor in enumerate(graph.initializer):
        stored = _Packing(tensor.name, f"{mark}{place}", constants)
        stored.tensors.append(tensor)
        if tensor.data_type == TensorProto.FLOAT and 0 < np.prod(tensor.dims) <= MOST_VALUES:
            packed = _Packing(tensor.name, f"{mark}{place}", constants)
            _pack(packed, numpy_helper.to_array(tensor), number)
            stored = min(stored, packed, key=_Packing.size)
        tensors += stored.tensors
        nodes += stored.nodes
    used = {name for node in nodes for name in node.input}
    tensors += [tensor for name, tensor in constants.items() if name in used]
    for field, content in (("initializer", tensors), ("node", [*nodes, *graph.node])):
        graph.ClearField(field)
        getattr(graph, field).extend(content)
    return model


def decode(model: onnx.ModelProto) -> dict[str, Values]:
    """The tensors of ``model`` by name, computed as a runtime does. Raises ``ExportError`` if that
    is not possible."""
    values = stored_tensors(model)
    parts = set()
    for node in model.graph.node:
        if not node.name.startswith(UNPACK):
            continue
        parts.update(node.input)
        name = node.output[0]
        try:
            values[name] = _compute(node, [values[each] for each in node.input])
        except (KeyError, IndexError, ValueError, TypeError, OverflowError) as error:
            raise ExportError(f"The tensor {name!r} cannot be unpacked: {error}.") from None
    return {name: tensor for name, tensor in values.items() if name not in parts}


class _Packing:
    """A way to store the tensor ``name``: other tensors, and nodes that put it together. Their
    names start with ``prefix``. ``constants`` are the tensors that all packings share."""

    def __init__(self, name: str, prefix: str, constants: dict[str, onnx.TensorProto]):
        self.name, self.prefix, self.constants = name, prefix, constants
        self.tensors: list[onnx.TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []

    def size(self) -> int:
        """Bytes in the file."""
        parts: list[onnx.TensorProto | onnx.NodeProto] = [*self.tensors, *self.nodes]
        return sum(part.ByteSize() for part in parts)

    def store(self, part: str, values: Values) -> str:
        """The name of a tensor of its own with these ``values``."""
        self.tensors.append(numpy_helper.from_array(values, f"{self.prefix}.{part}"))
        return self.tensors[-1].name

    def constant(self, values: int | Sequence[int], dtype: type[np.integer[Any]] = np.int64) -> str:
        """The name of a number or a list of them that all packings share."""
        listed = "x".join(map(str, [values] if isinstance(values, int) else ["", *values]))
        name = f"{self.prefix.rstrip('0123456789')}{np.dtype(dtype)}{listed}"
        self.constants[name] = numpy_helper.from_array(np.array(values, dtype), name)
        return name

    def compute(self, operator: str, *inputs: str, last: bool = False, **attributes: Any) -> str:
        """The name of a node's result: the tensor itself, if it is the ``last``."""
        name = f"{self.prefix}.{len(self.nodes)}"
        result = self.name if last else name
        self.nodes.append(
            helper.make_node(operator, inputs, [result], f"{UNPACK}{name}", **attributes)
        )
        return result

    def floats(self, values: Values) -> str:
        """The name of float32 values that are stored as ``values``."""
        stored = self.store("values", values)
        if values.dtype == np.float32:
            return stored
        return self.compute("Cast", stored, to=TensorProto.FLOAT)

    def shaped(self, flat: str, values: Values) -> None:
        """The ``flat`` tensor in the shape of ``values``."""
        self.compute("Reshape", flat, self.constant(values.shape), last=True)

    def bits(self, values: Values) -> str:
        """The name of these truth ``values`` as one axis of zeros and ones, stored as bits."""
        flat = values.reshape(-1)
        packed = self.store("bits", np.packbits(flat, bitorder="little")[:, None])
        masked = self.compute("BitwiseAnd", packed, self.constant(POWERS, np.uint8))
        as_bool = self.compute("Cast", masked, to=TensorProto.BOOL)
        as_int = self.compute("Cast", as_bool, to=TensorProto.INT32)
        line = self.compute("Reshape", as_int, self.constant([-1]))
        return self.compute("Slice", line, self.constant([0]), self.constant([len(flat)]))


def _pack(packing: _Packing, values: Values, number: type[np.floating[Any]]) -> None:
    """Store ``values`` in the way that takes the fewest bytes, besides those of the nodes."""
    flat = values.reshape(-1)
    with np.errstate(over="ignore"):
        stored = flat.astype(number)
    kept = (stored != 0) | np.signbit(stored)  # all but +0
    gaps, at, width = gap_coded(np.flatnonzero(kept), stored.itemsize)
    whole = stored.itemsize * len(flat)
    with_bits = stored.itemsize * int(kept.sum()) + len(flat) / 8
    with_gaps = (stored.itemsize + width / 8) * len(gaps)
    if not np.isfinite(stored).all():
        packing.tensors.append(numpy_helper.from_array(values, packing.name))
    elif whole <= min(with_bits, with_gaps):
        packing.shaped(packing.floats(stored), values)
    elif with_bits <= with_gaps:
        packing.shaped(_with_bits(packing, stored, kept), values)
    else:
        filled = np.zeros(len(gaps), number)
        filled[at] = stored[kept]
        packing.shaped(_with_gaps(packing, len(flat), gaps, width, filled), values)


def _with_bits(packing: _Packing, stored: Values, kept: Values) -> str:
    """A bit per value; where it is set, the running count of set bits says which of the ``kept``
    values belongs there. The first of these, a zero, belongs where it is not set."""
    places = packing.bits(kept)
    counted = packing.compute("CumSum", places, packing.constant(0))
    index = packing.compute("Mul", counted, places)
    zero = np.zeros(1, stored.dtype)
    return packing.compute(
        "Gather", packing.floats(np.concatenate([zero, stored[kept]])), index, axis=0
    )


def _with_gaps(packing: _Packing, length: int, gaps: Values, width: int, filled: Values) -> str:
    """The distance of each of the values from the one before, the first from the start."""
    zero = numpy_helper.from_array(np.zeros(1, np.float32))
    empty = packing.compute("ConstantOfShape", packing.constant([length]), value=zero)
    if not len(gaps):
        return empty
    digits = np.unpackbits(gaps.astype("<u2").view(np.uint8).reshape(-1, 2), 1, bitorder="little")
    table = packing.compute(
        "Reshape", packing.bits(digits[:, :width]), packing.constant([-1, width])
    )
    powers = packing.constant([1 << bit for bit in range(width)], np.int32)
    weighted = packing.compute("Mul", table, powers)
    steps = packing.compute("ReduceSum", weighted, packing.constant([1]), keepdims=0)
    places = packing.compute("CumSum", steps, packing.constant(0))
    return packing.compute("ScatterElements", empty, places, packing.floats(filled), axis=0)


def _compute(node: onnx.NodeProto, inputs: Sequence[Values]) -> Values:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    result = _OPERATORS[node.op_type](*inputs, **attributes)
    if result.size > MOST_VALUES:
        raise ValueError(f"it has {result.size:,} values")
    return result


def _constant(shape: Values, value: onnx.TensorProto) -> Values:
    if np.prod(shape.astype(float)) > MOST_VALUES:
        raise ValueError("it is too large")
    return np.full(shape, numpy_helper.to_array(value)[0])


def _scatter(data: Values, indices: Values, updates: Values, axis: int) -> Values:
    result = data.copy()
    np.put_along_axis(result, indices, updates, axis)
    return result


_OPERATORS: dict[str, Callable[..., Values]] = {
    "BitwiseAnd": np.bitwise_and,
    "Cast": lambda values, to: values.astype(helper.tensor_dtype_to_np_dtype(to)),
    "ConstantOfShape": _constant,
    "CumSum": lambda values, axis: values.cumsum(int(axis), values.dtype),
    "Gather": lambda values, indices, axis: values.take(indices, axis),
    "Mul": np.multiply,
    "Reshape": lambda values, shape: values.reshape(shape),
    "ReduceSum": lambda values, axes, keepdims: values.sum(int(axes[0]), values.dtype),
    "ScatterElements": _scatter,
    "Slice": lambda values, start, end: values[int(start[0]) : int(end[0])],
}
"""The operators of ``_Packing``, as the ONNX standard defines them for such inputs."""


def _unused_mark(graph: onnx.GraphProto) -> str:
    """What separates names from what they stand for, and is in none of them."""
    names = [tensor.name for tensor in graph.initializer]
    names += [name for node in graph.node for name in (node.name, *node.input, *node.output)]
    mark = ":"
    while any(mark in name for name in names):
        mark += ":"
    return mark
