"""Channel groups: the channels that can be removed, and everything that goes with each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from prospr_engine.errors import ModelError
from prospr_engine.network.foreign import first_line
from prospr_engine.network.padding import ChannelPadding
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.structured.labels import WHOLE, Numbers
from prospr_engine.structured.ties import BY_CHANNEL, Ties, is_depthwise, reasons, ties
from prospr_engine.structured.trace import SECONDS, Trace, trace

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Producer:
    """A convolution or linear layer at ``layer`` that makes the channels of a group: row i of
    ``channels``, (n, k), has its output channels that belong to the group's channel i."""

    layer: str
    weight: str
    channels: Tensor


@dataclass(frozen=True, eq=False)
class Slice:
    """A parameter or buffer that is cut with a group: row i of ``indices``, (n, k), has the places
    along ``axis`` that belong to the group's channel i. ``produces``: whether they make the
    channel (filters, biases, normalisations) or read it."""

    tensor: str
    axis: int
    indices: Tensor
    produces: bool


@dataclass(frozen=True, eq=False)
class Bare:
    """A layer that has a width but no tensor of it, such as ``ChannelPadding``: row i of
    ``channels``, (n, k), has those of its ``size`` output channels that belong to the group's
    channel i."""

    layer: str
    size: int
    channels: Tensor


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """``channels`` channels, each of which can be removed without the others, but only from all of
    the layers at once. ``name`` is the path of the first layer that makes them, with a number
    behind it (``"conv#2"``) where the layer makes channels of several groups."""

    name: str
    channels: int
    producers: tuple[Producer, ...]
    slices: tuple[Slice, ...]
    bare: tuple[Bare, ...] = ()

    @property
    def width(self) -> int:
        """The output channels of the first layer that belong to each channel of the group."""
        return self.producers[0].channels.shape[1]


def find_groups(
    network: nn.Module, sample: Tensor, seconds: float = SECONDS
) -> tuple[ChannelGroup, ...]:
    """The groups of ``network`` in the order of its modules, read from a run on the first input of
    ``sample``, (N, C, …). The network comes back untouched.

    Channels stay whole where removing one would change what becomes of others, as in front of a
    layer norm, and so do the network's outputs. Raises ``ModelError`` if the network does not run,
    has nothing to prune, or takes more than ``seconds`` to trace.
    """
    prunable_weights(network)
    traced = trace(network, sample, seconds)
    return _Assembler(traced.network, _followed(ties, traced)).groups()


def find_whole(network: nn.Module, sample: Tensor, seconds: float = SECONDS) -> dict[str, str]:
    """By layer of which no channel can be removed, why; raises as ``find_groups`` does."""
    return _followed(reasons, trace(network, sample, seconds))


def _followed(read: Callable[[Trace], T], traced: Trace) -> T:
    try:
        return read(traced)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        # Autograd's nodes may be of any kind, also of the caller's own.
        raise ModelError(
            "What this network does with its channels cannot be followed "
            f"({first_line(error)}), so none can be removed; remove single weights instead."
        ) from error


Place = tuple[str, str, int]
"""What is numbered: a kind of thing ("producer", "slice", "reader" or "bare"), its name and its
axis."""


