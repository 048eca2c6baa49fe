"""The main figures of a run in a list, None where unknown.

A run that is not done has none, and a run of another version may lack some.
"""

from __future__ import annotations

from app.services import Run
from app.services.summary import number, summary_of
from app.ui.format import points_between


def pruned(run: Run) -> float | None:
    """Test accuracy of the pruned network."""
    return summary_of(run).pruned


def dense(run: Run) -> float | None:
    """Test accuracy of the dense network."""
    return summary_of(run).dense


def change(run: Run) -> float | None:
    """The change in test accuracy through pruning, in percentage points: the difference of the
    rounded figures, so that the row adds up."""
    before, after = dense(run), pruned(run)
    if before is None or after is None:
        return None
    return points_between(before, after)


def sparsity(run: Run) -> float | None:
    """The fraction of the weights removed, or the target if the run is not done."""
    achieved = summary_of(run).sparsity
    return number(run.settings, "sparsity") if achieved is None else achieved


def model_bytes(run: Run) -> int | None:
    """The size of ``model.onnx``."""
    return summary_of(run).bytes
