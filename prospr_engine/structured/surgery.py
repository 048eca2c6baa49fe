"""Cutting channels out of a network, and setting the same channels to zero in the large one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from prospr_engine.errors import DataError
from prospr_engine.network.foreign import own_copy
from prospr_engine.network.padding import ChannelPadding
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.pruning.masks import Masks
from prospr_engine.structured.groups import ChannelGroup, find_groups
from prospr_engine.structured.ties import BY_CHANNEL, is_depthwise

Kept = Mapping[str, Tensor]
"""True for every channel of a group that stays, by the group's name; groups that are not named stay
whole."""


def cut(network: nn.Module, groups: Sequence[ChannelGroup], kept: Kept) -> nn.Module:
    """A copy of ``network`` without the channels that are not ``kept``; its weights are dense."""
    small = own_copy(network)
    depthwise = {module for module in small.modules() if is_depthwise(module)}
    narrower: dict[str, Tensor] = {}
    with torch.no_grad():
        for (name, axis), places in _kept_places(small, groups, kept).items():
            values = narrower.get(name, _tensor(small, name))
            narrower[name] = values.index_select(axis, places.nonzero()[:, 0])
    _replace(small, narrower)
    for path, places in _bare_places(groups, kept).items():
        _narrow(small.get_submodule(path), places)
    for module in small.modules():
        _resize(module, module in depthwise)
    small.zero_grad(set_to_none=True)
    return small


def masked(network: nn.Module, groups: Sequence[ChannelGroup], kept: Kept) -> nn.Module:
    """A copy of ``network`` of its full size in which everything that makes a channel that is not
    ``kept``, and the weights that read it, are zero."""
    large = own_copy(network)
    with torch.no_grad():
        for (name, axis), places in _kept_places(large, groups, kept).items():
            if not name.endswith("running_var"):
                _tensor(large, name).index_fill_(axis, (~places).nonzero()[:, 0], 0.0)
    return large


def masks(network: nn.Module, groups: Sequence[ChannelGroup], kept: Kept) -> Masks:
    """True for every prunable weight of ``network`` whose output and input channel both stay."""
    found = {
        name: torch.ones(weight.shape, dtype=torch.bool)
        for name, weight in prunable_weights(network).items()
    }
    for (name, axis), places in _kept_places(network, groups, kept).items():
        if name in found:
            found[name].index_fill_(axis, (~places).nonzero()[:, 0].cpu(), False)
    return Masks(found)


def removed(groups: Sequence[ChannelGroup], kept: Kept) -> dict[str, tuple[int, ...]]:
    """The output channels that go, by the path of each layer that makes them, in ascending
    order."""
    found: dict[str, set[int]] = defaultdict(set)
    for group in groups:
        gone = ~_mask(group, kept)
        if gone.any():
            for producer in group.producers:
                found[producer.layer].update(producer.channels[gone].flatten().tolist())
    return {layer: tuple(sorted(channels)) for layer, channels in found.items()}


def kept_of(groups: Sequence[ChannelGroup], gone: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """The inverse of ``removed``. Raises ``DataError`` if these channels cannot be removed from
    these groups."""
    kept = {}
    for group in groups:
        first = group.producers[0]
        channels = torch.tensor(sorted({*gone.get(first.layer, ())}), dtype=torch.int64)
        kept[group.name] = ~torch.isin(first.channels[:, 0], channels)
    again = removed(groups, kept)
    for layer in [*gone, *again]:
        if {*again.get(layer, ())} != {*gone.get(layer, ())}:
            raise DataError(
                f"The channels that were removed from layer {layer!r} do not fit this network; it "
                "was saved from another architecture or by another version of this software."
            )
    if not all(bool(stays.any()) for stays in kept.values()):
        raise DataError("The label says that all channels of a layer were removed.")
    return kept


def replay(network: nn.Module, gone: Mapping[str, Sequence[int]], sample: Tensor) -> nn.Module:
    """Remove the channels ``gone``, as ``removed`` lists them, from a network that was built
    afresh; ``sample`` is a batch (N, C, …) of any numbers.

    Raises ``DataError`` if they do not fit it, ``ModelError`` if it does not run on ``sample``.
    """
    if not gone:
        return network
    groups = find_groups(network, sample)
    return cut(network, groups, kept_of(groups, gone))


def _mask(group: ChannelGroup, kept: Kept) -> Tensor:
    mask = kept.get(group.name)
    return torch.ones(group.channels, dtype=torch.bool) if mask is None else mask.cpu()


def _kept_places(
    network: nn.Module, groups: Sequence[ChannelGroup], kept: Kept
) -> dict[tuple[str, int], Tensor]:
    """True for the places that stay along each axis that is cut, by tensor and axis."""
    found: dict[tuple[str, int], Tensor] = {}
    for group in groups:
        gone = ~_mask(group, kept)
        if not gone.any():
            continue
        for part in group.slices:
            tensor = _tensor(network, part.tensor)
            key = part.tensor, part.axis
            if key not in found:
                found[key] = torch.ones(
                    tensor.shape[part.axis], dtype=torch.bool, device=tensor.device
                )
            found[key][part.indices[gone].flatten().to(tensor.device)] = False
    return found


def _bare_places(groups: Sequence[ChannelGroup], kept: Kept) -> dict[str, Tensor]:
    """True for the output channels that stay, by layers that have no tensor of their width."""
    found: dict[str, Tensor] = {}
    for group in groups:
        for bare in group.bare:
            places = found.setdefault(bare.layer, torch.ones(bare.size, dtype=torch.bool))
            places[bare.channels[~_mask(group, kept)].flatten()] = False
    return found


def _narrow(module: nn.Module, places: Tensor) -> None:
    """Leave the output channels ``places`` to a layer that has no tensor of its width."""
    if isinstance(module, ChannelPadding):
        module.before, module.after = (
            int(places[: module.before].sum()),
            int(places[len(places) - module.after :].sum()),
        )
    elif isinstance(module, BY_CHANNEL):
        module.num_features = int(places.sum())


def _tensor(network: nn.Module, name: str) -> Tensor:
    path, _, own = name.rpartition(".")
    tensor: Tensor = getattr(network.get_submodule(path), own)
    return tensor


def _replace(network: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put ``values`` in the place of parameters and buffers, wherever they are used."""
    new: dict[Tensor, Tensor] = {}
    for name, value in values.items():
        old = _tensor(network, name)
        is_parameter = isinstance(old, nn.Parameter)
        new[old] = nn.Parameter(value, old.requires_grad) if is_parameter else value
    for module in network.modules():
        for tensors in (module._parameters, module._buffers):
            for own, tensor in tensors.items():
                if tensor in new:
                    tensors[own] = new[tensor]  # type: ignore[assignment]


def _resize(module: nn.Module, depthwise: bool) -> None:
    """Set the widths that ``module`` says it has to those of its tensors."""
    if isinstance(module, _ConvNd):
        shape = module.weight.shape
        transposed = isinstance(module, _ConvTransposeNd)
        if depthwise:
            each = module.out_channels // module.groups
            module.groups = shape[0] if transposed else shape[0] // each
        outputs, inputs = (shape[1] * module.groups, shape[0]) if transposed else shape[:2]
        module.out_channels = outputs
        module.in_channels = inputs if transposed else inputs * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, BY_CHANNEL):
        tensor = next((t for t in (module.weight, module.running_mean) if t is not None), None)
        if tensor is not None:
            module.num_features = len(tensor)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
