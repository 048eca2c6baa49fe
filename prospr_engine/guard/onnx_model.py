"""An ONNX file from a stranger, checked before anything in it is computed.

Only what a network for images needs may be in it: one graph of standard operators, and tensors of
numbers that are as large as they say. Reading the file takes memory, too: do it in a ``sandbox``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, TensorProto

from prospr_engine.errors import ModelError
from prospr_engine.format import brief, counted, listed, megabytes
from prospr_engine.guard import limits

OLDEST = 9
"""The first opset that is read; PyTorch has written no earlier one since 2019."""
NEWEST = onnx.defs.onnx_opset_version()
STANDARD = ("", "ai.onnx")
"""The names of the standard's own domain."""
WIDTHS: dict[int, int] = {
    TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2,
    TensorProto.INT64: 8, TensorProto.INT32: 4, TensorProto.INT16: 2, TensorProto.INT8: 1,
    TensorProto.UINT64: 8, TensorProto.UINT32: 4, TensorProto.UINT16: 2, TensorProto.UINT8: 1,
    TensorProto.BOOL: 1,
}  # fmt: skip
"""Bytes of a number of each type that may be stored."""
FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT64: "uint64_data",
    TensorProto.UINT32: "uint64_data",
}
"""Where numbers are that are not stored as bytes; in ``int32_data`` for other types."""
LISTS = ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data",
         "string_data")  # fmt: skip
AGAIN = "Export the network again."


def check(data: bytes, name: str) -> onnx.ModelProto:
    """The model in ``data``, the content of the file ``name``, without fields that this version of
    ONNX does not know. Raises ``ModelError`` for what is no ONNX file, is damaged, or contains what
    could make a reader open other files, run for ever or exhaust memory."""
    if len(data) > limits.IMPORTED_BYTES.value:
        raise ModelError(
            f"{name} has {megabytes(len(data))}; an ONNX file may have at most "
            f"{megabytes(limits.IMPORTED_BYTES.value)}. Give a smaller network."
        )
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        raise ModelError(f"{name} is not an ONNX file, or is cut off. {AGAIN}") from None
    model.DiscardUnknownFields()  # whoever opens the file next may know them
    if not model.ir_version or not model.graph.node:
        raise ModelError(f"{name} contains no network: it has no operators. {AGAIN}")
    _check_model(model, name)
    _check_tensors(model.graph, name)
    _check_nodes(model.graph, name)
    _check_names(model.graph, name)
    _check_input(model.graph, name)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "")[:300].rstrip(".")
        raise _damaged(name, f"ONNX's own checker says: {reason}") from None
    return model


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """What has to be fed: older exporters list the weights among the inputs, too."""
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {sparse.values.name for sparse in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in stored]


def _check_model(model: onnx.ModelProto, name: str) -> None:
    if model.ir_version > onnx.IR_VERSION:
        raise ModelError(
            f"{name} is written in version {model.ir_version} of the format, which is newer than "
            f"this software knows ({onnx.IR_VERSION}). Export it with an earlier version of onnx."
        )
    if model.functions:
        raise ModelError(
            f"{name} defines functions of its own, which are not opened: a few of them inside each "
            "other can stand for any number of operators. Write them out with "
            "onnx.inliner.inline_local_functions(model), or export with PyTorch 2.5 or later."
        )
    if model.training_info:
        raise ModelError(
            f"{name} contains instructions for training. Export the network for inference."
        )
    versions = [each.version for each in model.opset_import if each.domain in STANDARD]
    if len(versions) != 1:
        raise _damaged(name, f"it names {len(versions)} versions of ONNX's operators")
    if versions[0] < OLDEST:
        raise ModelError(
            f"{name} uses opset {versions[0]}; opsets from {OLDEST} on can be read. Convert it "
            f"with onnx.version_converter.convert_version(model, 17), or export it again."
        )
    if versions[0] > NEWEST:
        raise ModelError(
            f"{name} uses opset {versions[0]}, which is newer than this software knows "
            f"({NEWEST}). Export it with opset_version={min(NEWEST, 20)}."
        )


def _check_tensors(graph: onnx.GraphProto, name: str) -> None:
    numbers = 0
    for tensor in _tensors(graph):
        numbers += _check_tensor(tensor, name)
        _check_total(numbers, name)
    for sparse in graph.sparse_initializer:
        shape = _shape(sparse, sparse.values.name, name)
        if sparse.indices.data_type != TensorProto.INT64 or len(sparse.values.dims) != 1:
            raise _damaged(name, f"the sparse tensor {brief(sparse.values.name)} has no places")
        numbers += math.prod(shape)
        _check_total(numbers, name)


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Those in attributes too: `_check_nodes` refuses other graphs in them."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_tensor(tensor: TensorProto, name: str) -> int:
    """The number of values of ``tensor``."""
    called = brief(tensor.name)
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ModelError(
            f"{name} keeps the values of {called} in another file, which was not opened. Give one "
            "file that contains everything: onnx.save(onnx.load(path), new_path), or "
            "torch.onnx.export(..., external_data=False)."
        )
    width = WIDTHS.get(tensor.data_type)
    if width is None or tensor.HasField("segment"):
        known = tensor.data_type in TensorProto.DataType.values()
        kind = TensorProto.DataType.Name(tensor.data_type) if known else "an unknown type"
        raise ModelError(
            f"{name} stores {called} as {kind}, which cannot be read. Export the network with "
            "32-bit weights."
        )
    count = math.prod(_shape(tensor, tensor.name, name))
    _check_total(count, name)
    filled = [field for field in LISTS if len(getattr(tensor, field))]
    own = FIELDS.get(tensor.data_type, "int32_data")
    if not filled and not count:
        return 0
    if filled == ["raw_data"]:
        stored, wanted = len(tensor.raw_data), count * width
    elif filled in ([own], []):
        stored, wanted = len(getattr(tensor, own)), count
    else:
        raise _damaged(name, f"the tensor {called} is stored in several ways at once")
    if stored != wanted:
        unit = "bytes" if filled == ["raw_data"] else "numbers"
        shape = "×".join(map(str, tensor.dims)) or "a single number"
        raise _damaged(name, f"the tensor {called} ({shape}) has {stored:,} {unit}, not {wanted:,}")
    return count


