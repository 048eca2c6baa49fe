"""Evaluates the nodes of a graph that depend on constants alone.

Exporters leave such nodes behind, quantised and compact files rest on them. What only moves or
converts a weight leaves it a weight with the same home; anything else makes a new value, which the
file can only take back as an initialiser in the place of the node.

Before a node is evaluated, its result's size is worked out from the inputs: a file of a hundred
bytes can ask for a tensor of terabytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import (
    FLOATS,
    MOST_ELEMENTS,
    Constant,
    Graph,
    Node,
    from_array,
)
from prospr_engine.models.imports.onnx.homes import Array, Change, Home, Reshaped, Transposed

MOST_IN_ALL = 2**29
"""Elements of all results together: two gigabytes of float32."""

MOVING = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "CastLike")
"""What leaves a weight a weight."""

BY_ELEMENT = (
    "Abs", "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "Ceil", "Clip", "Cos",
    "DequantizeLinear", "Div", "Equal", "Erf", "Exp", "Floor", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "QuantizeLinear",
    "Reciprocal", "Round", "Sigmoid", "Sign", "Sin", "Sqrt", "Sub", "Sum", "Tanh", "Where", "Xor",
)  # fmt: skip
"""What has as many results as the inputs have, spread over each other."""

NO_LARGER = (
    "Concat", "CumSum", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "ReduceSumSquare", "ScatterElements", "ScatterND", "Shape", "Size",
    "Slice", "Split", "Trilu",
)  # fmt: skip
"""What has no more results than all inputs together have values."""


def fold(graph: Graph) -> Graph:
    """``graph`` without the nodes that depend on constants alone; their results are constants.

    Raises ``ModelError`` for one that cannot be evaluated, or whose result would be too large.
    """
    constants, kept = dict(graph.constants), []
    used = _used(graph.nodes, graph)
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    budget = MOST_IN_ALL
    for node in graph.nodes:
        if node.domain:
            kept.append(node)
            continue
        if node.operator == "Constant":
            constants[node.outputs[0]] = _literal(node)
            continue
        like = node.inputs[1] if node.operator == "CastLike" else ""
        if like and like not in constants and node.inputs[0] in constants:
            first = constants[node.inputs[0]]
            if first.is_float:  # like an activation, which is real as well
                constants[node.outputs[0]] = first
                continue
        inputs = [constants.get(name) for name in node.inputs if name]
        size = None
        if None not in inputs:
            size = _size(node, [constants[name].values if name else None for name in node.inputs])
        if size is None:
            kept.append(node)
            continue
        budget -= size
        if size > MOST_ELEMENTS or budget < 0:
            raise ModelError(
                f"{node} makes a constant of {size:,} values out of smaller ones; at most "
                f"{MOST_ELEMENTS:,}, and {MOST_IN_ALL:,} in all, are taken. Export the network "
                "with its weights as plain initialisers."
            )
        # The reference has no statistics of a batch, which older files ask for and do not use.
        last = max((place for place, name in enumerate(node.outputs) if name in used), default=0)
        results = _results(replace(node, outputs=node.outputs[: last + 1]), constants, readers)
        for name, value in zip(node.outputs, results, strict=False):
            if name in used:
                constants[name] = value
    used = _used(kept, graph)
    constants = {name: value for name, value in constants.items() if name in used}
    return replace(graph, nodes=kept, constants=constants)


def _used(nodes: Sequence[Node], graph: Graph) -> set[str]:
    inputs = {name for node in nodes for name in node.inputs}
    return inputs | {output.name for output in graph.outputs}


def _literal(node: Node) -> Constant:
    """What a Constant node holds."""
    name = node.outputs[0]
    for kind, value in node.attributes.items():
        if kind == "value":
            return Constant(value.values, value.home)
        dtype = np.float32 if "float" in kind else np.int64
        if kind.startswith(("value_float", "value_int")):
            values = np.array(value, dtype)
            return Constant(values, Home(name, values.shape))
    raise ModelError(f"{node} holds no number; export the model again.")


def _results(
    node: Node, constants: Mapping[str, Constant], readers: Mapping[str, int]
) -> list[Constant]:
    first = constants.get(node.inputs[0]) if node.inputs else None
    names = [name for name in node.inputs if name]
    values = _evaluate(node, {name: constants[name].values for name in names})
    # What is computed for this node alone is better replaced after it. Of a tensor with several
    # readers Identity makes another one: exporters store weights once that are equal at first.
    alone = not node.inputs or readers[node.inputs[0]] == 1
    keeps = first is not None and (not alone if first.home.computed else True)
    keeps = keeps and (alone or node.operator != "Identity")
    if first is not None and keeps and first.is_float and values[0].dtype.kind in "fV":
        change = _change(node, first.values, values[0])
        if change is not None:
            made = values[0].astype(np.float32)
            return [Constant(made, first.home.after(*change))]
    return [
        Constant(_as_float32(value), Home(name, value.shape, computed=True))
        for name, value in zip(node.outputs, values, strict=False)
    ]


def _as_float32(value: Array) -> Array:
    return from_array(value, Home("", value.shape)).values


def _change(node: Node, before: Array, after: Array) -> list[Change] | None:
    """What a node did to a weight that stays one; None if it made another value."""
    if node.operator == "Transpose":
        order = node.get("perm", [*range(before.ndim)][::-1])
        return [Transposed(tuple(order))]
    if node.operator in ("Identity", "Cast", "CastLike"):
        return []
    if node.operator in MOVING or (node.operator == "Expand" and before.size == after.size):
        return [Reshaped(before.shape, after.shape)]
    return None


def _evaluate(node: Node, inputs: dict[str, Array]) -> list[Array]:
    """The outputs of ``node``, by ONNX's reference implementation."""
    values = [helper.make_tensor_value_info(name, 0, None) for name in inputs]
    results = [helper.make_tensor_value_info(name, 0, None) for name in node.outputs if name]
    attributes = {
        name: _proto(value) if isinstance(value, Constant) else value
        for name, value in node.attributes.items()
    }
    if node.operator == "Cast" and attributes.get("to") in FLOATS:
        attributes["to"] = FLOATS[0]  # rounding to fewer digits serves the file, not the network
    single = helper.make_node(node.operator, node.inputs, node.outputs, **attributes)
    # The reference has no older versions of these, which say the same.
    quantised = node.operator in ("DequantizeLinear", "QuantizeLinear")
    opsets = [helper.make_opsetid("", max(node.opset, 21) if quantised else node.opset)]
    model = helper.make_model(
        helper.make_graph([single], "constants", values, results), opset_imports=opsets
    )
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, inputs)
    except MemoryError:
        raise
    except Exception as error:
        raise ModelError(
            f"{node} cannot be evaluated, though it depends on constants alone ({error}); export "
            "the model again, or simplify it with onnxslim."
        ) from error
    return [np.asarray(value) for value in found]


