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
    if result.pruning.structure and share:
        removed += " with their channels"
    change = points(result)
    if not result.config.epochs:
        return f"{removed}, and neither network trained"
    if guessing(result, "pruned"):
        if guessing(result, "dense"):
            return f"{removed}, but both networks only guess"
        return f"{removed}, and now the network only guesses"
    if guessing(result, "dense"):
        return f"{removed}, but the dense network only guesses"
    if not change:
        return f"{removed}, no accuracy lost" if share else f"{removed}, nothing lost"
    if not analysis.by_pruning(result.figures).explained:
        return (
            f"{removed}, {format.points(change)} of accuracy {'gained' if change > 0 else 'lost'}"
        )
    if change > 0:
        return f"{removed}, accuracy unchanged, within chance"
    return f"{removed}, {format.points(change)} of accuracy lost, within chance"


def compared(result: RunRecord) -> str:
    """Both accuracies; the accuracy of guessing if the network does no better, or else how much of
    the difference could be due to chance."""
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
    if guessing(result, "dense"):
        return (
            f"Of {images}, the pruned network gets {pruned} right, the dense one {dense}; "
            f"guessing gets {percent(guess(result))}. The dense network is not clearly better, so "
            "this does not say what pruning costs: train longer, or at another learning rate."
        )
    sentences = [
        f"The pruned network gets {pruned} of the test images right, the dense one {dense}.",
        chance(result),
    ]
    balanced, dense_balanced = (
        result.figures[name] for name in ("balanced_accuracy", "dense_balanced_accuracy")
    )
    if balanced is not None and dense_balanced is not None:
        sentences.append(
            f"The classes are unbalanced; the mean over classes (balanced accuracy) is "
            f"{accuracy(balanced)} for the pruned network, {accuracy(dense_balanced)} for the "
            "dense one."
        )
    return " ".join(sentences)


def guess(result: RunRecord) -> float:
    """The accuracy of guessing."""
    return _against_guessing(result, "pruned").guess


def guessing(result: RunRecord, network: str) -> bool:
    """Whether the test shows no difference between the network and random guessing."""
    return _against_guessing(result, network).guessing


def chance(result: RunRecord) -> str:
    """How much of the difference between the networks could be due to chance."""
    found = analysis.by_pruning(result.figures)
    images = f"{result.data.split.test:,} test images"
    if found.p is not None:
        dense, pruned = (result.figures[f"{name}_right_alone"] for name in ("dense", "pruned"))
        p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.2g}"
        verdict = "which could be due to chance" if found.explained else "more than chance explains"
        sentence = (
            f"Of {images}, {dense:,} are right only with the dense network and {pruned:,} only "
            f"with the pruned one, {verdict} (McNemar's test, {p})."
        )
    elif found.explained:
        sentence = (
            f"On {images}, differences of up to about {100 * found.limit:.1f} points could be due "
            "to chance (an upper estimate), so this test shows no difference between the two "
            "networks."
        )
    else:
        sentence = (
            f"The difference is larger than chance explains on {images} (at most about "
            f"{100 * found.limit:.1f} points)."
        )
    return f"{sentence} Luck of the seed is not included."


def _against_guessing(result: RunRecord, network: str) -> analysis.AgainstGuessing:
    tested = analysis.measurement(result.figures, network)
    return analysis.against_guessing(tested, len(result.data.classes))
