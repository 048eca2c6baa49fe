"""What masks do to a network, examined before any training.

A kept weight works only if its input channel carries a signal from the input and its output
channel reaches the output. Pruning can cut a channel off on either side; weights attached
to it do nothing although they are kept, so they count as pruned in the *effective* sparsity
(Vysogorets and Kempe, Connectivity Matters, JMLR 2023, https://arxiv.org/abs/2107.02306).

What is not connected with nothing removed is not pruning's doing, and where connections depend on
the values of inputs, their number is not known; ``connections`` finds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.format import fixed_percent
from prospr_engine.network.foreign import check_module
from prospr_engine.network.prunable import PrunableWeight, prunable_weights
from prospr_engine.pruning.connections import Connections, connections
from prospr_engine.pruning.masks import matching_parameters


@dataclass(frozen=True)
class LayerHealth:
    """One layer: weights ``kept`` of ``total``, of which pruning left ``effective`` connected to
    both ends, and ``dead_channels`` of ``channels`` output channels that it cut off. The two are
    None where it cannot be told."""

    name: str
    total: int
    kept: int
    effective: int | None
    channels: int
    dead_channels: int | None


@dataclass(frozen=True)
class Finding:
    """A sentence for people; ``level`` is "danger", "warning" or "fine", ``layer`` may be None."""

    level: str
    text: str
    layer: str | None = None


@dataclass(frozen=True)
class Health:
    """The examination's result: ``dead_outputs`` of ``outputs`` logits are the same whatever
    the input, because of pruning."""

    layers: tuple[LayerHealth, ...]
    outputs: int
    dead_outputs: int
    findings: tuple[Finding, ...]

    @property
    def path(self) -> bool:
        """Does any signal get from the input to the output?"""
        return self.dead_outputs < self.outputs or not self.outputs

    @property
    def total(self) -> int:
        return sum(layer.total for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """The fraction of weights removed by the masks."""
        return 1 - sum(layer.kept for layer in self.layers) / self.total

    @property
    def effective_sparsity(self) -> float | None:
        """The fraction of weights removed or cut off; None if it cannot be told."""
        effective = _effective(self.layers)
        return None if effective is None else 1 - effective / self.total


def examine(model: nn.Module, masks: Mapping[str, Tensor], sample: Tensor) -> Health:
    """Examine ``model`` under ``masks``; the model comes back untouched.

    ``sample`` gives the shape of an input, (N, C, H, W) or whatever the model takes; its values
    are not used. Raises ``ModelError`` if the masks do not fit the model.
    """
    check_module(model)
    matching_parameters(model, masks)
    weights = prunable_weights(model)
    full = {name: torch.ones(w.shape, dtype=torch.bool) for name, w in weights.items()}
    given = full | {name: mask.cpu() for name, mask in masks.items()}
    if not isinstance(sample, Tensor):
        raise ModelError(f"The sample is of type {type(sample).__name__}; give a torch.Tensor.")
    if not sample.is_floating_point():
        raise ModelError("The health check needs a sample of real numbers, not token indices.")
    found = connections(model, given, weights, sample)
    layers = tuple(
        _layer_health(weight, given[name], None if found.works is None else found.works[name])
        for name, weight in weights.items()
    )
    return Health(layers, found.outputs, found.dead, tuple(_findings(layers, found)))


def _effective(layers: tuple[LayerHealth, ...]) -> int | None:
    known = [layer.effective for layer in layers if layer.effective is not None]
    return sum(known) if len(known) == len(layers) else None


def _layer_health(weight: PrunableWeight, mask: Tensor, works: Tensor | None) -> LayerHealth:
    dead = None if works is None else int((weight.channel_sums(works.long()) == 0).sum())
    return LayerHealth(
        name=weight.name,
        total=mask.numel(),
        kept=int(mask.sum()),
        effective=None if works is None else int(works.sum()),
        channels=weight.out_channels,
        dead_channels=dead,
    )


def _findings(layers: tuple[LayerHealth, ...], found: Connections) -> list[Finding]:
    findings = []
    outputs, dead_outputs = found.outputs, found.dead
    path = dead_outputs < outputs or not outputs
    if found.doubt:
        text = f"How many weights are cut off is not known for this network: {found.doubt}."
        findings.append(Finding("warning", text))
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
        if layer.kept == 0 and layer.total:
            text = f"Layer {layer.name} lost all its {layer.total:,} weights."
            findings.append(Finding("danger" if not path else "warning", text, layer.name))
    kept = sum(layer.kept for layer in layers)
    effective = _effective(layers)
    cut_off = 0 if effective is None else kept - effective
    if path and cut_off and effective is not None:
        total = sum(layer.total for layer in layers)
        findings.append(
            Finding(
                _severity(cut_off / kept),
                f"{cut_off:,} of {kept:,} kept weights ({fixed_percent(cut_off / kept)}) are cut "
                "off from the input or the output and carry no signal: the effective sparsity is "
                f"{fixed_percent(1 - effective / total, 2)}.",
            )
        )
    for layer in layers:
        if path and layer.kept and (layer.dead_channels or 0) > 0.5 * layer.channels:
            findings.append(
                Finding(
                    "warning",
                    f"Layer {layer.name} has {layer.dead_channels} of {layer.channels} output "
                    "channels that no longer carry any signal.",
                    layer.name,
                )
            )
    apart = {name: int(flags.sum()) for name, flags in found.apart.items() if flags.any()}
    if apart:
        first = next(iter(apart))
        text = (
            f"{sum(apart.values()):,} weights (the first of them in {first}) take no part in the "
            "answer even with nothing removed; they are not counted as cut off."
        )
        findings.append(Finding("fine", text))
    if not findings:
        findings.append(
            Finding("fine", "Every kept weight is connected to the input and to the output.")
        )
    return findings


def _severity(share_cut_off: float) -> str:
    if share_cut_off > 0.5:
        return "danger"
    return "warning" if share_cut_off > 0.1 else "fine"