class _Assembler:
    """Sorts the places of all tensors by the channel that they belong to."""

    def __init__(self, network: nn.Module, found: Ties) -> None:
        self.ties = found
        self.modules = dict(network.named_modules())
        self.order = {path: number for number, path in enumerate(self.modules)}
        tensors = [*network.named_parameters(), *network.named_buffers()]
        self.names = {id(tensor): name for name, tensor in tensors}
        self.places: dict[Place, Numbers] = {}

    def groups(self) -> tuple[ChannelGroup, ...]:
        for path, module in self.modules.items():
            if path in self.ties.outputs:
                self._layer(path, module)
        for name, numbers in self.ties.parameters.items():
            self._parameter(name, numbers)
        drafts = []
        for columns in self._columns().values():
            leading = min(
                (place for place in columns if place[0] == "producer"),
                key=lambda place: self.order[place[1]],
            )
            rows = np.argsort(columns[leading][:, 0])
            if len(rows) > 1:
                first = int(columns[leading][rows[0], 0])
                drafts.append((self.order[leading[1]], first, leading[1], rows, columns))
        taken: dict[str, int] = defaultdict(int)
        groups = []
        for _, _, path, rows, columns in sorted(drafts, key=lambda draft: draft[:2]):
            taken[path] += 1
            name = path if taken[path] == 1 else f"{path}#{taken[path]}"
            groups.append(self._group(name, {p: c[rows] for p, c in columns.items()}))
        return tuple(groups)

    def _columns(self) -> dict[int, dict[Place, Numbers]]:
        """For each set of channels that belong to the same number of places of the same kinds, a
        row of indices for each channel, by place."""
        # Such channels have the same sum of random numbers, one for each place.
        weights = np.random.default_rng(0).integers(2**64, size=len(self.places), dtype=np.uint64)
        patterns = np.zeros(len(self.ties.roots), np.uint64)
        made = np.zeros(len(self.ties.roots), np.bool_)
        sorted_places = []
        for (place, roots), weight in zip(self.places.items(), weights, strict=True):
            order = np.argsort(roots, kind="stable")
            channels, starts, counts = np.unique(
                roots[order], return_index=True, return_counts=True
            )
            patterns[channels] += weight * counts.astype(np.uint64)
            made[channels] |= place[0] == "producer"
            sorted_places.append((place, order, channels, starts, counts))
        made[WHOLE] = False
        found: dict[int, dict[Place, Numbers]] = defaultdict(dict)
        for place, order, channels, starts, counts in sorted_places:
            for pattern in np.unique(patterns[channels[made[channels]]]):
                own = made[channels] & (patterns[channels] == pattern)
                indices = starts[own][:, None] + np.arange(counts[own][0])
                found[int(pattern)][place] = order[indices]
        return found

    def _group(self, name: str, columns: dict[Place, Numbers]) -> ChannelGroup:
        producers, slices, bare = [], [], []
        for (kind, what, axis), rows in columns.items():
            indices = torch.from_numpy(rows)
            if kind == "producer":
                weight = self.names[id(self.modules[what].weight)]
                producers.append(Producer(what, weight, indices))
            elif kind == "bare":
                bare.append(Bare(what, len(self.ties.outputs[what]), indices))
            else:
                slices.append(Slice(what, axis, indices, kind == "slice"))
        producers.sort(key=lambda producer: self.order[producer.layer])
        channels = len(producers[0].channels)
        return ChannelGroup(name, channels, tuple(producers), tuple(slices), tuple(bare))

    def _put(self, kind: str, name: str, axis: int, numbers: Numbers) -> None:
        self.places[kind, name, axis] = self.ties.roots[numbers]

    def _slice(self, kind: str, tensor: Tensor | None, axis: int, numbers: Numbers) -> None:
        if tensor is not None:
            self._put(kind, self.names[id(tensor)], axis, numbers)

    def _layer(self, path: str, module: nn.Module) -> None:
        inputs, outputs = self.ties.inputs[path], self.ties.outputs[path]
        if isinstance(module, ChannelPadding) or _has_no_tensor(module):
            self._put("bare", path, 0, outputs)
            return
        if isinstance(module, _ConvNd | nn.Linear):
            self._put("producer", path, 0, outputs)
        if isinstance(module, _ConvNd):
            groups = module.groups
            transposed = isinstance(module, _ConvTransposeNd)
            if is_depthwise(module):
                self._slice("slice", module.weight, 0, inputs if transposed else outputs)
            elif transposed:
                self._slice("slice", module.weight, 1, outputs[: len(outputs) // groups])
                self._slice("reader", module.weight, 0, inputs)
            else:
                self._slice("slice", module.weight, 0, outputs)
                self._slice("reader", module.weight, 1, inputs[: len(inputs) // groups])
            self._slice("slice", module.bias, 0, outputs)
        elif isinstance(module, nn.Linear):
            self._slice("slice", module.weight, 0, outputs)
            self._slice("reader", module.weight, 1, inputs)
            self._slice("slice", module.bias, 0, outputs)
        elif isinstance(module, BY_CHANNEL):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                self._slice("slice", tensor, 0, outputs)
        elif isinstance(module, nn.PReLU):
            self._slice("slice", module.weight, 0, outputs)

    def _parameter(self, name: str, numbers: Numbers) -> None:
        """A parameter used outside of layers has its channels along one axis, or stays whole."""
        roots = self.ties.roots[numbers]
        for axis in range(roots.ndim):
            flat = np.moveaxis(roots, axis, 0).reshape(roots.shape[axis], -1)
            if (flat == flat[:, :1]).all() and roots.shape[axis] > 1:
                self.places["slice", name, axis] = flat[:, 0]
                return


def _has_no_tensor(module: nn.Module) -> bool:
    return isinstance(module, BY_CHANNEL) and module.weight is None and module.running_mean is None
