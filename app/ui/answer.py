"""What a result means, in one or two sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from app.ui.format import accuracy, percent


def points(result: Mapping[str, Any]) -> float:
    """Percentage points that pruning changed the test accuracy by."""
    dense, pruned = result["accuracy"]["dense"], result["accuracy"]["pruned"]
    # The difference of what is shown, so that the sentence adds up.
    return round(round(100 * pruned, 1) - round(100 * dense, 1), 1)


def answer(result: Mapping[str, Any]) -> str:
    """The answer first: what was removed, and what that did."""
    share = result["sparsity"]["achieved"]
    removed = f"{percent(share)} of the weights removed" if share else "No weight removed"
    change = points(result)
    if not result["config"]["epochs"]:
        return f"{removed}, and neither network trained"
    if guessing(result, "pruned"):
        if guessing(result, "dense"):
            return f"{removed}, but both networks only guess"
        return f"{removed}, and now the network only guesses"
    if not change:
        return f"{removed}, no accuracy lost" if share else f"{removed}, nothing lost"
    unit = "point" if abs(change) == 1 else "points"
    return f"{removed}, {abs(change):.1f} {unit} of accuracy {'gained' if change > 0 else 'lost'}"


def compared(result: Mapping[str, Any]) -> str:
    """Both accuracies, what guessing would give if they are no better, and what of their
    difference chance allows."""
    dense, pruned = (accuracy(result["accuracy"][name]) for name in ("dense", "pruned"))
    images = f"{result['data']['split']['test']:,} test images"
    if not result["config"]["epochs"]:
        return f"Untrained, they get {pruned} (pruned) and {dense} (dense) of {images} right."
    if not result["sparsity"]["achieved"] and not points(result):
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


def guess(result: Mapping[str, Any]) -> float:
    """The accuracy of naming classes at random."""
    return 1 / len(result["data"]["classes"])


def guessing(result: Mapping[str, Any], network: str) -> bool:
    """Does its accuracy lie within chance (two standard errors) of naming classes at random?"""
    expected, count = guess(result), result["data"]["split"]["test"]
    error = 1.96 * math.sqrt(expected * (1 - expected) / count)
    return bool(result["accuracy"][network] <= expected + error)


def chance(result: Mapping[str, Any]) -> str:
    """How much of the difference could be luck of the draw of the test images."""
    images, limit = f"{result['data']['split']['test']:,} test images", _chance_points(result)
    if abs(points(result)) <= limit:
        return (
            f"On {images}, a difference of up to about {limit:.1f} points can be chance: "
            "the test cannot tell these two networks apart."
        )
    return f"The difference is larger than chance explains on {images} (about {limit:.1f} points)."


def _chance_points(result: Mapping[str, Any]) -> float:
    """Two standard errors of the difference of two accuracies, as of independent samples: an
    upper estimate, since both networks saw the same images."""
    count = result["data"]["split"]["test"]
    variance = sum(p * (1 - p) for p in result["accuracy"].values()) / count
    return 100 * max(1.96 * math.sqrt(variance), 1 / count)
