"""The encoding in 8 bits: ONNX Runtime's static quantisation, with its nodes and numbers in the
file (QDQ).

Weights of convolutions and linear layers are multiples of a step, one for every output channel:
``w ≈ step · q`` with ``q`` in -127..127, so that zero stays zero. Sums between layers are rounded
in the same way, to ranges that calibration images give. Batch norms that follow a convolution are
folded into its weights first: otherwise their input would be rounded as well.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from prospr_engine.errors import ExportError
from prospr_engine.export import runtime
from prospr_engine.export.encodings.dense import decode as stored_tensors
from prospr_engine.export.onnx_file import inputs_of

ROUNDED = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul"),
    # Between these, so that numbers stay in 8 bits from one to the next:
    *("Add", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Squeeze"),
    *("Reshape", "Transpose", "Unsqueeze", "Flatten"),
)
"""Not Pad: OpenVINO 2026.4 pads with the integer 0, which need not stand for 0."""
HALF_A_STEP = 0.501
MOST_FOLDED = 2**20
"""Numbers in a constant that is computed beforehand."""
_PARTS = "_DequantizeLinear_Output"

Values = np.ndarray[Any, np.dtype[Any]]


def encode(
    model: onnx.ModelProto, masks: Mapping[str, Values], calibration: Sequence[Values]
) -> onnx.ModelProto:
    """``model`` in 8 bits. ``calibration`` are batches of inputs like those that the network will
    get. Raises ``ExportError`` if the numbers in 8 bits are not those of the network, rounded."""
    _fold_constants(model)
    _fold_batch_norms(model.graph)
    before = stored_tensors(model)
    rounded = _quantised(model, calibration)
    _use_own_names(rounded.graph, before)
    _check(before, rounded, masks)
    return rounded


def decode(model: onnx.ModelProto) -> dict[str, Values]:
    """The tensors of ``model`` by name, those in 8 bits as the numbers that they stand for. Raises
    ``ExportError`` if that is not possible."""
    stored = stored_tensors(model)
    values, parts = dict(stored), set()
    for node in _unpacking(model.graph, stored):
        name = node.output[0]
        parts.update(node.input)
        try:
            values[name] = _product(node, [stored[each] for each in node.input])
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ExportError(f"The tensor {name!r} cannot be unpacked: {error}.") from None
    return {name: tensor for name, tensor in values.items() if name not in parts}


def _unpacking(graph: onnx.GraphProto, stored: Mapping[str, Values]) -> list[onnx.NodeProto]:
    """The nodes that turn stored integers into a tensor of the network."""
    return [
        node
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored
    ]


def _product(node: onnx.NodeProto, inputs: Sequence[Values]) -> Values:
    """What ``DequantizeLinear`` computes: (q - zero) · step, along an axis."""
    axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
    whole, *others = inputs
    if others[0].size == 1:  # one for all, of which the axis says nothing
        others = [each.reshape(()) for each in others]
    around = [1] * whole.ndim
    if others[0].ndim:
        around[axis] = -1
    step, *zero = (each.reshape(around) if each.ndim else each for each in others)
    return ((whole - zero[0].astype(np.int32)) if zero else whole).astype(np.float32) * step


def _fold_constants(model: onnx.ModelProto) -> None:
    """Compute what depends on nothing but constants: the exporter writes a bias of zeros as a
    computation, and rounding needs its numbers."""
    from onnx.reference import ReferenceEvaluator

    graph, left = model.graph, []
    known: dict[str, Values] = {}
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    types = {value.name: value.type.tensor_type.elem_type for value in _described(graph)}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    types |= {name: tensor.data_type for name, tensor in weights.items()}
    for node in graph.node:
        # Of these inputs no more than the type or the shape matters.
        named = [name for name in node.input if name]
        feeds = {name: known[name] for name in named if name in known}
        if node.op_type == "CastLike" and types.get(node.input[1]):
            type_of_it = helper.tensor_dtype_to_np_dtype(types[node.input[1]])
            feeds.setdefault(node.input[1], np.zeros((), type_of_it))
        if node.op_type == "Shape" and node.input[0] in weights:
            feeds[node.input[0]] = np.zeros(tuple(weights[node.input[0]].dims), np.int8)
        results: Any = ()
        if len(feeds) == len({*named}) and not node.op_type.startswith("Random"):
            results = ReferenceEvaluator(node, opsets=opsets).run(None, feeds)
        values = [np.asarray(result) for result in results]
        if values and sum(value.size for value in values) <= MOST_FOLDED:
            known |= dict(zip(node.output, values, strict=True))
        else:
            left.append(node)
    used = {name for node in left for name in node.input}
    used.update(output.name for output in graph.output)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in left]
    graph.ClearField("node")
    graph.node.extend(nodes)
    tensors = [numpy_helper.from_array(known[name], name) for name in known if name in used]
    graph.initializer.extend(tensors)


def _described(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    return [*graph.input, *graph.value_info, *graph.output]


def _fold_batch_norms(graph: onnx.GraphProto) -> None:
    """Multiply the weights of every convolution by the factors of the batch norm behind it. Zeros
    stay zero."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    makers = {output: node for node in graph.node for output in node.output}
    folded = []
    for norm in graph.node:
        conv = makers.get(norm.input[0]) if norm.op_type == "BatchNormalization" else None
        if conv is None or conv.op_type != "Conv" or len(norm.output) != 1:
            continue
        own = [name for name in (*conv.input[1:], *norm.input[1:]) if name]
        if uses[norm.input[0]] != 1 or uses[conv.input[1]] != 1 or not {*own} <= tensors.keys():
            continue
        epsilon = next((each.f for each in norm.attribute if each.name == "epsilon"), 1e-5)
        gain, shift, mean, variance = (_wide(tensors[name]) for name in norm.input[1:5])
        factor = gain / np.sqrt(variance + epsilon)
        weight = _wide(tensors[conv.input[1]])
        bias = _wide(tensors[conv.input[2]]) if len(conv.input) > 2 and conv.input[2] else 0.0
        scaled = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
        _replace(tensors[conv.input[1]], scaled)
        # The batch norm's own shift becomes the bias: where it is shared, by another name.
        name = norm.input[2] if uses[norm.input[2]] == 1 else f"{conv.input[1]}.shift"
        moved = numpy_helper.from_array((shift + (bias - mean) * factor).astype(np.float32), name)
        if name in tensors:
            tensors[name].CopyFrom(moved)
        else:
            tensors[name] = graph.initializer.add()
            tensors[name].CopyFrom(moved)
        conv.input[:] = [*conv.input[:2], name]
        conv.output[0] = norm.output[0]
        folded.append(norm)
    for norm in folded:
        graph.node.remove(norm)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _wide(tensor: onnx.TensorProto) -> Values:
    return numpy_helper.to_array(tensor).astype(np.float64)


