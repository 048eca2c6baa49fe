"""The result of a run in one or two sentences."""

from __future__ import annotations

from app.services import RunRecord, analysis
from app.ui import format
from app.ui.format import accuracy, percent, points_between


def points(result: RunRecord) -> float:
    """The change in test accuracy through pruning, in percentage points."""
    return points_between(result.accuracy["dense"], result.accuracy["pruned"])


def answer(result: RunRecord) -> str:
    """The headline: how much was removed, and what that changed."""
    share = result.pruning.sparsity.achieved
    removed = f"{percent(share)} of the weights removed" if share else "No weight removed"
    change = points(result)
    if not result.config.epochs:
        return f"{removed}, and neither network trained"
    if guessing(result, "pruned"):
        if guessing(result, "dense"):
            return f"{removed}, but both networks only guess"
        return f"{removed}, and now the network only guesses"
    if not change:
        return f"{removed}, no accuracy lost" if share else f"{removed}, nothing lost"
    return f"{removed}, {format.points(change)} of accuracy {'gained' if change > 0 else 'lost'}"


def compared(result: RunRecord) -> str:
    """Both accuracies; the accuracy of guessing if the network does no better, or else how much of
    the difference can be chance."""
    dense, pruned = (accuracy(result.accuracy[name]) for name in ("dense", "pruned"))
    images = f"{result.data.split.test:,} test images"
    if not result.config.epochs:
        return f"Untrained, they get {pruned} (pruned) and {dense} (dense) of {images} right."
    if not result.pruning.sparsity.achieved and not points(result):
        return f"Both are the same network: it gets {pruned} of {images} right."
    if guessing(result, "pruned"):
        return (
            f"Of {images}, the pruned network gets {pruned} right, the dense one {dense}; "
            f"guessing gets {percent(guess(result))}."
        )
    return (
        f"The pruned network gets {pruned} of the test images right, the dense one {dense}. "
        f"{chance(result)}"
    )


def guess(result: RunRecord) -> float:
    """The accuracy of random guessing."""
    return _against_guessing(result, "pruned").guess


def guessing(result: RunRecord, network: str) -> bool:
    """Whether the test shows no difference between the network and random guessing."""
    return _against_guessing(result, network).guessing


def chance(result: RunRecord) -> str:
    """How much of the difference between the networks can be chance."""
    found = analysis.difference(_tested(result, "dense"), _tested(result, "pruned"))
    images, limit = f"{result.data.split.test:,} test images", 100 * found.limit
    if found.explained:
        return (
            f"On {images}, differences of up to about {limit:.1f} points can be chance, so "
            "this test shows no difference between the two networks."
        )
    return f"The difference is larger than chance explains on {images} (about {limit:.1f} points)."


def _against_guessing(result: RunRecord, network: str) -> analysis.AgainstGuessing:
    return analysis.against_guessing(_tested(result, network), len(result.data.classes))


def _tested(result: RunRecord, network: str) -> analysis.Measurement:
    return analysis.Measurement(result.accuracy[network], result.data.split.test)
