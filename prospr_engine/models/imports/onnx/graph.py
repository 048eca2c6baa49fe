"""An ONNX model as plain data: nodes, constants, one input, outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.homes import Array, Converted, Home

OLDEST = 7
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
STANDARD = ("", "ai.onnx")
MOST_ELEMENTS = 2**28
"""Of a constant: a gigabyte of float32."""


@dataclass(frozen=True, eq=False)
class Node:
    """An operator at work. ``attributes`` are plain Python values and arrays; an absent input is
    the empty string."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int
    domain: str = ""

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def with_attributes(self, **attributes: Any) -> Node:
        return replace(self, attributes={**self.attributes, **attributes})

    def __str__(self) -> str:
        """How messages call it: by its name, or else by what it makes."""
        domain = f"{self.domain}::" * bool(self.domain)
        called = self.name or (self.outputs[0] if self.outputs else "")
        return f"{domain}{self.operator} (node {called!r})"


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor of the file; real numbers are float32, whatever their format there. In a skeleton
    large ones are zero."""

    values: Array
    home: Home

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def is_float(self) -> bool:
        return bool(self.values.dtype.kind == "f")


@dataclass(frozen=True)
class Input:
    """The network's input: its name, and its axes with None for those that are free."""

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Output:
    """One of the file's outputs. ``is_real`` if it is, or may be, a tensor of real numbers; its
    declared ``shape``, None where the file does not say."""

    name: str
    is_real: bool = True
    shape: tuple[int | None, ...] | None = None


@dataclass(frozen=True)
class Graph:
    """``nodes`` in an order in which they can run."""

    nodes: Sequence[Node]
    constants: Mapping[str, Constant]
    input: Input
    outputs: Sequence[Output]
    opset: int


def read(model: onnx.ModelProto, skeleton: bool = False) -> Graph:
    """The graph of ``model``; in a ``skeleton`` tensors may lack their values, which then are 0.

    Raises ``ModelError`` if it is no network of standard operators with one input of real numbers.
    """
    opset = _opset(model)
    if model.functions:
        raise ModelError(
            f"The file defines functions of its own ({model.functions[0].name}); export it with a "
            "current version of PyTorch, or replace them with onnx.inliner.inline_local_functions."
        )
    graph = model.graph
    constants: dict[str, Constant] = {}
    for tensor in graph.initializer:
        constants[tensor.name] = constant(tensor, tensor.name, skeleton)
    for sparse in graph.sparse_initializer:
        constants[sparse.values.name] = _dense(sparse)
    nodes = [_node(node, opset) for node in graph.node]
    own = _input(graph, constants)
    outputs = [_output(value) for value in graph.output]
    if not outputs:
        raise ModelError("The file has no output; export it again.")
    return Graph(_in_order(nodes, {own.name, *constants}), constants, own, outputs, opset)


def constant(tensor: onnx.TensorProto, name: str, skeleton: bool = False) -> Constant:
    """A tensor of the file under ``name``. Raises ``ModelError`` if its bytes do not make one."""
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ModelError(
            f"The weight {name!r} lies in another file; save the model as one file, with "
            "onnx.save_model(model, path, save_as_external_data=False)."
        )
    size = _size(tensor.dims, name)
    if skeleton and size and not any(len(getattr(tensor, field)) for field in _FIELDS):
        values = np.zeros(tuple(tensor.dims), np.float32)
    else:
        try:
            values = np.array(numpy_helper.to_array(tensor))
        except Exception as error:
            raise ModelError(
                f"The tensor {name!r} cannot be read ({error}); export the model again."
            ) from error
        if values.dtype.kind in "OUS":
            raise ModelError(f"The tensor {name!r} holds text, with which no network computes.")
    return from_array(values, Home(name, values.shape))


_FIELDS = ("raw_data", "float_data", "int32_data", "double_data", "int64_data", "uint64_data")


def from_array(values: Array, home: Home) -> Constant:
    """A constant with ``values``, which lie at ``home``. Real numbers become float32."""
    if values.dtype.kind in "fV" and values.dtype != np.float32:  # V: bfloat16, of ml_dtypes
        home = home.after(Converted(values.dtype, np.dtype(np.float32)))
        values = values.astype(np.float32)
    return Constant(values, home)


