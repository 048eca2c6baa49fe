"""The main figures of a run in a list, as far as they are known.

A run that is not done has none, and one of another version may have others: nothing is taken for
granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.services import Run
from app.ui.format import points_between


def pruned(run: Run) -> float | None:
    """Test accuracy of the pruned network."""
    return _figure(run.summary, "accuracy", "pruned")


def dense(run: Run) -> float | None:
    """Test accuracy of the dense network."""
    return _figure(run.summary, "accuracy", "dense")


def change(run: Run) -> float | None:
    """Percentage points that pruning changed the test accuracy by: the difference of what is
    shown, so that the row adds up."""
    before, after = dense(run), pruned(run)
    if before is None or after is None:
        return None
    return points_between(before, after)


def sparsity(run: Run) -> float | None:
    """The share of the weights removed; of a run that is not done, the share asked for."""
    achieved = _figure(run.summary, "sparsity", "achieved")
    return _figure(run.settings, "sparsity") if achieved is None else achieved


def model_bytes(run: Run) -> int | None:
    """The size of ``model.onnx``."""
    size = _figure(run.summary, "bytes")
    return None if size is None else int(size)


def _figure(value: Any, *names: str) -> float | None:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else None
