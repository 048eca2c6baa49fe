"""Which channels of which layers are tied: the channels of every layer, and what connects them.

A channel is a number. Two are tied if one cannot be removed without the other: the summands of a
residual sum, a filter and what reads its output, a channel before a concatenation and behind it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from prospr_engine.network.foreign import named
from prospr_engine.network.padding import ChannelPadding
from prospr_engine.structured.labels import WHOLE, Labels, Numbers, part, result
from prospr_engine.structured.trace import Node, Trace

BY_CHANNEL = (_BatchNorm, _InstanceNorm)
WEIGHTED = (_ConvNd, nn.Linear)

OUTPUTS = "are outputs of the network"
"""Why the channels of the last layer have to stay."""


@dataclass
class Ties:
    """The channel numbers of layers and parameters: ``outputs`` and ``inputs`` of layers by path,
    ``parameters`` that are no part of a layer by name, an array of each one's shape. ``roots``:
    for every number the lowest that it is tied to, ``WHOLE`` if it has to stay."""

    outputs: dict[str, Numbers] = field(default_factory=dict)
    inputs: dict[str, Numbers] = field(default_factory=dict)
    parameters: dict[str, Numbers] = field(default_factory=dict)
    roots: Numbers = field(default_factory=lambda: np.zeros(1, np.int64))


def is_depthwise(module: nn.Module) -> bool:
    """Whether each input channel has filters of its own."""
    return isinstance(module, _ConvNd) and 1 < module.groups == module.in_channels


def ties(trace: Trace) -> Ties:
    """The channels of the network in ``trace`` and what they are tied to."""
    builder = _Builder(trace)
    builder.build()
    return builder.ties


def reasons(trace: Trace) -> dict[str, str]:
    """By convolution or linear layer of which all channels have to stay, in the order of modules,
    why: ``are outputs of the network``."""
    builder = _Builder(trace)
    builder.build()
    return builder.reasons()


class _Builder:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.ties = Ties()
        self.count = 1  # WHOLE
        self.pairs: list[tuple[Numbers, Numbers]] = []
        self.stays: list[tuple[Numbers, str]] = []
        """What has to stay, and why."""
        self.labels: dict[Node, Labels | None] = {}

    def build(self) -> None:
        for node in self.trace.nodes:
            self._layer(node)
        for node in self.trace.nodes:
            self._follow(node)
        for node in self.trace.nodes:
            for source, number in node.inputs:
                self._read(node, self._seen(source, number))
        self._shared_weights()
        self.ties.roots = _roots(self.count, self.pairs)

    def _new(self, size: int) -> Numbers:
        self.count += size
        return np.arange(self.count - size, self.count)

    def _tie(self, some: Numbers, others: Numbers) -> None:
        left, right = np.broadcast_arrays(some, others)
        self.pairs.append((left.ravel(), right.ravel()))

    def _keep(self, numbers: Numbers, why: str) -> None:
        self._tie(numbers, np.full_like(numbers, WHOLE))
        self.stays.append((numbers, why))

    def reasons(self) -> dict[str, str]:
        """See ``reasons``."""
        # Without the one channel that all of them are tied to, they are apart.
        apart = [pair for pair in self.pairs if not any((side == WHOLE).any() for side in pair)]
        roots = _roots(self.count, apart)
        found: dict[int, str] = {}
        for numbers, why in self.stays:
            for root in np.unique(roots[numbers]):
                found.setdefault(int(root), why)
        kept_whole = {}
        for path, module in self.trace.network.named_modules():
            outputs = self.ties.outputs.get(path)
            if outputs is None or not isinstance(module, WEIGHTED):
                continue
            if (self.ties.roots[outputs] == WHOLE).all():
                kept_whole[path] = found.get(int(roots[outputs[0]]), "depend on their places")
        return kept_whole

    def _layer(self, node: Node) -> None:
        """Number the channels of a layer, and tie those that its weights tie."""
        module, path = node.module, node.path
        inputs = outputs = None
        if isinstance(module, _ConvNd):
            inputs, outputs = self._new(module.in_channels), self._new(module.out_channels)
            if is_depthwise(module):
                self._tie(np.repeat(inputs, module.out_channels // module.groups), outputs)
            elif module.groups > 1:
                for numbers in (inputs, outputs):  # the same places of all groups
                    places = numbers.reshape(module.groups, -1)
                    self._tie(places[:1], places)
        elif isinstance(module, nn.Linear):
            inputs, outputs = self._new(module.in_features), self._new(module.out_features)
        elif isinstance(module, BY_CHANNEL):
            inputs = outputs = self._new(module.num_features)
        elif isinstance(module, nn.PReLU) and module.num_parameters > 1:
            inputs = outputs = self._new(module.num_parameters)
        elif node.parameter:
            shape = node.operation.variable.shape
            numbers = self._new(shape.numel()).reshape(shape)
            self.ties.parameters[node.parameter] = numbers
            self.labels[node] = Labels(numbers, tuple(shape))
        if inputs is not None and outputs is not None:
            self.ties.inputs[path], self.ties.outputs[path] = inputs, outputs
            shape = node.shape()
            self.labels[node] = Labels.along(outputs, _channel_axis(node, len(shape)), shape)

    def _follow(self, last: Node) -> None:
        """The labels of ``last`` and of all that it depends on."""
        stack = [last]
        while stack:
            node = stack[-1]
            open_inputs = [source for source, _ in node.inputs if source not in self.labels]
            if node in self.labels:
                stack.pop()
            elif open_inputs:
                stack += open_inputs
            else:
                self.labels[node] = self._operation(node)
                stack.pop()

    def _operation(self, node: Node) -> Labels | None:
        seen = [(self._seen(source, number), number) for source, number in node.inputs]
        known = [(labels, number) for labels, number in seen if labels is not None]
        found = None
        if node.is_input or node.is_output:
            pass
        elif known and len(known) == len(seen):
            if isinstance(node.module, ChannelPadding):
                return self._padded(node, node.module, known[0][0])
            if node.module is None or isinstance(node.module, nn.PReLU):
                kind = "" if node.module else node.kind
                if kind.lower().startswith(("split", "unbind")):
                    return known[0][0]  # the parts are read by number
                found = result(node.operation, kind, node.shape(), known, self._tie)
        if found is None:
            for labels, _ in known:
                self._keep(labels.numbers, _needs_all(node))
        return found

    def _padded(self, node: Node, module: ChannelPadding, labels: Labels) -> Labels | None:
        inside = labels.read(1, self._tie)
        if inside is None:
            return None
        numbers = np.concatenate([self._new(module.before), inside, self._new(module.after)])
        self.ties.inputs[node.path], self.ties.outputs[node.path] = inside, numbers
        return Labels.along(numbers, 1, node.shape())

    def _seen(self, source: Node, number: int) -> Labels | None:
        """The labels of what is read from ``source``."""
        labels = self.labels[source]
        if labels is None or source.module is not None or source.parameter:
            return labels
        if source.kind.lower().startswith(("split", "unbind")):
            found = part(source.operation, source.kind, number, labels, self._tie)
            if found is None:
                self._keep(labels.numbers, _needs_all(source))
            return found
        return labels

    def _read(self, node: Node, labels: Labels | None) -> None:
        """Tie the channels that a layer reads to those of its input."""
        inputs = self.ties.inputs.get(node.path) if node.module is not None else None
        if inputs is None or isinstance(node.module, ChannelPadding):
            return
        found = None
        if labels is not None:
            found = labels.read(_channel_axis(node, len(labels.shape)), self._tie)
        if found is not None and len(found) == len(inputs):
            self._tie(inputs, found)
            return
        self._keep(inputs, "come with the input" if labels is None else _needs_all(node))
        if labels is not None:
            self._keep(labels.numbers, _needs_all(node))

    def _shared_weights(self) -> None:
        """Layers that share a tensor lose the same channels; a tensor that is shared in any other
        way stays whole."""
        owners: dict[torch.Tensor, list[tuple[str, nn.Module]]] = defaultdict(list)
        for path, module in self.trace.network.named_modules():
            for parameter in module._parameters.values():
                if parameter is not None:
                    owners[parameter].append((path, module))
        for sharing in owners.values():
            (path, first), *others = sharing
            for other, module in others:
                alike = type(module) is type(first) and path in self.ties.outputs
                for axes in (self.ties.outputs, self.ties.inputs):
                    if alike and other in axes:
                        self._tie(axes[path], axes[other])
                        continue
                    for name in (path, other):
                        if name in axes:
                            self._keep(axes[name], "share numbers with another layer")


def _needs_all(node: Node) -> str:
    """Why channels that come to ``node`` have to stay."""
    if node.is_output:
        return OUTPUTS
    if node.module is not None:
        return f"are read by {named(node.path, node.module)}, which needs all of them"
    plain = re.sub(r"Backward\d*$", "", node.kind)
    operation = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()
    return f"go through {operation or 'an operation'}, from which none can be left out"


def _channel_axis(node: Node, rank: int) -> int:
    """Where a layer looks for channels: convolutions count from the front."""
    return -1 if isinstance(node.module, nn.Linear) else min(1, rank - 1)


def _roots(count: int, pairs: list[tuple[Numbers, Numbers]]) -> Numbers:
    """The lowest number of each connected component."""
    roots = np.arange(count)
    if not pairs:
        return roots
    left = np.concatenate([some for some, _ in pairs])
    right = np.concatenate([others for _, others in pairs])
    while True:
        lowest = np.minimum(roots[left], roots[right])
        before = roots.copy()
        np.minimum.at(roots, roots[left], lowest)
        np.minimum.at(roots, roots[right], lowest)
        np.minimum.at(roots, left, lowest)
        np.minimum.at(roots, right, lowest)
        roots = roots[roots]
        if (roots == before).all():
            return roots
