"""An imported network at work: its steps, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.homes import Change, Reshaped, Scaled, Transposed
from prospr_engine.models.imports.onnx.registry import Operator, Run


@dataclass(frozen=True)
class Computed:
    """An argument of a step: what another one made under ``name``."""

    name: str


@dataclass(frozen=True)
class Stored:
    """An argument of a step: the parameter or buffer at ``path`` of the network, after
    ``changes``, if steps share it that need it in different forms."""

    path: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Fixed:
    """An argument of a step: a number, a shape value, or None for an input that is absent."""

    value: Any


Argument = Computed | Stored | Fixed


@dataclass(frozen=True)
class Step:
    """What is computed from ``arguments`` and kept under ``outputs``: by the module at ``path`` of
    the network, or by ``run``. ``before`` and ``after`` run around a module. ``done`` are the
    names that nothing reads any more."""

    node: Node
    arguments: Sequence[Argument]
    outputs: Sequence[str]
    run: Operator | None = None
    path: str = ""
    before: Run | None = None
    after: Run | None = None
    done: Sequence[str] = ()


class ImportedNetwork(nn.Module):
    """The network of an ONNX file. Takes images (N, C, H, W) and gives logits (N, classes).

    Layers and weights lie under the file's names for them. ``input_order`` brings images into the
    file's layout: an order of axes, or () to flatten them.
    """

    def __init__(self, input: str, input_order: Sequence[int]) -> None:
        super().__init__()
        self.input = input
        self.input_order = tuple(input_order)
        self.output = input
        self.steps: tuple[Step, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        if not self.input_order:
            x = x.flatten(1)
        elif self.input_order != tuple(range(x.dim())):
            x = x.permute(self.input_order)
        values: dict[str, Any] = {self.input: x}
        for step in self.steps:
            values.update(zip(step.outputs, self.results(step, values, x), strict=False))
            for name in step.done:
                del values[name]
        logits: Tensor = values[self.output]
        return logits if logits.dim() == 2 else logits.flatten(1)

    def results(self, step: Step, values: dict[str, Any], x: Tensor) -> Sequence[Any]:
        """What ``step`` makes of the ``values`` so far; ``x`` is the image in the file's layout."""
        arguments = [self._find(argument, values) for argument in step.arguments]
        if not step.path:
            assert step.run is not None
            like = {"like": x} if step.run.adapts else {}
            made = step.run.run(step.node, *arguments, **like)
        else:
            first, *others = arguments
            if step.before is not None:
                first = step.before(first)
            made = self.get_submodule(step.path)(first, *others)
            if step.after is not None:
                made = step.after(made)
        return made if isinstance(made, tuple) else (made,)

    def _find(self, argument: Argument, values: dict[str, Any]) -> Any:
        if isinstance(argument, Computed):
            return values[argument.name]
        if isinstance(argument, Fixed):
            return argument.value
        path, _, name = argument.path.rpartition(".")
        tensor: Tensor = getattr(self.get_submodule(path), name)
        for change in argument.changes:
            tensor = _changed(tensor, change)
        return tensor


def _changed(tensor: Tensor, change: Change) -> Tensor:
    if isinstance(change, Transposed):
        return tensor.permute(change.order)
    if isinstance(change, Reshaped):
        return tensor.reshape(change.after)
    return tensor * change.factor if isinstance(change, Scaled) else tensor
