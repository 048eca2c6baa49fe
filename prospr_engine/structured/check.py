"""The proof behind every surgery: the small network answers like the large one with the same
channels set to zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product

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
    if problem(network, groups, kept, sample) is None:
        return
    names = [group.name for group in groups if not _stays(group, kept)]
    for group in groups:
        if group.name in names:
            found = problem(network, groups, {group.name: kept[group.name]}, sample)
            if found is not None:
                raise ModelError(_sentence(group.name, found))
    raise ModelError(_sentence(names[0], problem(network, groups, kept, sample) or ""))


def cuttable(
    network: nn.Module, groups: Sequence[ChannelGroup], sample: Tensor
) -> tuple[tuple[ChannelGroup, ...], dict[str, str]]:
    """Those of ``groups`` that can be cut so that the small network equals the masked large one,
    tried by removing a part of each; and for the others, by name, what was wrong."""
    halves = {group.name: _some(group, number) for number, group in enumerate(groups)}
    if not groups or problem(network, groups, halves, sample) is None:
        return tuple(groups), {}
    problems = {}
    for group in groups:
        found = problem(network, groups, {group.name: halves[group.name]}, sample)
        if found is not None:
            problems[group.name] = found
    rest = tuple(group for group in groups if group.name not in problems)
    if problems and problem(network, rest, halves, sample) is None:
        return rest, problems
    return (), problems


def difference(large: Tensor, small: Tensor) -> float:
    """The largest difference, relative to the largest number of ``large``."""
    if not large.numel():
        return 0.0
    scale = max(float(large.abs().max()), 1e-30)
    return float((large - small).abs().max()) / scale


def _some(group: ChannelGroup, number: int) -> Tensor:
    """About half of the channels, for each group others and another number of them: so it shows if
    two groups have to lose the same ones after all."""
    generator = torch.Generator().manual_seed(number)
    count = 1 + (group.channels // 2 + number) % (group.channels - 1)
    order = torch.randperm(group.channels, generator=generator)
    return torch.isin(torch.arange(group.channels), order[:count])


def _stays(group: ChannelGroup, kept: Kept) -> bool:
    return group.name not in kept or bool(kept[group.name].all())


def _sentence(layer: str, reason: str) -> str:
    return (
        f"Channels of layer {layer!r} cannot be removed from this network: {reason}. Keep the "
        "layer dense, or remove single weights instead."
    )


def problem(
    network: nn.Module, groups: Sequence[ChannelGroup], kept: Kept, sample: Tensor
) -> str | None:
    """What is wrong with the network without these channels; None if it is right."""
    refusal: ModelError | None = None
    for drawn, double in product((True, False), (True, False)):
        generator = torch.Generator().manual_seed(0)
        large = _as_trained(network, generator, drawn, double)
        x = _inputs(sample, generator, double)
        zeroed = masked(large, groups, kept)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            try:
                with _outputs(zeroed) as layers:
                    expected = logits_of(zeroed, x)
            except ModelError as error:
                refusal = error  # it may insist on its own format
                continue
            if expected.isfinite().all():
                tolerance = WIDE if double else TOLERANCE
                return _compared(large, groups, kept, x, zeroed, layers, expected, tolerance)
    if refusal:
        raise refusal
    return "its answers are not finite"


def _inputs(sample: Tensor, generator: torch.Generator, double: bool) -> Tensor:
    """Two random inputs; of a sample of whole numbers the first two, which may be of a few."""
    if not sample.is_floating_point():
        return torch.cat([sample, sample])[:2].cpu()
    shape, dtype = (2, *sample.shape[1:]), torch.float64 if double else sample.dtype
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def _compared(
    large: nn.Module,
    groups: Sequence[ChannelGroup],
    kept: Kept,
    x: Tensor,
    zeroed: nn.Module,
    layers: Mapping[str, list[Tensor]],
    expected: Tensor,
    tolerance: float,
) -> str | None:
    """How ``large`` without channels differs from ``zeroed``, in words."""
    try:
        small = cut(large, groups, kept)
        with _outputs(small) as of_small:
            found = logits_of(small, x)
        wrong = _differing(zeroed, layers, of_small, removed(groups, kept), tolerance)
        if wrong is None and not _same(expected, found, tolerance):
            wrong = "its answers would be others"
        return wrong or _in_training(zeroed, small, x)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return f"without them it does not run ({first_line(error.__cause__ or error)})"


def _differing(
    large: nn.Module,
    of_large: Mapping[str, list[Tensor]],
    of_small: Mapping[str, list[Tensor]],
    gone: Mapping[str, Sequence[int]],
    tolerance: float,
) -> str | None:
    """The first layer that returns something else in the small network, in words."""
    for path, outputs in of_large.items():
        layer = large.get_submodule(path)
        axis = -1 if isinstance(layer, nn.Linear) else 1
        for one, other in zip(outputs, of_small.get(path, []), strict=False):
            stays = torch.ones(one.shape[axis], dtype=torch.bool)
            stays[[*gone.get(path, ())]] = False
            expected = one.index_select(axis, stays.nonzero()[:, 0])
            if not _same(expected, other, tolerance):
                return f"{named(path, layer)} would compute something else"
    return None


def _same(expected: Tensor, found: Tensor, tolerance: float) -> bool:
    return expected.shape == found.shape and difference(expected, found) <= tolerance


def _in_training(large: nn.Module, small: nn.Module, x: Tensor) -> str | None:
    """What goes wrong with the small network in train mode, and not with the large one."""
    for network in (small, large):
        set_mode(network, True)
    try:
        small(x.clone())
    except Exception as error:
        if is_out_of_memory(error):
            raise
        try:
            large(x.clone())
        except Exception:  # noqa: BLE001 - whatever it needs to train, it does not get here
            return None
        return f"without them it does not run in training ({first_line(error)})"
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


def _as_trained(
    network: nn.Module, generator: torch.Generator, drawn: bool, double: bool
) -> nn.Module:
    """A copy in eval mode, with numbers as training may have left them if they are to be
    ``drawn``, else as they are."""
    copy = own_copy(network).cpu()
    set_mode(copy, False)
    if double:
        copy.double()
    if not drawn:
        return copy

    def draw(tensor: Tensor, low: float, high: float) -> None:
        tensor.uniform_(low, high, generator=generator)

    with torch.no_grad():
        for name, parameter in copy.named_parameters():
            if not parameter.is_floating_point():
                continue
            if parameter.dim() > 1 and min(parameter.shape) > 0 and parameter.shape[0] > 1:
                bound = (6 / parameter[0].numel()) ** 0.5  # the variance of He et al.
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
