"""Figures that are computed from others of a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

UNBALANCED = 1.5
"""Classes are unbalanced if the commonest has this many times the mean number of test images."""


def sum_over_layers(name: str) -> Callable[[Mapping[str, Any]], int]:
    """The sum of that entry of the layers."""
    return lambda result: sum(layer[name] for layer in result["layers"])


def change(row: Mapping[str, Any]) -> float | None:
    """The difference of the accuracies in a row of a table."""
    pruned, dense = row["accuracy"], row["dense_accuracy"]
    return None if pruned is None or dense is None else pruned - dense


def commonest(result: Mapping[str, Any]) -> float:
    """The share of the commonest class among the test images."""
    images = result["per_class"]["images"]
    return max(images) / sum(images)


def rarest(result: Mapping[str, Any]) -> int:
    """The test images of the rarest class that has any."""
    return min(images for images in result["per_class"]["images"] if images)


def balanced(network: str) -> Callable[[Mapping[str, Any]], float | None]:
    """The mean of the accuracies in each class, where classes are unbalanced."""

    def mean(result: Mapping[str, Any]) -> float | None:
        counts = result["per_class"]
        tested = [
            (n, right) for n, right in zip(counts["images"], counts[network], strict=True) if n
        ]
        if commonest(result) * len(tested) < UNBALANCED:
            return None
        return sum(right / n for n, right in tested) / len(tested)

    return mean


def validated(network: str) -> Callable[[Mapping[str, Any]], float | None]:
    """On the validation images, after the last epoch."""

    def last(result: Mapping[str, Any]) -> float | None:
        epochs = [each for each in result["history"] if each["network"] == network]
        return epochs[-1]["validation_accuracy"] if epochs else None

    return last
