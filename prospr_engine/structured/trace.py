"""The graph of a network's layers and operations, traced by the library torch-pruning.

The one file that imports the library. Of its ``DependencyGraph`` the nodes and their order are
used; which channel of one node is which of the next is worked out in ``ties`` from the shapes that
autograd recorded, because the library guesses it from the number of channels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.network.answer import check_logits
from prospr_engine.network.foreign import cannot_take, explained, own_copy, set_mode
from prospr_engine.network.padding import ChannelPadding
from prospr_engine.structured.deadline import DeadlineError, deadline

SECONDS = 60.0
"""The longest that tracing may take."""

ONE_NODE = (
    nn.Linear,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.PReLU,
    ChannelPadding,
)


@dataclass(eq=False)
class Node:
    """A layer, or an operation between layers.

    ``module`` is the layer with its ``path``, or None; ``parameter`` the name of a parameter that
    is used outside of layers, which then is all that the node is. ``operation`` is autograd's node,
    ``inputs`` the nodes that it reads, in the order of its arguments, each with the number of the
    output read.
    """

    module: nn.Module | None = None
    path: str = ""
    parameter: str = ""
    operation: Any = None
    inputs: list[tuple[Node, int]] = field(default_factory=list)
    is_input: bool = False
    is_output: bool = False

    @property
    def kind(self) -> str:
        """The operation as autograd calls it: "AddBackward0"."""
        return self.operation.name() if hasattr(self.operation, "name") else ""

    def shape(self, number: int = 0) -> tuple[int, ...]:
        """The shape of its output, for a batch of one; (), if autograd does not say."""
        metadata = getattr(self.operation, "_input_metadata", ())
        return tuple(metadata[number].shape) if number < len(metadata) else ()


@dataclass(frozen=True)
class Trace:
    """The ``nodes`` of a ``network``, a copy of the caller's on the CPU."""

    network: nn.Module
    nodes: Sequence[Node]


class _Ends(nn.Module):
    """The network between two layers of our own, so that what is tied to its input or its output
    is found."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.first = _First()
        self.last = _Last()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(check_logits(self.network(self.first(x)), x))


class _First(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1


class _Last(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1


class _Traced(Exception):  # noqa: N818  (not an error)
    """The nodes are there."""


class _OneNode(torch.autograd.Function):
    """A layer as one node of autograd, which splits some up into several operations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        return run(x)


def trace(network: nn.Module, sample: Tensor, seconds: float = SECONDS) -> Trace:
    """Run a copy of ``network`` on the first input of ``sample`` and read its graph. It may be on
    the meta device.

    Raises ``ModelError`` if it does not run, or if this takes longer than ``seconds``.
    """
    import torch_pruning  # noqa: F401  (a thousand modules, which must not count)

    copy = own_copy(network)
    outlined = any(parameter.is_meta for parameter in copy.parameters())
    if not outlined:  # of a network without numbers, autograd knows the shapes, too
        copy = copy.cpu()
    set_mode(copy, False)
    for parameter in copy.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_()
    for module in copy.modules():
        if isinstance(module, ONE_NODE):
            module.forward = partial(_as_one_node, module.forward)  # type: ignore[method-assign]
    x = sample[:1].detach().to("meta" if outlined else "cpu").clone().requires_grad_()
    try:
        with (
            torch.enable_grad(),
            torch.random.fork_rng(devices=[]),
            warnings.catch_warnings(),
            deadline(seconds),
        ):
            warnings.simplefilter("ignore")
            nodes = _nodes(_Ends(copy), x)
    except DeadlineError:
        raise ModelError(
            f"Finding out which channels of this network belong together took over {seconds:g} s, "
            "so none can be removed; remove single weights instead."
        ) from None
    finally:
        for module in copy.modules():
            vars(module).pop("forward", None)
    return Trace(copy, nodes)


def _as_one_node(run: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    x, *others = [*args, *kwargs.values()]
    output: Tensor = run(*args, **kwargs) if others else _OneNode.apply(x, run)
    return output


def _nodes(ends: _Ends, x: Tensor) -> list[Node]:
    from torch_pruning import DependencyGraph
    from torch_pruning.pruner.function import BasePruningFunc

    class OneLayer(BasePruningFunc):
        """Makes a kind of layer a node; nothing is pruned by it."""

        def prune_out_channels(self, layer: Any, idxs: Any) -> Any:
            return layer

        prune_in_channels = prune_out_channels

        def get_out_channels(self, layer: Any) -> None:
            return None

        get_in_channels = get_out_channels

    class Nodes(DependencyGraph):
        """Stops where the library would begin to guess, which takes hours for some networks."""

        def _build_dependency(self, module2node: Any) -> None:
            raise _Traced

    def forward(model: nn.Module, inputs: Tensor) -> Tensor:
        with explained(ends.network, cannot_take(inputs), inputs):
            return model(inputs)

    graph = Nodes()
    with suppress(_Traced):
        graph.build_dependency(
            ends,
            x,
            forward_fn=forward,
            customized_pruners=dict.fromkeys((_First, _Last, ChannelPadding), OneLayer()),
            verbose=False,
        )
    paths = {module: path for path, module in ends.network.named_modules()}
    names = {parameter: name for name, parameter in ends.network.named_parameters()}
    nodes: dict[Any, Node] = {}
    for key, found in graph.module2node.items():
        nodes[found] = Node(
            module=key if key in paths else None,
            path=paths.get(key, ""),
            parameter=names.get(key, "") if isinstance(key, nn.Parameter) else "",
            operation=found.grad_fn,
            is_input=key is ends.first,
            is_output=key is ends.last,
        )
    for found, node in nodes.items():
        numbers: dict[Any, list[int]] = {}
        for operation, number in getattr(found.grad_fn, "next_functions", ()):
            numbers.setdefault(operation, []).append(number)
        for source in found.inputs:
            left = numbers.get(source.grad_fn)
            node.inputs.append((nodes[source], left.pop(0) if left else 0))
    return list(nodes.values())
