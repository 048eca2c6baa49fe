"""What a criterion returns, and what the caller gets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from prospr_engine.errors import DataError, ScoringError
from prospr_engine.io.tensors import load_tensors, save_tensors
from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.overrides import Override, resolve
from prospr_engine.pruning.masks import Masks, chosen_among_equals, top_masks
from prospr_engine.pruning.ranking import check_target, read_target, read_target_layers
from prospr_engine.saliency.diagnostics import NOTHING, WIDE, Diagnostics, plain

OnStep = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and words for the step that begins."""


@dataclass(frozen=True)
class Saliency:
    """What a criterion computes, by name of the prunable weight.

    ``values``: the highest are kept. ``signed``: where the criterion has a signed effect
    of each weight on the loss, w ⊙ ∂L/∂w, from which channel scores follow; else the values.
    ``rest``: the signed effects of the parameters that are not ranked (biases, normalisations).
    ``whole``: of a criterion that prunes in rounds, the scores of the whole network;
    ``by_chance``: the largest share of the weights kept in a round that were chosen among equals.
    ``doubt``: a sentence, if the criterion itself knows why it should not be trusted. The rest,
    where there is any, is described in ``Diagnostics``.
    """

    values: dict[str, Tensor]
    signed: dict[str, Tensor]
    rest: Mapping[str, Tensor] = field(default_factory=dict)
    adjoint_norms: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    whole: Mapping[str, Tensor] | None = None
    by_chance: float = 0.0
    doubt: str = ""

    @classmethod
    def of(cls, signed: dict[str, Tensor], rest: Mapping[str, Tensor] | None = None) -> Saliency:
        """Scores that are the size of signed effects."""
        return cls({name: effect.abs() for name, effect in signed.items()}, signed, rest or {})

    def doubted(self, doubt: str) -> Saliency:
        """The same, with one more sentence of doubt."""
        return dataclasses.replace(self, doubt=" ".join(filter(None, (doubt, self.doubt))))


class Criterion(Protocol):
    """A row's implementation in ``METHODS``, or a function given to ``pe.score``.

    ``network.prunable`` names the weights to be scored; ``network.gradient(network.start, batch,
    i)`` gives the loss of a batch and its gradient, a tensor for each of ``network.names``.
    ``batches`` are on the network's device. The options of the row arrive as keywords, already
    checked; a criterion whose row is ``iterative`` also gets ``sparsity`` and ``layer_floor``, and
    ``layers`` if there are layers with a setting of their own: that setting by name of the weight.
    It is called under ``torch.no_grad``.

    Returns a ``Saliency``, or only the scores by name, in the weights' shapes.
    """

    def __call__(
        self, network: Network, batches: list[Batch], on_step: OnStep, **options: Any
    ) -> Saliency | Mapping[str, Tensor]: ...


@dataclass(frozen=True)
class Scores(Mapping[str, Tensor]):
    """Scores by parameter name, in the weights' shapes: the highest are kept.

    ``target`` is the sparsity, and the fewest weights per layer, that an iterative criterion
    pruned towards; None for one that ranks once for all. ``target_layers`` are the settings of
    layers of their own that it kept to, by the name of the weight.

    ``channels`` holds, per name, the signed sum of the scores over each output channel, shape
    (out_channels,). It is signed because channels that a residual sum ties together share one
    mask entry: their sums are to be added before the absolute value is taken. ``rest`` holds the
    signed effects of the parameters that are not ranked but go with a channel, shape
    (out_channels,): biases, and the scales and shifts of normalisations. A batch norm makes the
    scale of the weights before it irrelevant, so that their sums alone say next to nothing there.
    """

    values_by_name: Mapping[str, Tensor]
    channels: Mapping[str, Tensor]
    diagnostics: Diagnostics
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    target: tuple[float, int] | None = None
    rest: Mapping[str, Tensor] = field(default_factory=dict)
    target_layers: Mapping[str, Override] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def __repr__(self) -> str:
        total = sum(score.numel() for score in self.values())
        return f"Scores({self.method}, {total:,} weights in {len(self)} layers)"

    # Tensors have no plain equality; two scores are the same only if they are one object.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def masks(
        self,
        sparsity: float,
        layer_floor: int = 0,
        layers: Mapping[str, Override] | None = None,
    ) -> Masks:
        """Keep exactly ``ceil(N · (1 − sparsity))`` weights, those with the highest scores.

        Ties are broken by position; ``metadata["chosen_among_equals"]`` counts the kept weights
        that this decided. Every layer keeps at least ``layer_floor`` weights (all, if
        it has fewer). ``layers`` maps names or shell patterns of layers (``"layer4.*"``) to
        "dense", for one that keeps all of its weights, or to the fraction of it that is removed:
        such a layer keeps exactly ``ceil(n · (1 − fraction))`` of its own highest scores, and the
        others compete for what is left of the sparsity. Raises ``ConfigError`` for a sparsity
        outside [0, 1), floors and settings of layers that do not fit, or scores made for another
        ``target``; ``ScoringError`` if scores are not finite.
        """
        settings = resolve(layers or {}, list(self))
        check_target(self.target, self.target_layers, sparsity, layer_floor, settings)
        if self.diagnostics.non_finite:
            raise ScoringError(self.diagnostics.verdict)
        metadata = {
            "method": self.method,
            "options": dict(self.options),
            "sparsity": sparsity,
            "layer_floor": layer_floor,
            **({"layers": settings} if settings else {}),
        }
        masks = top_masks(self, sparsity, layer_floor, settings)
        nothing = NOTHING if self.diagnostics.precision in WIDE else 0.0
        metadata["chosen_among_equals"] = chosen_among_equals(self, masks, nothing, settings)
        return Masks(masks, metadata)

    def save(self, path: str | Path) -> None:
        """Write as safetensors; ``Scores.load`` reads it back."""
        parts = {
            f"{part}/{name}": values
            for part, by_name in (("channels", self.channels), ("rest", self.rest))
            for name, values in by_name.items()
        }
        metadata = {
            "method": self.method,
            "options": dict(self.options),
            "diagnostics": plain(dataclasses.asdict(self.diagnostics)),
            "target": self.target,
            **({"target_layers": dict(self.target_layers)} if self.target_layers else {}),
        }
        save_tensors(path, {**self, **parts}, metadata)

    @classmethod
    def load(cls, path: str | Path) -> Scores:
        """Read what ``save`` wrote; raises ``DataError`` if the file is no such thing."""
        tensors, metadata = load_tensors(path)
        prefixes = ("channels/", "rest/")
        if not {"diagnostics", "method", "options"} <= set(metadata):
            raise DataError(f"{path} holds no scores; give a file that Scores.save wrote.")

        def part(prefix: str) -> dict[str, Tensor]:
            return {
                name.removeprefix(prefix): values
                for name, values in tensors.items()
                if name.startswith(prefix)
            }

        return cls(
            {n: values for n, values in tensors.items() if not n.startswith(prefixes)},
            part("channels/"),
            Diagnostics.from_dict(metadata["diagnostics"]),
            metadata["method"],
            metadata["options"],
            read_target(metadata),
            part("rest/"),
            read_target_layers(metadata),
        )
