"""Masks: which weights are kept, and the one rule that turns scores into masks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prospr_engine.errors import DataError, ModelError
from prospr_engine.io.tensors import load_tensors, save_tensors
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.overrides import Override
from prospr_engine.pruning.budget import Budget, budget


@dataclass(frozen=True)
class LayerStats:
    """What a layer keeps: ``kept`` of ``total`` weights."""

    name: str
    total: int
    kept: int
    shape: tuple[int, ...]

    @property
    def density(self) -> float:
        return self.kept / self.total


class Masks(Mapping[str, Tensor]):
    """Boolean tensors by parameter name, True where a weight is kept.

    ``metadata`` (plain values: method, sparsity, seed …) travels with ``save`` and ``load``.
    """

    def __init__(self, masks: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None):
        for name, mask in masks.items():
            if mask.dtype != torch.bool:
                raise DataError(f"The mask of {name!r} holds {mask.dtype}; masks are boolean.")
        self._masks = dict(masks)
        self.metadata = dict(metadata or {})

    def __getitem__(self, name: str) -> Tensor:
        return self._masks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __repr__(self) -> str:
        return f"Masks({self.kept:,} of {self.total:,} weights kept in {len(self)} layers)"

    @property
    def total(self) -> int:
        """Weights in all layers."""
        return sum(mask.numel() for mask in self.values())

    @property
    def kept(self) -> int:
        """Weights kept in all layers."""
        return sum(int(mask.sum()) for mask in self.values())

    @property
    def sparsity(self) -> float:
        """The fraction removed, as achieved."""
        return 1.0 - self.kept / self.total if self.total else 0.0

    @property
    def layers(self) -> tuple[LayerStats, ...]:
        """Per-layer statistics in the network's order."""
        return tuple(
            LayerStats(name, mask.numel(), int(mask.sum()), tuple(mask.shape))
            for name, mask in self.items()
        )

    def apply_to(self, model: nn.Module) -> None:
        """Set the pruned weights of ``model`` to zero, in place.

        Raises ``ModelError`` if a mask has no parameter of its name and shape.
        """
        parameters = matching_parameters(model, self)
        with torch.no_grad():
            for name, parameter in parameters.items():
                # Not a product: 0 × NaN is NaN, and a pruned weight must be exactly +0.
                parameter.masked_fill_(~self[name].to(parameter.device), 0.0)

    def save(self, path: str | Path) -> None:
        """Write as safetensors, one boolean tensor per layer under the parameter's name."""
        save_tensors(path, self, self.metadata)

    @classmethod
    def load(cls, path: str | Path) -> Masks:
        """Read what ``save`` wrote; raises ``DataError`` if the file is no such thing."""
        return cls(*load_tensors(path))


def keep_all(model: nn.Module) -> Masks:
    """Masks that remove nothing, for the prunable weights of ``model``."""
    shapes = {name: weight.shape for name, weight in prunable_weights(model).items()}
    return Masks({name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()})


def matching_parameters(model: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, nn.Parameter]:
    """The parameter under each mask; raises ``ModelError`` where name or shape do not fit."""
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ModelError(f"The masks contain a weight {name!r} that this model does not have.")
        if parameters[name].shape != mask.shape:
            raise ModelError(
                f"The mask of {name!r} has shape {tuple(mask.shape)}, the weight "
                f"{tuple(parameters[name].shape)}; the masks were made for another model."
            )
    return {name: parameters[name] for name in masks}


def top_masks(
    scores: Mapping[str, Tensor],
    sparsity: float,
    layer_floor: int = 0,
    layers: Mapping[str, Override] | None = None,
) -> dict[str, Tensor]:
    """Keep the highest scores over the whole network: exactly ``kept_count`` of them.

    Equal scores are kept in the order of layers and positions, so masks are deterministic and
    nested: what is kept at a higher sparsity is kept at every lower one. ``layer_floor``
    weights of every layer (all, in a smaller one) are set aside first; ``layers`` with a setting of
    their own (see ``overrides``) keep their own highest scores and leave the rest to the others.
    Raises ``ConfigError`` if these do not fit together.
    """
    sizes = {name: score.numel() for name, score in scores.items()}
    return keep_top(scores, budget(sizes, sparsity, layer_floor, layers))


def keep_top(scores: Mapping[str, Tensor], kept_of: Budget) -> dict[str, Tensor]:
    """Keep the highest scores within a budget, as ``top_masks`` describes."""
    flat = flattened(scores, scores)
    sizes = [score.numel() for score in scores.values()]
    kept = torch.zeros_like(flat, dtype=torch.bool)
    if any(kept_of.floors) or any(own is not None for own in kept_of.own):
        taken = torch.zeros_like(kept)
        parts = zip(kept.split(sizes), taken.split(sizes), flat.split(sizes), strict=True)
        for (layer, gone, part), own, floor in zip(parts, kept_of.own, kept_of.floors, strict=True):
            layer |= _top(part, floor if own is None else own)
            gone |= layer if own is None else True
        flat = flat.masked_fill(taken, -math.inf)
    kept |= _top(flat, kept_of.shared - sum(kept_of.floors))
    return {
        name: layer.view(score.shape)
        for (name, score), layer in zip(scores.items(), kept.split(sizes), strict=True)
    }


def chosen_among_equals(
    scores: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    nothing: float = 0.0,
    alone: Collection[str] = (),
) -> int:
    """How many kept weights score the same as a weight that was removed, so that their position
    decided. Scores up to the part ``nothing`` of the highest count as zero. The layers ``alone``
    compete with no other."""
    flat = flattened(scores, scores)
    if not flat.isfinite().all():
        return 0
    zero = nothing * flat.abs().max()
    return sum(
        _equals(flattened(scores, names), flattened(masks, names), zero)
        for names in competing(scores, alone)
    )


def competing(names: Iterable[str], alone: Collection[str]) -> list[list[str]]:
    """The groups of layers whose weights compete for places: those ``alone`` each on its own."""
    groups = [[name for name in names if name not in alone], *([name] for name in alone)]
    return [group for group in groups if group]


def flattened(tensors: Mapping[str, Tensor], names: Iterable[str]) -> Tensor:
    """The tensors of these ``names`` as one vector."""
    return torch.cat([tensors[name].detach().flatten() for name in names])


def _equals(scores: Tensor, kept: Tensor, zero: Tensor) -> int:
    if bool(kept.all()):
        return 0
    scores = scores.masked_fill(scores.abs() <= zero, 0.0)
    removed = scores[~kept]
    equals = scores[kept] == removed.max()
    if bool((removed == 0).any()):
        equals |= scores[kept] == 0
    return int(equals.sum())


def _top(values: Tensor, count: int) -> Tensor:
    """The ``count`` highest of a vector, equal ones from the front; boolean, same length."""
    if count == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    # A selection and one pass for the ties: sorting millions of scores would cost much more.
    threshold = values.kthvalue(values.numel() - count + 1).values
    kept = values > threshold
    ties = (values == threshold).nonzero().flatten()
    kept[ties[: count - int(kept.sum())]] = True
    return kept
