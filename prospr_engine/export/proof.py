"""The verdict on an exported file: a list of checks, each passed or failed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One check, and a sentence with its outcome."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True)
class LayerProof:
    """``kept`` of ``total`` weights by the mask, and the ``zeros`` found in the file (None if
    the file has no such layer)."""

    name: str
    total: int
    kept: int
    zeros: int | None


@dataclass(frozen=True)
class Proof:
    """The verdict on one file.

    ``max_abs_error`` is the largest difference between ONNX Runtime's logits and PyTorch's, and
    ``tolerance`` what was allowed; both are None if the file could not be run. Of a
    calibrated encoding it is the difference on inputs of calibration when the file was written.
    ``zeros_expected`` counts the pruned weights of the masks; ``zeros`` those found in the same
    layers of the file, including ``zeros_kept`` weights that were kept and happen to be zero.
    """

    ok: bool
    checks: tuple[Check, ...]
    path: str
    bytes: int
    max_abs_error: float | None
    tolerance: float | None
    zeros: int
    zeros_expected: int
    zeros_kept: int
    layers: tuple[LayerProof, ...]
    provenance: dict[str, Any]

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed; empty if ``ok``."""
        return tuple(check for check in self.checks if not check.ok)

    def to_dict(self) -> dict[str, Any]:
        """The proof as JSON-ready values."""
        values = dataclasses.asdict(self)
        return {**values, "checks": list(values["checks"]), "layers": list(values["layers"])}