def _replace(tensor: onnx.TensorProto, values: Values) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))


def _quantised(model: onnx.ModelProto, calibration: Sequence[Values]) -> onnx.ModelProto:
    runtime.library()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
    from onnxruntime.quantization.quantize import quantize_static

    (fed,) = inputs_of(model.graph)

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(calibration)

        def get_next(self) -> dict[str, Values] | None:
            return next(({fed.name: batch} for batch in self.batches), None)

    with tempfile.TemporaryDirectory(prefix="prospr-int8-") as folder, _quiet():
        file = Path(folder, "int8.onnx")
        try:
            quantize_static(
                model,
                str(file),
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(ROUNDED),
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QInt8,
                extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
            )
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the library's errors share no other base
            reason = next(iter(str(error).splitlines()), type(error).__name__)[:300]
            raise ExportError(
                f"ONNX Runtime cannot store this network in 8 bits ({reason}); choose another "
                "encoding."
            ) from None
        rounded = onnx.load(file)
    del rounded.metadata_props[:], rounded.graph.value_info[:]
    rounded.metadata_props.extend(model.metadata_props)
    rounded.producer_name, rounded.producer_version = model.producer_name, model.producer_version
    return rounded


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what the quantiser logs: it advises to fold batch norms, which was done. It logs in a
    way that would set up logging for the whole program."""
    root, handler = logging.getLogger(), logging.NullHandler()

    def of_others(record: logging.LogRecord) -> bool:
        return "quantization" not in Path(record.pathname).parts

    root.addHandler(handler)
    root.addFilter(of_others)
    try:
        yield
    finally:
        root.removeFilter(of_others)
        root.removeHandler(handler)


def _use_own_names(graph: onnx.GraphProto, before: Mapping[str, Values]) -> None:
    """Call what is unpacked as the network does. A shift of zero is left out where the standard
    makes it so: browsers' runtimes refuse one of 32 bits."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    own = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            name = node.output[0].removesuffix(_PARTS)
            if name in before:
                own[node.output[0]] = name
            if stored[node.input[0]].data_type == TensorProto.INT32 and len(node.input) == 3:
                del node.input[2]
    for node in graph.node:
        node.input[:] = [own.get(name, name) for name in node.input]
        node.output[:] = [own.get(name, name) for name in node.output]
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _check(before: Mapping[str, Values], model: onnx.ModelProto, masks: Mapping[str, Any]) -> None:
    """Every number in 8 bits is within half a step of the network's, and zero where that is."""
    stored, after = stored_tensors(model), decode(model)
    steps = {node.output[0]: node for node in _unpacking(model.graph, stored)}
    for name in masks:
        if name not in after or name not in before:
            continue
        wanted, found = before[name], after[name]
        allowed: Any = 0.0
        if name in steps:
            scale = stored[steps[name].input[1]]
            ones = np.ones(wanted.shape, np.int8)
            allowed = HALF_A_STEP * _product(steps[name], [ones, scale])
        near = wanted.shape == found.shape and (np.abs(wanted - found) <= allowed).all()
        if not near or found[wanted == 0].any():
            raise ExportError(
                f"ONNX Runtime did not round the weights {name} as it should; choose another "
                "encoding."
            )