def _shape(tensor: TensorProto | onnx.SparseTensorProto, own: str, name: str) -> list[int]:
    shape = list(tensor.dims)
    if len(shape) > limits.TENSOR_AXES.value:
        raise _damaged(name, f"the tensor {brief(own)} has {len(shape):,} axes")
    if min(shape, default=0) < 0:
        raise _damaged(name, f"the tensor {brief(own)} has an axis of negative length")
    return shape


def _check_total(numbers: int, name: str) -> None:
    if numbers > limits.IMPORTED_VALUES.value:
        raise ModelError(
            f"{name} has more than {limits.IMPORTED_VALUES.value:,} numbers in its tensors. Give a "
            "smaller network."
        )


def _check_nodes(graph: onnx.GraphProto, name: str) -> None:
    most = limits.IMPORTED_NODES.value
    if len(graph.node) > most:
        raise ModelError(
            f"{name} has {counted(len(graph.node), 'operator')}; at most {most:,} can be read. "
            "Give a smaller network, or simplify it (onnxsim, onnxslim)."
        )
    links = sum(len(node.input) + len(node.output) for node in graph.node)
    if links > 10 * most:
        raise ModelError(f"{name} has {links:,} connections. Give a smaller network.")
    foreign: dict[str, str] = {}
    for node in graph.node:
        if node.domain not in STANDARD:
            own = f"{node.domain}.{node.op_type}"
            foreign.setdefault(own, f"{brief(own)} ({_node(node)})")
    if foreign:
        raise ModelError(
            f"{name} uses operators that are not in the ONNX standard: "
            f"{listed(foreign.values(), 4)}. Export the network with standard operators only; "
            "files that a runtime optimised cannot be read, but the ones that they were made from."
        )
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise ModelError(
                    f"{name} contains a branch or a loop (the operator {_operator(node)}), and "
                    "only networks that compute the same for every image can be pruned. Write "
                    "conditions in forward with torch.where, or move them out of the network."
                )
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise ModelError(
                    f"{name} stores a sparse tensor in the operator {_operator(node)}. "
                    "Store it as a dense one."
                )
            if attribute.ref_attr_name or attribute.type in (
                AttributeProto.TYPE_PROTO,
                AttributeProto.TYPE_PROTOS,
            ):
                raise _damaged(name, f"the operator {_operator(node)} has an attribute of none")


def _operator(node: onnx.NodeProto) -> str:
    return f"{brief(node.op_type)}, {_node(node)}"


def _node(node: onnx.NodeProto) -> str:
    """How messages call it: by its name, or else by what it makes."""
    return f"node {brief(node.name or next(iter(node.output), ''))}"


def _check_names(graph: onnx.GraphProto, name: str) -> None:
    """Every value has one name, and comes before what uses it."""
    texts = [*_texts(graph)]
    if not all(isinstance(text, str) for text in texts):
        raise _damaged(name, "a name in it is not text")
    longest = max(map(len, texts))
    if longest > limits.IMPORTED_NAME.value:
        raise _damaged(name, f"a name in it has {longest:,} characters")
    stored = [tensor.name for tensor in graph.initializer]
    stored += [sparse.values.name for sparse in graph.sparse_initializer]
    made = [output for node in graph.node for output in node.output if output]
    fed = [value.name for value in inputs_of(graph)]
    for own, times in Counter([*stored, *made, *fed]).items():
        if times > 1:
            raise _damaged(name, f"{brief(own)} is the name of {times} values")
    known = {*stored, *fed}
    for node in graph.node:
        for each in node.input:
            if each and each not in known:
                why = "comes after it" if each in made else "does not exist"
                raise _damaged(
                    name, f"the operator {brief(node.op_type)} uses {brief(each)}, which {why}"
                )
        known.update(node.output)
    for value in graph.output:
        if value.name not in known:
            raise _damaged(name, f"its output {brief(value.name)} is never computed")


def _texts(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    parts: Iterable[onnx.ValueInfoProto | TensorProto]
    for parts in (graph.input, graph.output, graph.value_info, _tensors(graph)):
        yield from (part.name for part in parts)
    yield graph.name


def _check_input(graph: onnx.GraphProto, name: str) -> None:
    fed = inputs_of(graph)
    if len(fed) != 1:
        which = f": {listed((brief(value.name) for value in fed), 6)}" if fed else ""
        raise ModelError(
            f"{name} has {counted(len(fed), 'input')}{which}. A network that classifies images has "
            "one; export it with a single image batch as its input."
        )
    if not graph.output:
        raise _damaged(name, "it has no output")
    shape = [axis.dim_value for axis in fed[0].type.tensor_type.shape.dim]
    least = min(shape, default=0)
    if least < 0 or math.prod(max(1, axis) for axis in shape) > limits.ONNX_INPUT.value:
        raise ModelError(
            f"The input of {name} is {'×'.join(map(str, shape))}, which is too large. Export the "
            "network for smaller images, or for fewer at a time."
        )


def _damaged(name: str, why: str) -> ModelError:
    return ModelError(f"{name} is damaged: {why}. {AGAIN}")
