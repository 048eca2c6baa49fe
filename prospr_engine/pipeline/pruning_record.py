"""The effect of pruning as a typed record, from a result or from the event ``Pruned``.

Plain data, without torch, as in ``record.py``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prospr_engine.errors import DataError
from prospr_engine.overrides import Override


@dataclass(frozen=True)
class LayerRecord:
    """One layer: weights ``kept`` of ``total``, of which ``effective`` are connected to both ends,
    and ``dead_channels`` of ``channels`` output channels that are cut off. None where the
    connections have not been examined. ``setting``: the layer's own, "dense" or the fraction
    removed; None if it competed with the others."""

    name: str
    total: int
    kept: int
    effective: int | None
    channels: int
    dead_channels: int | None = None
    setting: Override | None = None

    @property
    def density(self) -> float:
        """The fraction of the layer's weights that is kept."""
        return self.kept / self.total


@dataclass(frozen=True)
class FindingRecord:
    """A sentence about the pruned network; ``level`` is "danger", "warning" or "fine", ``layer``
    the parameter that it is about, if any."""

    level: str
    text: str
    layer: str | None = None


@dataclass(frozen=True)
class TrustRecord:
    """Whether the ranking can be trusted, and why: see ``saliency.diagnostics``."""

    trusted: bool
    verdict: str
    adjoint_norms: tuple[float, ...] = ()
    growth: float | None = None
    losses: tuple[float, ...] = ()
    non_finite: int = 0
    silent: tuple[str, ...] = ()
    precision: str = ""
    agreement: float | None = None
    checked_at: float | None = None


@dataclass(frozen=True)
class SparsityRecord:
    """Fractions of the weights: ``requested``, removed (``achieved``), and removed or cut off
    (``effective``, None if it is unknown)."""

    requested: float
    achieved: float
    effective: float | None


@dataclass(frozen=True)
class Amount:
    """A number before and after channels were removed."""

    before: int
    after: int


@dataclass(frozen=True)
class Width:
    """The output channels of a layer ``before`` and ``after``."""

    layer: str
    before: int
    after: int


@dataclass(frozen=True)
class StructureRecord:
    """What the removal of channels left. ``requested`` and ``achieved`` are removed shares of what
    the ``budget`` counts: "parameters" (weights), "operations" (multiply-adds for one image) or
    "channels"."""

    budget: str
    requested: float
    achieved: float
    channels: Amount
    parameters: Amount
    operations: Amount
    widths: tuple[Width, ...]

    @property
    def width_of(self) -> dict[str, Width]:
        """The widths by layer."""
        return {width.layer: width for width in self.widths}


@dataclass(frozen=True)
class PruningRecord:
    """The effect of pruning before any training, as in a result and in the event ``Pruned``."""

    sparsity: SparsityRecord
    layers: tuple[LayerRecord, ...]
    findings: tuple[FindingRecord, ...]
    trust: TrustRecord
    structure: StructureRecord | None = None
    """Where channels were removed."""

    @property
    def kept(self) -> int:
        """Weights kept in all layers."""
        return sum(layer.kept for layer in self.layers)

    @property
    def total(self) -> int:
        """Weights that can be pruned in all layers."""
        return sum(layer.total for layer in self.layers)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PruningRecord:
        """From a result or an event as JSON. Raises ``DataError`` if it is neither."""
        try:
            return cls(
                sparsity=record_of(SparsityRecord, values["sparsity"]),
                layers=tuple(record_of(LayerRecord, layer) for layer in values["layers"]),
                findings=tuple(record_of(FindingRecord, finding) for finding in values["findings"]),
                trust=_trust(values["trust"]),
                structure=_structure(values.get("structure")),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise DataError("The pruning result cannot be read; start the run again.") from None


def record_of(kind: Any, values: Mapping[str, Any]) -> Any:
    """A record from the values that ``kind`` has fields for: later versions may write more."""
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in known})


def _structure(values: Mapping[str, Any] | None) -> StructureRecord | None:
    if values is None:
        return None
    amounts = {
        name: record_of(Amount, values[name]) for name in ("channels", "parameters", "operations")
    }
    widths = tuple(record_of(Width, width) for width in values["widths"])
    record: StructureRecord = record_of(StructureRecord, {**values, **amounts, "widths": widths})
    return record


def _trust(values: Mapping[str, Any]) -> TrustRecord:
    changed = dict(values)
    for name in ("adjoint_norms", "losses"):
        changed[name] = tuple(float(number) for number in values.get(name, ()))
    number = values.get("growth")
    changed["growth"] = None if number is None else float(number)  # infinity is a string in JSON
    changed["silent"] = tuple(values.get("silent", ()))
    record: TrustRecord = record_of(TrustRecord, changed)
    return record
