"""A graph without its weights, in few bytes: what is needed to build the network again.

It is an ONNX model of its own. Constants of more than a few real numbers have a shape but no
values; those that the file turns before it uses them come with the nodes that do so, so that
weights that are shared in two forms stay one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import onnx
from onnx import helper, numpy_helper

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Constant, Graph, Node
from prospr_engine.models.imports.onnx.homes import Change, Converted, Reshaped, Transposed

SMALL = 16
"""Values of a constant up to which they are kept: they may be settings."""
MOST_BYTES = 64_000_000
"""Of a skeleton, unpacked."""


def packed(graph: Graph) -> bytes:
    """``graph`` without its weights."""
    tensors: dict[str, onnx.TensorProto] = {}
    turning: list[onnx.NodeProto] = []
    for name, constant in graph.constants.items():
        changes = [each for each in constant.home.changes if not isinstance(each, Converted)]
        root = constant.home.name
        if name == root and not changes:
            tensors[name] = _tensor(name, constant)
            continue
        values = constant.values
        for change in reversed(changes):
            values = change.undo(values)
        tensors[root] = _tensor(root, Constant(values, constant.home))
        tensors |= _turned(root, name, changes, turning)
    shape: Sequence[int | str] = [n or f"axis_{i}" for i, n in enumerate(graph.input.shape)]
    own = helper.make_tensor_value_info(graph.input.name, onnx.TensorProto.FLOAT, shape)
    output = graph.outputs[0]
    result = helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, output.shape)
    nodes = [*turning, *(_node(node) for node in graph.nodes)]
    made = helper.make_graph(nodes, "skeleton", [own], [result], list(tensors.values()))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", graph.opset)])
    return zlib.compress(model.SerializeToString(deterministic=True), 9)


def unpacked(skeleton: bytes) -> onnx.ModelProto:
    """The model that ``packed`` made. Raises ``ModelError`` if it is none."""
    broken = "This is no skeleton of an imported network; import the ONNX file again."
    unpacker = zlib.decompressobj()
    try:
        model = onnx.ModelProto.FromString(unpacker.decompress(skeleton, MOST_BYTES))
    except Exception as error:  # whatever protobuf may raise
        raise ModelError(broken) from error
    if unpacker.unconsumed_tail or not model.graph.node:
        raise ModelError(broken)
    return model


def _turned(
    source: str, name: str, changes: Sequence[Change], nodes: list[onnx.NodeProto]
) -> dict[str, onnx.TensorProto]:
    """Adds the nodes that make ``name`` of ``source``; the further tensors that they need."""
    if not changes:
        nodes.append(helper.make_node("Identity", [source], [name]))
    tensors = {}
    for number, change in enumerate(changes):
        made = name if number == len(changes) - 1 else f"{name}:{number}"
        if isinstance(change, Transposed):
            nodes.append(helper.make_node("Transpose", [source], [made], perm=change.order))
        elif isinstance(change, Reshaped):
            target = f"{made}:shape"
            tensors[target] = helper.make_tensor(
                target, onnx.TensorProto.INT64, [len(change.after)], change.after
            )
            nodes.append(helper.make_node("Reshape", [source, target], [made]))
        source = made
    return tensors


def _node(node: Node) -> onnx.NodeProto:
    attributes = {
        name: _tensor("", value) if isinstance(value, Constant) else value
        for name, value in node.attributes.items()
    }
    return helper.make_node(node.operator, node.inputs, node.outputs, node.name, **attributes)


def _tensor(name: str, constant: Constant) -> onnx.TensorProto:
    if constant.is_float and constant.values.size > SMALL:
        return onnx.TensorProto(name=name, dims=constant.shape, data_type=onnx.TensorProto.FLOAT)
    return numpy_helper.from_array(constant.values, name)