def _proto(value: Constant) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(value.values)


def _size(node: Node, inputs: Sequence[Array | None]) -> int | None:
    """The number of elements that the node's outputs have together, at most; None if it is not to
    be evaluated here."""
    operator, given = node.operator, [value for value in inputs if value is not None]
    if operator in MOVING or operator in NO_LARGER:
        return sum(value.size for value in given)
    try:
        if operator in BY_ELEMENT:
            shapes = [value.shape for value in given]
            if operator.endswith("zeLinear"):
                shapes = shapes[:1]
            return math.prod(np.broadcast_shapes(*shapes))
        estimate = _SIZES.get(operator)
        return None if estimate is None else estimate(node, [*inputs, None, None])
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ModelError(f"{node} has inputs that do not fit together ({error}).") from error


def _range_size(node: Node, inputs: Sequence[Any]) -> int:
    start, stop, step = (value.item() for value in inputs[:3])
    return max(0, math.ceil((stop - start) / step)) if step else 0


def _gather_size(node: Node, inputs: Sequence[Any]) -> int:
    data, indices = inputs[:2]
    return int(data.size // max(1, data.shape[node.get("axis", 0)]) * indices.size)


def _gather_nd_size(node: Node, inputs: Sequence[Any]) -> int:
    data, indices = inputs[:2]
    depth = indices.shape[-1] + node.get("batch_dims", 0)
    return int(indices.size // max(1, indices.shape[-1]) * math.prod(data.shape[depth:]))


def _pad_size(node: Node, inputs: Sequence[Any]) -> int:
    data, pads, axes = inputs[0], inputs[1], inputs[3]
    amounts = pads.tolist() if pads is not None else node.get("pads", [])
    which = axes.tolist() if axes is not None else range(data.ndim)
    shape = list(data.shape)
    for place, axis in enumerate(which):
        shape[axis] += max(0, amounts[place]) + max(0, amounts[place + len(amounts) // 2])
    return math.prod(shape)


def _expand_size(node: Node, inputs: Sequence[Any]) -> int | None:
    data, shape = inputs[0], inputs[1].tolist()
    size = math.prod(np.broadcast_shapes(data.shape, tuple(shape)))
    # A weight for each image of a fixed batch stays one weight, and is expanded at every pass.
    return None if data.dtype.kind == "f" and data.size not in (1, size) else size


def _matmul_size(node: Node, inputs: Sequence[Any]) -> int:
    left, right = inputs[:2]
    rows = left.shape[:-1]
    columns = right.shape[-1] if right.ndim > 1 else 1
    return math.prod(rows) * columns * math.prod(right.shape[:-2])


_SIZES: dict[str, Callable[[Node, Sequence[Any]], int | None]] = {
    # By it exporters standardise weights, whose statistics are those of the batch.
    "BatchNormalization": lambda node, inputs: 2 * inputs[0].size,
    "ConstantOfShape": lambda node, inputs: math.prod(inputs[0].tolist()),
    "Expand": _expand_size,
    "EyeLike": lambda node, inputs: inputs[0].size,
    "Gather": _gather_size,
    "GatherElements": lambda node, inputs: inputs[1].size,
    "GatherND": _gather_nd_size,
    "MatMul": _matmul_size,
    "OneHot": lambda node, inputs: inputs[0].size * int(inputs[1].reshape(-1)[0]),
    "Pad": _pad_size,
    "Range": _range_size,
    "Tile": lambda node, inputs: inputs[0].size * math.prod(inputs[1].tolist()),
}
"""How large the results of other operators are; what is missing here runs at every pass."""
