"""Trace a network with PyTorch's exporter, keeping every name and value."""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import itertools
import logging
import threading
import warnings
from collections.abc import Container, Iterator, Mapping
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from prospr_engine.errors import ExportError
from prospr_engine.export import failure
from prospr_engine.export.names import INPUT, OUTPUT

OPSET = 20
ONE_SIZE = (
    "The network works with one batch size only; remove fixed batch sizes from its forward, and "
    "write x.shape[0] where it says len(x) or int(x.shape[0]), which fix it."
)

# The exporter patches torch while it traces: two exports at once in one process fail, and training
# in another thread may. Runs therefore train in separate processes.
_LOCK = threading.Lock()
_LOGGERS = (
    "torch.onnx",
    "torch.export",
    "torch._export",
    "torch.fx.experimental.symbolic_shapes",
    "onnxscript",
    "onnx_ir",
)


def trace(network: nn.Module, batch: Tensor) -> onnx.ModelProto:
    """``network`` (in eval mode, on the CPU) as an ONNX model with a variable batch size.

    ``batch`` has two inputs or more; a batch size of one would become a constant. Raises
    ``ExportError`` if torch cannot trace the network.
    """
    shapes, captured = _dynamic_shapes(network), None

    def capture() -> Any:
        return torch.export.export(network, (batch,), dynamic_shapes=shapes, strict=False)

    with _LOCK, _quiet():
        try:
            # Capturing first, instead of leaving it to torch.onnx, gives a clear reason for a
            # failure: torch.onnx tries again in other ways and prints about each.
            captured = capture()
            program = torch.onnx.export(
                captured,
                (),
                dynamo=True,
                # Optimising folds batch norms into weights, and transposes and renames weights.
                optimize=False,
                verbose=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                external_data=False,
            )
            assert program is not None  # for the type checker: None only with dynamo=False
            _keep_names_apart(program.model.graph)
            model = program.model_proto
        except MemoryError:
            raise
        except Exception as error:
            if "Constraints violated (batch)" in str(error):
                raise ExportError(ONE_SIZE) from error
            raise ExportError(failure.sentence(error, network, capture, captured)) from error
    _strip(model)
    _name_batch_axis(model)
    _use_first_names(model, network)
    return model


def rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Give values of ``model`` the new ``names``; others that have one of these give way."""
    graph = model.graph
    tensors = {tensor.name for tensor in graph.initializer}
    made = {name for node in graph.node for name in node.output}
    taken = {*tensors, *made, *names, *names.values()}
    new = dict(names)
    for name in {*new.values()} & made - {*new}:
        new[name] = _free_name(name, taken)
        taken.add(new[name])
    if {*names.values()} & tensors:
        raise ExportError(
            "The file's input or output is called like one of the network's weights; rename it."
        )
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = new.get(value.name, value.name)


def _dynamic_shapes(network: nn.Module) -> tuple[Any, ...]:
    """That the first axis of the one input may have any size, in the form in which ``forward``
    takes it: wrappers take ``*args``."""
    shape = {0: torch.export.Dim("batch")}
    parameters = inspect.signature(network.forward).parameters.values()
    packed = next(iter(parameters)).kind is inspect.Parameter.VAR_POSITIONAL
    return ((shape,),) if packed else (shape,)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings, logs and prints: verification reports what matters."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        # On some failures torch.export prints the half-made graph to stderr.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _keep_names_apart(graph: Any) -> None:
    """Give values of ``graph`` (of onnx_ir) other names where a weight has theirs: the exporter
    calls them after operators ("mean", "val_0"), and networks may call a buffer the same. The names
    of the file's input and output are fixed; a weight with such a name gives way."""
    weights = graph.initializers
    for taken in {INPUT, OUTPUT} & set(weights):
        value = weights.pop(taken)
        value.name = _free_name(taken, weights)
        weights[value.name] = value
    values = {output.name for node in graph for output in node.outputs}
    for node in graph:
        for output in node.outputs:
            if output.name in weights:
                output.name = _free_name(output.name, {*weights, *values, INPUT, OUTPUT})
                values.add(output.name)


def _free_name(name: str, taken: Container[str]) -> str:
    return next(new for i in itertools.count(1) if (new := f"{name}_{i}") not in taken)


def _strip(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: mostly stack traces with paths of this machine."""
    graph = model.graph
    for part in (
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        del part.metadata_props[:]
        part.doc_string = ""


def _name_batch_axis(model: onnx.ModelProto) -> None:
    """Call the batch size "batch", and not by the tracer's symbol ("s77")."""
    graph = model.graph
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    if not symbol:
        raise ExportError(ONE_SIZE)
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = dim.dim_param.replace(symbol, "batch")


def _use_first_names(model: onnx.ModelProto, network: nn.Module) -> None:
    """Name shared weights as ``named_parameters`` does; the exporter takes their last name."""
    first = {id(p): name for name, p in network.named_parameters()}
    first |= {id(b): name for name, b in network.named_buffers()}
    every = [
        *network.named_parameters(remove_duplicate=False),
        *network.named_buffers(remove_duplicate=False),
    ]
    aliases = {name: first[id(t)] for name, t in every if first[id(t)] != name}
    used = {tensor.name for tensor in model.graph.initializer}
    aliases = {old: new for old, new in aliases.items() if old in used}
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = aliases.get(name, name)
    kept: list[onnx.TensorProto] = []
    for tensor in model.graph.initializer:
        tensor.name = aliases.get(tensor.name, tensor.name)
        if tensor.name not in {other.name for other in kept}:
            kept.append(tensor)
    if len(kept) < len(model.graph.initializer):
        copies = [copy.deepcopy(tensor) for tensor in kept]
        del model.graph.initializer[:]
        model.graph.initializer.extend(copies)
