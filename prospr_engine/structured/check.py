"""The proof behind every surgery: the small network answers like the large one with the same
channels set to zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from prospr_engine.errors import ModelError
from prospr_engine.network.device import is_out_of_memory
from prospr_engine.network.foreign import first_line, logits_of, named, own_copy, set_mode
from prospr_engine.structured.groups import ChannelGroup
from prospr_engine.structured.surgery import Kept, cut, masked, removed

TOLERANCE = 1e-5
"""The largest relative difference that counts as rounding."""

WIDE = 1e-9
"""The same in float64."""


def check_equal(
    network: nn.Module, groups: Sequence[ChannelGroup], kept: Kept, sample: Tensor
) -> None:
    """Raise ``ModelError``, which names a layer, unless the network that ``cut`` makes answers like
    the one that ``masked`` makes.

    Compared in eval mode, on random inputs of the shape of ``sample``, (N, C, …), in copies with
    random weights, biases and statistics of normalisations, as if they had been trained: initial
    ones hide what they multiply by zero. So are the outputs of every convolution and linear layer;
    and the small network has to run in train mode where the large one does.
    """
    if _problem(network, groups, kept, sample) is None:
        return
    names = [group.name for group in groups if not _stays(group, kept)]
    for group in groups:
        if group.name in names:
            problem = _problem(network, groups, {group.name: kept[group.name]}, sample)
            if problem is not None:
                raise ModelError(_sentence(group.name, problem))
    raise ModelError(_sentence(names[0], _problem(network, groups, kept, sample) or ""))


def cuttable(
    network: nn.Module, groups: Sequence[ChannelGroup], sample: Tensor
) -> tuple[tuple[ChannelGroup, ...], dict[str, str]]:
    """Those of ``groups`` that can be cut so that the small network equals the masked large one,
    tried by removing a part of each; and for the others, by name, what was wrong."""
    halves = {group.name: _some(group) for group in groups}
    if not groups or _problem(network, groups, halves, sample) is None:
        return tuple(groups), {}
    problems = {}
    for group in groups:
        problem = _problem(network, groups, {group.name: halves[group.name]}, sample)
        if problem is not None:
            problems[group.name] = problem
    rest = tuple(group for group in groups if group.name not in problems)
    if problems and _problem(network, rest, halves, sample) is None:
        return rest, problems
    return (), problems


def difference(large: Tensor, small: Tensor) -> float:
    """The largest difference, relative to the largest number of ``large``."""
    if not large.numel():
        return 0.0
    scale = max(float(large.abs().max()), 1e-30)
    return float((large - small).abs().max()) / scale


def _some(group: ChannelGroup) -> Tensor:
    """Every second channel, and of the last few all but one: no pattern that fits by chance."""
    stays = torch.arange(group.channels) % 2 == 0
    stays[group.channels // 2 :] &= torch.arange(group.channels - group.channels // 2) % 3 != 1
    stays[0] = True
    return stays


def _stays(group: ChannelGroup, kept: Kept) -> bool:
    return group.name not in kept or bool(kept[group.name].all())


def _sentence(layer: str, problem: str) -> str:
    return (
        f"Channels of layer {layer!r} cannot be removed from this network: {problem}. Keep the "
        "layer dense, or remove single weights instead."
    )


def _problem(
    network: nn.Module, groups: Sequence[ChannelGroup], kept: Kept, sample: Tensor
) -> str | None:
    """What is wrong with the network without these channels; None if it is right."""
    generator = torch.Generator().manual_seed(0)
    large = _as_trained(network, generator)
    x = torch.randn((2, *sample.shape[1:]), generator=generator, dtype=torch.float64)
    tolerance = WIDE
    try:
        logits_of(large, x)
    except ModelError:  # it insists on its own format
        large, x, tolerance = _as_trained(network, generator, double=False), x.float(), TOLERANCE
    try:
        zeroed, small = masked(large, groups, kept), cut(large, groups, kept)
        return _compared(zeroed, small, groups, kept, x, tolerance)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return f"without them it does not run ({first_line(error)})"


def _compared(
    large: nn.Module,
    small: nn.Module,
    groups: Sequence[ChannelGroup],
    kept: Kept,
    x: Tensor,
    tolerance: float,
) -> str | None:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        with _outputs(large) as of_large:
            expected = logits_of(large, x)
        with _outputs(small) as of_small:
            found = logits_of(small, x)
        gone = _gone(groups, kept)
        modules = dict(large.named_modules())
        for path, outputs in of_large.items():
            for one, other in zip(outputs, of_small.get(path, []), strict=False):
                if path in gone:
                    axis = -1 if isinstance(modules[path], nn.Linear) else 1
                    stays = [i for i in range(one.shape[axis]) if i not in gone[path]]
                    one = one.index_select(axis, torch.tensor(stays))
                if one.shape != other.shape or not difference(one, other) <= tolerance:
                    return f"{named(path, modules[path])} would compute something else"
        if expected.shape != found.shape or not difference(expected, found) <= tolerance:
            return "its answers would be others"
        set_mode(large, True)
        set_mode(small, True)
        try:
            large(x.clone())
        except Exception:  # noqa: BLE001 - whatever it needs to train, it does not get here
            return None
        small(x.clone())
    return None


@contextmanager
def _outputs(network: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """What the convolutions and linear layers of ``network`` return in this block, by path."""
    found: dict[str, list[Tensor]] = {}
    handles = []
    for path, module in network.named_modules():
        if isinstance(module, _ConvNd | nn.Linear):

            def keep(module: nn.Module, args: object, output: Tensor, path: str = path) -> None:
                found.setdefault(path, []).append(output.detach())

            handles.append(module.register_forward_hook(keep))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _gone(groups: Sequence[ChannelGroup], kept: Kept) -> dict[str, set[int]]:
    """The output channels that go, by layer."""
    return {layer: {*channels} for layer, channels in removed(groups, kept).items()}


def _as_trained(network: nn.Module, generator: torch.Generator, double: bool = True) -> nn.Module:
    """A copy in eval mode, with numbers as training may have left them."""
    copy = own_copy(network).cpu()
    set_mode(copy, False)
    if double:
        copy.double()

    def draw(tensor: Tensor, low: float, high: float) -> None:
        values = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
        tensor.copy_(low + (high - low) * values)

    with torch.no_grad():
        for name, parameter in copy.named_parameters():
            if not parameter.is_floating_point():
                continue
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
            module = copy.get_submodule(name.rpartition(".")[0])
            if isinstance(module, _ConvNd | nn.Linear) and parameter.dim() > 1 and fan_in:
                bound = (6 / fan_in) ** 0.5  # the variance of He et al.
                draw(parameter, -bound, bound)
            elif name.endswith("bias"):
                draw(parameter, -0.5, 0.5)
            else:
                draw(parameter, 0.5, 1.5)
        for module in copy.modules():
            if isinstance(module, _NormBase) and module.running_mean is not None:
                draw(module.running_mean, -0.5, 0.5)
            if isinstance(module, _NormBase) and module.running_var is not None:
                draw(module.running_var, 0.5, 1.5)
    return copy
