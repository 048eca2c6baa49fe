"""What masks do to a network, examined before any training.

A kept weight works only if its input channel carries a signal from the input and its output
channel reaches the output. Pruning can cut a channel off on either side; weights attached
to it do nothing although they are kept, so they count as pruned in the *effective* sparsity
(Vysogorets and Kempe, Connectivity Matters, JMLR 2023, https://arxiv.org/abs/2107.02306).

No graph is parsed. A scratch copy answers two inputs in double precision: kept weights are
drawn positive and at random, normalisation is taken out and biases are zero, so that signals
rarely cancel (a difference of branches can) and are not cut by a rectifier. A channel carries a
signal if it differs between the two inputs, and reaches the output if the gradient of the
output's sum is not zero there.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from prospr_engine.errors import ModelError
from prospr_engine.format import fixed_percent
from prospr_engine.network.prunable import PrunableWeight, prunable_weights
from prospr_engine.pruning.masks import matching_parameters

NORMALISATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)


@dataclass(frozen=True)
class LayerHealth:
    """One layer: weights ``kept`` of ``total``, of which ``effective`` are connected to both
    ends, and ``dead_channels`` of ``channels`` output channels that are cut off."""

    name: str
    total: int
    kept: int
    effective: int
    channels: int
    dead_channels: int


@dataclass(frozen=True)
class Finding:
    """A sentence for people; ``level`` is "danger", "warning" or "fine", ``layer`` may be None."""

    level: str
    text: str
    layer: str | None = None


@dataclass(frozen=True)
class Health:
    """The examination's result: ``dead_outputs`` of ``outputs`` logits are the same whatever
    the input."""

    layers: tuple[LayerHealth, ...]
    outputs: int
    dead_outputs: int
    findings: tuple[Finding, ...]

    @property
    def path(self) -> bool:
        """Does any signal get from the input to the output?"""
        return self.dead_outputs < self.outputs

    @property
    def total(self) -> int:
        return sum(layer.total for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """The fraction of weights removed by the masks."""
        return 1 - sum(layer.kept for layer in self.layers) / self.total

    @property
    def effective_sparsity(self) -> float:
        """The fraction of weights removed or cut off."""
        return 1 - sum(layer.effective for layer in self.layers) / self.total


def examine(model: nn.Module, masks: Mapping[str, Tensor], sample: Tensor) -> Health:
    """Examine ``model`` under ``masks``; the model comes back untouched.

    ``sample`` gives the shape of an input, (N, C, H, W) or whatever the model takes; its values
    are not used. Raises ``ModelError`` if the masks do not fit the model.
    """
    matching_parameters(model, masks)
    weights = prunable_weights(model)
    full = {name: torch.ones(w.shape, dtype=torch.bool) for name, w in weights.items()}
    given = full | {name: mask.cpu() for name, mask in masks.items()}
    if not sample.is_floating_point():
        raise ModelError("The health check needs a sample of real numbers, not token indices.")
    effective, answers = _effective(model, given, weights, tuple(sample.shape[1:]))
    layers = tuple(
        _layer_health(weight, given[name], effective[name]) for name, weight in weights.items()
    )
    outputs, dead = len(answers), int((~answers).sum())
    return Health(layers, outputs, dead, tuple(_findings(layers, outputs, dead)))


def _effective(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    weights: Mapping[str, PrunableWeight],
    shape: tuple[int, ...],
) -> tuple[dict[str, Tensor], Tensor]:
    """Per weight, the kept ones that are connected to both ends; and which outputs answer."""
    generator = torch.Generator().manual_seed(0)
    scratch = _positive_copy(model, masks, generator)
    inputs = torch.rand(2, *shape, generator=generator, dtype=torch.float64) + 0.5
    parameters = dict(scratch.named_parameters())
    uses: dict[str, list[_Connection]] = defaultdict(list)

    def listen(module: nn.Module, name: str) -> None:
        # Convolutions count channels from the front, linear layers from the back.
        dim = -1 if isinstance(module, nn.Linear) else 1

        def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            output = _Rescaled.apply(output)
            use = _Connection(_differs(args[0], dim))
            uses[name].append(use)
            if output.requires_grad:
                output.register_hook(lambda g: setattr(use, "reaches", _any_but(g != 0, dim)))
            return output

        module.register_forward_hook(after)

    names = {id(parameter): name for name, parameter in parameters.items()}
    for module in scratch.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            listen(module, names[id(module.weight)])
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        output = scratch(inputs)
        answers = _differs(output, -1)
        draw = torch.rand(output.shape, generator=generator, dtype=torch.float64)
        if output.requires_grad:
            (output * (draw + 0.5)).sum().backward()

    effective = {}
    for name, weight in weights.items():
        works = torch.zeros(weight.shape, dtype=torch.bool)
        for use in uses[name]:
            if use.reaches is not None:
                works |= _both_ends(weight, use.carries, use.reaches)
        gradient = parameters[name].grad
        if not uses[name] and gradient is not None:
            # A layer whose weight is used without calling it, as attention uses its projection.
            works = gradient != 0
        effective[name] = works & masks[name]
    return effective, answers


@dataclass
class _Connection:
    """One use of a layer: input channels that carry a signal, outputs that reach the end."""

    carries: Tensor
    reaches: Tensor | None = None


def _positive_copy(
    model: nn.Module, masks: Mapping[str, Tensor], generator: torch.Generator
) -> nn.Module:
    """Kept weights positive and random, normalisation taken out, biases zero, no dropout."""
    scratch = copy.deepcopy(model).cpu().double().eval().requires_grad_()
    for module in scratch.modules():
        if isinstance(module, NORMALISATIONS):
            # Not replaced: some layers read attributes of the normalisations they hold.
            module.forward = _unchanged  # type: ignore[method-assign]
    with torch.no_grad():
        for name, parameter in scratch.named_parameters():
            if name in masks:
                draw = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
                # Divided by the fan-in, so that no softmax saturates to an exact zero gradient.
                fan_in = max(1, parameter[0].numel())
                parameter.copy_((draw + 0.5) * masks[name] / fan_in)
            else:
                parameter.abs_()
        for module in scratch.modules():
            bias = module._parameters.get("bias")
            if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and bias is not None:
                bias.zero_()
    return scratch


def _unchanged(x: Tensor) -> Tensor:
    return x


class _Rescaled(torch.autograd.Function):
    """Divides by the largest value, forward and backward: deep networks neither overflow nor
    vanish, and what is zero stays zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x / x.abs().amax().clamp_min(torch.finfo(x.dtype).tiny)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient / gradient.abs().amax().clamp_min(torch.finfo(gradient.dtype).tiny)


