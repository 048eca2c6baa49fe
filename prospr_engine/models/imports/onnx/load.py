"""Import an ONNX file as a network that can be trained, or build one again from its skeleton."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.assemble import Assembled, Place, assemble
from prospr_engine.models.imports.onnx.fold import fold
from prospr_engine.models.imports.onnx.fuse import fuse, without_empty_biases, without_sequences
from prospr_engine.models.imports.onnx.graph import Graph, read
from prospr_engine.models.imports.onnx.homes import Home, applied
from prospr_engine.models.imports.onnx.imported import Imported
from prospr_engine.models.imports.onnx.notes import notes_on
from prospr_engine.models.imports.onnx.outputs import class_scores
from prospr_engine.models.imports.onnx.skeleton import packed, unpacked
from prospr_engine.models.imports.onnx.worlds import Misfit

CHANNELS = (1, 3, 4)
"""What an axis of colours may have."""
SIDES = (224, 32, 64, 28, 128, 299, 384, 512)
"""Sizes of images that are tried if the file leaves them free."""
NHWC = (0, 2, 3, 1)
NCHW = (0, 1, 2, 3)


@dataclass(frozen=True)
class _Layout:
    """How a file takes images: the ``order`` of axes that brings (N, C, H, W) there, () if it takes
    them flat, and ``shape``, C, H and W."""

    order: tuple[int, ...]
    shape: tuple[int | None, int | None, int | None]


def import_network(model: onnx.ModelProto, name: str) -> Imported:
    """The network of ``model``, a checked file called ``name``.

    Raises ``ModelError`` naming the operator and the node, and what to try, if it cannot be
    imported; if it is no classifier; or if it works for a fixed number of images only.
    """
    try:
        scores = class_scores(without_sequences(fold(read(model))))
        graph = without_empty_biases(scores.graph)
        layout = _layout(graph)
        made = _assembled(fuse(graph), layout)
        classes = _classes(made, graph)
        with torch.no_grad():
            _fill(made)
        _check_batches(made.network, layout, graph)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    found = _homes(made)
    return Imported(
        network=made.network,
        shape=layout.shape,
        batch=graph.input.shape[0],
        channels_last=layout.order == NHWC,
        classes=classes,
        output=scores.kind,
        notes=(*scores.notes, *notes_on(graph, found)),
        homes=found,
        skeleton=packed(graph),
    )


def rebuild(skeleton: bytes) -> nn.Module:
    """The network of a skeleton, with zeros for weights. Raises ``ModelError`` if it is none."""
    graph = fold(read(unpacked(skeleton), skeleton=True))
    made = _assembled(fuse(graph), _layout(graph))
    with torch.no_grad():
        _fill(made)
    return made.network


def _layout(graph: Graph) -> _Layout:
    shape = graph.input.shape
    if len(shape) == 2:
        return _Layout((), _square(shape[1], graph))
    if len(shape) != 4:
        raise ModelError(
            f"The input {graph.input.name!r} has {len(shape)} axes; a network for images is "
            "needed, with an input of the shape (N, C, H, W) or (N, H, W, C)."
        )
    _, second, third, last = shape
    colours = _colours(graph)
    if _is_channels_last(graph, colours):
        return _Layout(NHWC, (last or colours, second, third))
    return _Layout(NCHW, (second or colours, third, last))


def _square(values: int | None, graph: Graph) -> tuple[int, int, int]:
    """C, H and W of square images with this number of ``values``."""
    readers = (node for node in graph.nodes if graph.input.name in node.inputs)
    if values is None:
        shapes = [
            graph.constants[name].shape
            for node in readers
            for name in node.inputs[1:2]
            if name in graph.constants
        ]
        values = next((shape[0] for shape in shapes if len(shape) == 2), None)
    for channels in (1, 3):
        side = math.isqrt((values or 0) // channels)
        if values and side * side * channels == values:
            return channels, side, side
    raise ModelError(
        f"The input {graph.input.name!r} takes {values or 'an unknown number of'} values for each "
        "image, which are no square image in grey or colour; export the network with an input of "
        "the shape (N, C, H, W)."
    )


def _colours(graph: Graph) -> int | None:
    """The number of channels of images, as the first convolution takes them."""
    for node in graph.nodes:
        if node.operator == "Conv":
            weight = graph.constants.get(node.inputs[1])
            channels = weight.shape[1] * node.get("group", 1) if weight is not None else None
            return channels if channels in CHANNELS else None
    return None


def _is_channels_last(graph: Graph, colours: int | None) -> bool:
    _, second, _, last = graph.input.shape
    names = {graph.input.name}
    for node in graph.nodes:
        if not names & {*node.inputs}:
            continue
        if node.operator == "Transpose":
            return list(node.get("perm", [])) == [0, 3, 1, 2]
        if node.operator in ("Conv", "AveragePool", "MaxPool", "BatchNormalization"):
            break
        if node.operator in ("Identity", "Cast", "Add", "Sub", "Mul", "Div"):
            names.update(node.outputs)
    if second in (colours, None):
        return False
    return last in ((colours,) if colours else CHANNELS) and second not in CHANNELS


def _assembled(graph: Graph, layout: _Layout) -> Assembled:
    """The network for the first of the sizes that it takes."""
    fixed = graph.input.shape[0]
    pairs = [(fixed, 3 * fixed)] if fixed else [(2, 3), (1, 3)]
    first: Misfit | None = None
    for batches in pairs:
        for sizes in _sizes(layout):
            try:
                return assemble(graph, layout.order, sizes, batches)
            except Misfit as error:
                first = first or error
    assert first is not None
    raise ModelError(str(first)) from first


def _sizes(layout: _Layout) -> list[tuple[int, int, int]]:
    channels, height, width = layout.shape
    colours = [channels] if channels else [3, 1]
    if height and width:
        sides = [(height, width)]
    else:
        sides = [(height or side, width or side) for side in SIDES]
    return [(c, h, w) for (h, w), c in itertools.product(sides, colours)]


def _classes(made: Assembled, graph: Graph) -> int:
    classes, *rest = made.shape or (0,)
    if classes < 2 or any(n != 1 for n in rest):
        text = "×".join(["N", *map(str, made.shape)])
        raise ModelError(
            f"The output {graph.outputs[0].name!r} has shape {text}; a classifier is needed, with "
            "an output of shape (N, classes) and at least two classes."
        )
    return int(classes)


def _fill(made: Assembled) -> None:
    """Put the values in the network's tensors, on the CPU."""
    real: dict[int, nn.Parameter] = {}
    network = made.network
    for place in made.places:
        module = network.get_submodule(place.path)
        old = module._parameters.get(place.name)
        if old is not None and id(old) in real:
            module._parameters[place.name] = real[id(old)]
            continue
        values = _tensor(place)
        expected = (old if old is not None else module._buffers[place.name]).shape  # type: ignore[union-attr]
        if values.shape != expected:
            raise ModelError(
                f"The weight {place.home.name!r} has shape {tuple(values.shape)} where "
                f"{tuple(expected)} is needed; export the model again."
            )
        if old is not None:
            real[id(old)] = module._parameters[place.name] = nn.Parameter(values)
        else:
            module._buffers[place.name] = values
    for module in network.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:  # how many batches were seen
                module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype)


def _tensor(place: Place) -> Tensor:
    values = applied(place.changes, place.constant.values)
    if not place.constant.is_float:
        values = values.astype(bool if values.dtype == bool else np.int64)
    return torch.from_numpy(np.array(values, order="C"))


def _homes(made: Assembled) -> Mapping[str, Home]:
    names = made.network.state_dict()
    return {place.key: place.home for place in made.places if place.key in names}


def _check_batches(network: nn.Module, layout: _Layout, graph: Graph) -> None:
    """Raise ``ModelError`` unless two images together give what each gives alone: a file for one
    batch size could mix them."""
    if not graph.input.shape[0]:
        return
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, *_sizes(layout)[0], generator=generator)
    network.eval()
    with torch.no_grad():
        together, alone = network(x), torch.cat([network(x[:1]), network(x[1:])])
    network.train()
    scale = alone.abs().max().clamp(min=1e-6)
    if together.shape != alone.shape or bool((together - alone).abs().max() > 1e-3 * scale):
        raise ModelError(
            f"The network works for {graph.input.shape[0]} images at a time only: those of a batch "
            "influence each other. Export it with a free batch size."
        )
