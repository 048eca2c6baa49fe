"""From a graph to a network without values, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

import prospr_engine.models.imports.onnx.operators  # noqa: F401  (registers them)
from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Constant, Graph, Node
from prospr_engine.models.imports.onnx.homes import Change, Home
from prospr_engine.models.imports.onnx.names import Namespace, layer_name, tensor_name
from prospr_engine.models.imports.onnx.network import (
    Argument,
    Computed,
    Fixed,
    ImportedNetwork,
    Step,
    Stored,
)
from prospr_engine.models.imports.onnx.outputs import unknown
from prospr_engine.models.imports.onnx.registry import (
    Layer,
    Operator,
    Use,
    find_layer,
    find_operator,
)
from prospr_engine.models.imports.onnx.shape_values import (
    MOST,
    shape_value,
)
from prospr_engine.models.imports.onnx.worlds import Worlds

WITH_AXES = ("Concat", "Expand", "Reshape", "Tile", "MatMul", "Gemm", "Gather")
"""Operators to which it matters how many axes a single number has."""
PREPARING = ("Add", "Cast", "Div", "Identity", "Mul", "Reshape", "Sub", "Transpose")
"""What brings images into the form that the first layer takes, such as minus their mean."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where the values of ``constant`` belong in the network, after ``changes``: the tensor
    ``name`` of the module at ``path``."""

    path: str
    name: str
    constant: Constant
    changes: tuple[Change, ...] = ()

    @property
    def home(self) -> Home:
        return self.constant.home.after(*self.changes)

    @property
    def key(self) -> str:
        """As in the state_dict."""
        return f"{self.path}.{self.name}" if self.path else self.name


@dataclass(frozen=True, eq=False)
class Assembled:
    """``network`` on the meta device, and the ``places`` of its values. ``shape`` is that of the
    output without the batch."""

    network: ImportedNetwork
    places: Sequence[Place]
    shape: tuple[int, ...]


@dataclass(eq=False)
class _Assembly:
    graph: Graph
    network: ImportedNetwork
    worlds: Worlds
    steps: list[Step] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    names: Namespace = field(default_factory=Namespace)
    paths: dict[Any, str] = field(default_factory=dict)
    raw: set[str] = field(default_factory=set)
    """What is an image still, but for its layout and its scale."""
    parameters: dict[str, tuple[str, nn.Parameter, tuple[Change, ...]]] = field(
        default_factory=dict
    )
    """By the name in the file: the path of the parameter, itself, and what was done to it."""


def assemble(
    graph: Graph, order: Sequence[int], sizes: Sequence[int], batches: tuple[int, int]
) -> Assembled:
    """The network of ``graph`` for images of ``sizes`` (C, H, W).

    ``order`` brings images into the layout of the file, () flattens them; ``batches`` are that of
    the file (or any, if it leaves it free) and another one. Raises ``Misfit`` if the graph does not
    take such images, and ``ModelError`` for what cannot be imported.
    """
    network = ImportedNetwork(graph.input.name, order)
    images = [torch.empty(n, *sizes, device="meta") for n in batches]
    first, second = (x.permute(*order) if order else x.flatten(1) for x in images)
    work = _Assembly(graph, network, Worlds(graph, (first, second)), raw={graph.input.name})
    with torch.no_grad():
        network.eval()
        for node in graph.nodes:
            step = _step(work, node)
            work.steps.append(step)
            work.worlds.run(step, network)
            others = {name for name in node.inputs if name not in graph.constants}
            if node.operator in PREPARING and others <= work.raw:
                work.raw.update(node.outputs)
        network.train()
    network.output = graph.outputs[0].name
    network.steps = _with_ends(work.steps, network)
    shapes = work.worlds.shapes(network.output)
    if shapes is None or tuple(shape[:1] for shape in shapes) != tuple((n,) for n in batches):
        raise ModelError(
            f"The output {network.output!r} does not have one row for each image; export a "
            "classifier whose output has the shape (N, classes)."
        )
    return Assembled(network, work.places, shapes[0][1:])


def _step(work: _Assembly, node: Node) -> Step:
    node, rewritten = work.worlds.freed(node)
    constants = [work.graph.constants.get(name) for name in node.inputs]
    use = Use(node, constants, [work.worlds.shape(name) for name in node.inputs])
    return _layer_step(work, use) or _operator_step(work, use, rewritten)


def _layer_step(work: _Assembly, use: Use) -> Step | None:
    make = find_layer(use.node)
    if make is None or not use.shapes or use.shapes[0] is None:
        return None
    with torch.device("meta"):
        made = make(use)
    if made is None or not _can_share(work, use, made):
        return None
    path = _path(work, use, made)
    arguments = [Computed(use.node.inputs[0])]
    return Step(
        use.node,
        arguments,
        use.node.outputs[:1],
        path=path,
        before=made.before,
        after=made.after,
    )


def _can_share(work: _Assembly, use: Use, made: Layer) -> bool:
    """Whether no weight of the layer is used elsewhere in another form."""
    for name, (index, changes) in made.tensors.items():
        constant = use.constant(index)
        assert constant is not None
        home = constant.home.after(*changes)
        known = work.parameters.get(home.name)
        if name in made.module._parameters and known and known[2] != home.changes:
            return False
    return True


def _path(work: _Assembly, use: Use, made: Layer) -> str:
    """Where the layer lies in the network; layers that several nodes share are there once."""
    weights = [use.node.inputs[index] for index, _ in made.tensors.values()]
    key = (repr(made.module), *weights)
    if weights and key in work.paths:
        return work.paths[key]
    path = work.names.fresh(layer_name(use.node, weights[0] if weights else ""))
    work.paths[key] = path
    for name, (index, changes) in made.tensors.items():
        constant = use.constant(index)
        assert constant is not None
        place = Place(path, name, constant, tuple(changes))
        own = made.module._parameters.get(name)
        if own is not None:
            _, shared, _ = work.parameters.setdefault(
                place.home.name, (place.key, own, place.home.changes)
            )
            made.module._parameters[name] = shared
        work.places.append(place)
    _put(work.network, path, made.module.eval())
    return path


def _put(network: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    _container(network, parent).add_module(name, module)


def _container(network: nn.Module, path: str) -> nn.Module:
    """The module at ``path``, made if need be."""
    for name in path.split(".") if path else []:
        if name not in network._modules:
            network.add_module(name, nn.Module())
        network = network.get_submodule(name)
    return network


def _operator_step(work: _Assembly, use: Use, rewritten: Mapping[int, Any]) -> Step:
    node = use.node
    operator = find_operator(node)
    if operator is None:
        if find_layer(node) is None:
            raise ModelError(unknown(node))
        raise ModelError(
            f"{node} has weights that are computed from the image or from other weights, which is "
            "not supported for this operator; export the network in eval mode."
        )
    arguments = [
        Fixed(rewritten[index]) if index in rewritten else _argument(work, use, operator, index)
        for index in range(len(node.inputs))
    ]
    return Step(node, arguments, node.outputs, run=operator)


def _argument(work: _Assembly, use: Use, operator: Operator, index: int) -> Argument:
    name, constant = use.node.inputs[index], use.constant(index)
    if not name:
        return Fixed(None)
    if constant is None:
        return Computed(name)
    values = constant.values
    if index in operator.settings:
        return Fixed(shape_value(values))
    if not constant.is_float:
        small = values.ndim <= 1 and values.size <= MOST
        return Fixed(shape_value(values)) if small else _stored(work, name, constant)
    matters = values.ndim > 0 and use.node.operator in WITH_AXES
    if values.size == 1 and not matters:
        return Fixed(float(values.reshape(-1)[0]))
    others = {other for other in use.node.inputs if other not in work.graph.constants}
    prepares = use.node.operator in PREPARING and others <= work.raw
    return _stored(work, name, constant, learned=not prepares)


def _stored(work: _Assembly, name: str, constant: Constant, learned: bool = True) -> Stored:
    """A tensor that belongs to no layer: a parameter, or a buffer if it holds whole numbers or the
    mean and deviation of images."""
    home = constant.home
    known = work.parameters.get(home.name)
    if known is not None:
        path, _, changes = known
        if changes == home.changes:
            return Stored(path)
        return Stored(path, (*[c.inverse() for c in reversed(changes)], *home.changes))
    if ("buffer", name) in work.paths:
        return Stored(work.paths["buffer", name])
    path = work.names.fresh(tensor_name(name))
    parent, _, own = path.rpartition(".")
    module = _container(work.network, parent)
    if constant.is_float and learned:
        parameter = nn.Parameter(torch.empty(constant.shape, device="meta"))
        module.register_parameter(own, parameter)
        work.parameters[home.name] = (path, parameter, home.changes)
    else:
        work.paths["buffer", name] = path
        whole = torch.bool if constant.values.dtype == bool else torch.int64
        dtype = torch.float32 if constant.is_float else whole
        empty = torch.empty(constant.shape, dtype=dtype, device="meta")
        module.register_buffer(own, empty, persistent=constant.is_float)
    work.places.append(Place(parent, own, constant))
    return Stored(path)


def _with_ends(steps: Sequence[Step], network: ImportedNetwork) -> tuple[Step, ...]:
    """``steps`` with a note in each on what nothing reads after it."""
    last: dict[str, int] = {network.input: 0} if steps else {}
    for number, step in enumerate(steps):
        for name in step.outputs:
            last[name] = number
        for argument in step.arguments:
            if isinstance(argument, Computed):
                last[argument.name] = number
    last.pop(network.output, None)
    done: list[list[str]] = [[] for _ in steps]
    for name, number in last.items():
        done[number].append(name)
    return tuple(replace(step, done=tuple(names)) for step, names in zip(steps, done, strict=True))