def _differs(values: Tensor, dim: int) -> Tensor:
    """Channels in which the two inputs differ by more than rounding."""
    values = values.detach()
    tolerance = 1e-12 * values.abs().amax(0, keepdim=True)
    return _any_but((values[:1] - values[1:]).abs() > tolerance, dim)


def _any_but(flags: Tensor, dim: int) -> Tensor:
    return flags.movedim(dim, 0).flatten(1).any(1)


def _layer_health(weight: PrunableWeight, mask: Tensor, effective: Tensor) -> LayerHealth:
    return LayerHealth(
        name=weight.name,
        total=mask.numel(),
        kept=int(mask.sum()),
        effective=int(effective.sum()),
        channels=weight.out_channels,
        dead_channels=int((weight.channel_sums(effective.long()) == 0).sum()),
    )


def _both_ends(weight: PrunableWeight, carries: Tensor, reaches: Tensor) -> Tensor:
    """Positions whose input channel carries a signal and whose output channel reaches the end."""
    both = carries.view(weight.groups, 1, -1) & reaches.view(weight.groups, -1, 1)
    if weight.out_dim == 1:  # (groups, out/groups, in/groups) so far
        both = both.transpose(1, 2)
    both = both.flatten(0, 1)
    return both.view(*both.shape, *[1] * (len(weight.shape) - 2)).expand(weight.shape)


def _findings(layers: tuple[LayerHealth, ...], outputs: int, dead_outputs: int) -> list[Finding]:
    findings = []
    path = dead_outputs < outputs
    if path and dead_outputs:
        findings.append(
            Finding(
                "danger",
                f"{dead_outputs} of {outputs} classes are no longer connected to the image: the "
                "network can hardly predict them. Choose a lower sparsity or a minimum of weights "
                "per layer.",
            )
        )
    if not path:
        findings.append(
            Finding(
                "danger",
                "No path is left from the input to the output: every image gets the same answer. "
                "Choose a lower sparsity or a minimum of weights per layer.",
            )
        )
    for layer in layers:
        if layer.kept == 0:
            text = f"Layer {layer.name} lost all its {layer.total:,} weights."
            findings.append(Finding("danger" if not path else "warning", text, layer.name))
    kept = sum(layer.kept for layer in layers)
    effective = sum(layer.effective for layer in layers)
    cut_off = kept - effective
    if path and cut_off:
        total = sum(layer.total for layer in layers)
        findings.append(
            Finding(
                _severity(cut_off / kept),
                f"{cut_off:,} of {kept:,} kept weights ({fixed_percent(cut_off / kept)}) are cut "
                "off from the input or the output and do nothing: the effective sparsity is "
                f"{fixed_percent(1 - effective / total, 2)}.",
            )
        )
    for layer in layers:
        if path and layer.kept and layer.dead_channels > 0.5 * layer.channels:
            findings.append(
                Finding(
                    "warning",
                    f"Layer {layer.name} has {layer.dead_channels} of {layer.channels} output "
                    "channels that no longer carry any signal.",
                    layer.name,
                )
            )
    if not findings:
        findings.append(
            Finding("fine", "Every kept weight is connected to the input and to the output.")
        )
    return findings


def _severity(share_cut_off: float) -> str:
    if share_cut_off > 0.5:
        return "danger"
    return "warning" if share_cut_off > 0.1 else "fine"