def _size(dims: Any, name: str) -> int:
    size = 1
    for dim in dims:
        if dim < 0:
            raise ModelError(f"The tensor {name!r} has a negative size; export the model again.")
        size *= dim
    if size > MOST_ELEMENTS:
        raise ModelError(
            f"The tensor {name!r} has {size:,} values; at most {MOST_ELEMENTS:,} are taken."
        )
    return size


def _dense(sparse: onnx.SparseTensorProto) -> Constant:
    """A sparse initialiser, made dense. It can only be replaced."""
    name = sparse.values.name
    size = _size(sparse.dims, name)
    values, indices = constant(sparse.values, name).values, numpy_helper.to_array(sparse.indices)
    shape = tuple(sparse.dims)
    try:
        if indices.ndim == 2:
            indices = np.ravel_multi_index(tuple(indices.T), shape)
        dense = np.zeros(size, values.dtype)
        dense[indices] = values.reshape(-1)
    except (ValueError, IndexError) as error:
        raise ModelError(f"The sparse tensor {name!r} cannot be read ({error}).") from error
    return Constant(dense.reshape(shape), Home(name, shape, computed=True))


def _opset(model: onnx.ModelProto) -> int:
    versions = [each.version for each in model.opset_import if each.domain in STANDARD]
    newest = onnx.defs.onnx_opset_version()
    if not versions or not OLDEST <= versions[0] <= newest:
        found = f"version {versions[0]}" if versions else "no version"
        raise ModelError(
            f"The file uses {found} of ONNX's operators; versions {OLDEST} to {newest} are read. "
            "Export it again, or convert it with onnx.version_converter."
        )
    return int(versions[0])


def _node(node: onnx.NodeProto, opset: int) -> Node:
    attributes: dict[str, Any] = {}
    domain = "" if node.domain in STANDARD else node.domain
    made = Node(
        node.op_type, node.name, tuple(node.input), tuple(node.output), attributes, opset, domain
    )
    for attribute in node.attribute:
        if attribute.ref_attr_name or attribute.HasField("g") or attribute.graphs:
            raise ModelError(
                f"{made} decides while it runs what is computed (control flow); export the network "
                "for a fixed path, in eval mode and without loops or branches over its input."
            )
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, TensorProto):
            name = node.output[0] if node.output else node.name
            value = constant(value, name)
        elif not isinstance(value, int | float | str):
            value = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]
        attributes[attribute.name] = value
    return made


def _input(graph: onnx.GraphProto, constants: Mapping[str, Constant]) -> Input:
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs[:5])
        raise ModelError(
            f"The file has {len(inputs)} inputs{f' ({names})' if names else ''}; a network is "
            "needed that takes images alone. Make the others constants before you export it."
        )
    own = inputs[0]
    kind = own.type.tensor_type
    if kind.elem_type not in FLOATS and kind.elem_type != TensorProto.UINT8:
        raise ModelError(
            f"The input {own.name!r} does not hold real numbers, so it is no image; a network "
            "that takes images of float32 is needed."
        )
    if not kind.HasField("shape"):
        return Input(own.name, (None, None, None, None))
    return Input(own.name, _dims(kind.shape))


def _dims(shape: onnx.TensorShapeProto) -> tuple[int | None, ...]:
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in shape.dim)


def _output(value: onnx.ValueInfoProto) -> Output:
    kind = value.type.WhichOneof("value")
    if kind is None:
        return Output(value.name)
    of = value.type.tensor_type
    is_real = kind == "tensor_type" and of.elem_type in (0, *FLOATS)
    return Output(value.name, is_real, _dims(of.shape) if of.HasField("shape") else None)


def _in_order(nodes: list[Node], known: set[str]) -> list[Node]:
    """The file's order, which the format prescribes. Raises ``ModelError`` if it is another."""
    known = {"", *known}
    for node in nodes:
        missing = [name for name in node.inputs if name not in known]
        if missing:
            raise ModelError(f"{node} reads {missing[0]!r}, which nothing before it makes.")
        known.update(node.outputs)
    return nodes
