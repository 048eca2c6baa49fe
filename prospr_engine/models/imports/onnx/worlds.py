"""Two worlds in which every step runs while a network is assembled, to free its batch size.

In the first, batches have the size that the file fixes, or any if it leaves it free; in the second
another. ``batch`` says what follows from the shapes in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx import batch
from prospr_engine.models.imports.onnx.graph import Constant, Graph, Node
from prospr_engine.models.imports.onnx.network import ImportedNetwork, Step
from prospr_engine.models.imports.onnx.shape_values import ints, is_shape_value
from prospr_engine.network.device import is_out_of_memory
from prospr_engine.network.foreign import first_line

Rewritten = Mapping[int, Any]
"""Inputs of a node that are constants other than the file's, by their place."""


class Misfit(ModelError):  # noqa: N818  (the caller tries other sizes first)
    """A step does not run on images of the size that was tried."""


def _is_reshape(node: Node, indices: Constant, shapes: batch.Shapes) -> bool:
    """Whether a Gather takes every element of a flat tensor in its order."""
    flat = shapes[0] == (indices.values.size,) and node.get("axis", 0) == 0
    return flat and np.array_equal(indices.values.reshape(-1), np.arange(indices.values.size))


@dataclass(eq=False)
class Worlds:
    """``images`` of both worlds, on the meta device, in the layout of the file; ``values`` by name
    of what was computed from them so far. ``outer`` says how often the batch lies in the axis that
    holds it, where that is more than once."""

    graph: Graph
    images: tuple[Tensor, Tensor]
    values: tuple[dict[str, Any], dict[str, Any]] = field(init=False)
    outer: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = self.graph.input.name
        self.values = ({name: self.images[0]}, {name: self.images[1]})

    @property
    def batches(self) -> tuple[int, int]:
        return self.images[0].shape[0], self.images[1].shape[0]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Of the computed tensor ``name`` in the first world; None if it is no tensor."""
        value = self.values[0].get(name)
        return tuple(value.shape) if isinstance(value, Tensor) else None

    def shapes(self, name: str) -> batch.Shapes | None:
        """Of the tensor ``name``, which may be a constant, in both worlds."""
        if name in self.graph.constants:
            shape = self.graph.constants[name].shape
            return shape, shape
        first, second = (world.get(name) for world in self.values)
        if not isinstance(first, Tensor) or not isinstance(second, Tensor):
            return None
        return tuple(first.shape), tuple(second.shape)

    def freed(self, node: Node) -> tuple[Node, Rewritten]:
        """``node`` and those of its inputs that are rewritten so that every batch size fits."""
        every = [self.shapes(name) for name in node.inputs]
        first = every[0] if every else None
        target = self.graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if first is None:
            return node, {}
        if node.operator == "Reshape" and len(node.inputs) > 1:
            return self._freed_reshape(node, first, target)
        if node.operator == "Gather" and target is not None and _is_reshape(node, target, first):
            # PyTorch's exporter writes as_strided like this.
            shape = Constant(np.array(target.shape), target.home)
            made, rewritten = self._freed_reshape(replace(node, operator="Reshape"), first, shape)
            return (made, rewritten) if rewritten else (node, {})
        if node.operator == "Expand" and target is not None:
            return node, {1: batch.free_expand(target.values, first, self.batches[0])}
        if node.operator == "Concat":
            return batch.free_concat(node, every), {}
        if node.operator == "Squeeze" and len(node.inputs) == 1 and node.get("axes") is None:
            return batch.free_squeeze(node, first), {}
        return node, {}

    def _freed_reshape(
        self, node: Node, shapes: batch.Shapes, target: Constant | None
    ) -> tuple[Node, Rewritten]:
        """A Reshape whose target fits every batch size, whether it is constant or computed."""
        fixed, outer = self.graph.input.shape[0], self.outer.get(node.inputs[0], 1)
        if target is not None:
            sizes = ints(target.values)
        else:
            computed = [world.get(node.inputs[1]) for world in self.values]
            if not all(is_shape_value(each) for each in computed):
                return node, {}
            sizes, others = map(ints, computed)
            # One with -1, or that follows the batch, is right as it is.
            if -1 in sizes or math.prod(others) == math.prod(shapes[1]):
                return node, {}
        if node.get("allowzero", 0) and 0 in sizes:
            return node, {}
        place = batch.place_in(sizes, shapes, outer, self.batches, fixed is not None)
        if place is None:
            return node, {}
        if target is None:
            return node.with_attributes(place=place), {}
        free = batch.free_target(sizes, shapes, place, outer)
        return node.with_attributes(allowzero=0), {1: free}

    def run(self, step: Step, network: ImportedNetwork) -> None:
        """Run ``step`` of ``network`` in both. Raises ``Misfit`` if it does not."""
        for world, image in zip(self.values, self.images, strict=True):
            try:
                results = network.results(step, world, image)
            except ModelError:
                raise
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                raise self._misfit(step.node, image.shape[0], error) from error
            world.update(zip(step.outputs, results, strict=False))
        self._keep_outer(step.node, step.outputs)

    def _keep_outer(self, node: Node, outputs: Sequence[str]) -> None:
        for name in outputs:
            made = self.shapes(name)
            if made is None:
                continue
            for source in node.inputs:
                shapes, outer = self.shapes(source), self.outer.get(source, 1)
                if node.operator == "Reshape" and source == node.inputs[0] and shapes:
                    outer = batch.outer_after(made, shapes, outer)
                elif not shapes or batch.batch_size(shapes) != batch.batch_size(made):
                    continue
                if outer > 1:
                    self.outer[name] = outer

    def _misfit(self, node: Node, count: int, error: Exception) -> Misfit:
        fixed = self.graph.input.shape[0]
        if fixed and count != fixed:
            return Misfit(
                f"{node} works for {fixed} images at a time only ({first_line(error)}). Export the "
                "network with a free batch size: dynamic_shapes in torch.onnx.export, or "
                "dynamic_axes in the older exporter."
            )
        sizes = "×".join(map(str, self.images[0].shape[1:]))
        return Misfit(f"{node} does not take what images of {sizes} become: {first_line(error)}.")
