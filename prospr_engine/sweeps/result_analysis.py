"""What the results behind a comparison say, as tables of means: curves, layers and classes; and
the means over seeds of which nothing but the accuracies is known.

``lines`` holds, by the name of each series, the results of its runs at one sparsity. Accuracies and
shares are fractions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from prospr_engine.events import EpochEnded
from prospr_engine.pipeline.pruning_record import LayerRecord
from prospr_engine.pipeline.record import NETWORKS, RunRecord
from prospr_engine.sweeps.statistics import paired_limit

Lines = Mapping[str, Sequence[RunRecord]]
DENSE, PRUNED = NETWORKS


def curves(lines: Lines) -> pd.DataFrame:
    """A row per network and epoch: the mean validation ``accuracy`` over so many ``runs``. The
    ``network`` is "pruned", of that ``series``, or "dense" (``series`` ""), of which each seed
    counts once."""
    dense: dict[int, Sequence[EpochEnded]] = {}
    for results in lines.values():
        for result in results:
            dense.setdefault(result.config.seed, result.history_of(DENSE))
    rows = _by_epoch(DENSE, "", list(dense.values()))
    for series, results in lines.items():
        rows += _by_epoch(PRUNED, series, [result.history_of(PRUNED) for result in results])
    return pd.DataFrame(rows, columns=["network", "series", "epoch", "accuracy", "runs"])


def layers(lines: Lines) -> pd.DataFrame:
    """A row per layer and series, layers in the network's order: of its ``total`` weights the mean
    number ``kept`` and their ``share``, and in how many of the ``runs`` the layer is ``empty``.
    ``number`` is the place of the layer, from 1."""
    numbers: dict[str, int] = {}
    found: dict[tuple[str, str], list[LayerRecord]] = {}
    for series, results in lines.items():
        for result in results:
            for layer in result.pruning.layers:
                numbers.setdefault(layer.name, len(numbers) + 1)
                found.setdefault((layer.name, series), []).append(layer)
    rows = []
    for name, number in numbers.items():
        for series in lines:
            if several := found.get((name, series)):
                kept, total = fmean(layer.kept for layer in several), several[0].total
                empty = sum(not layer.kept for layer in several)
                rows.append((name, number, series, total, kept, kept / total, len(several), empty))
    columns = ["name", "number", "series", "total", "kept", "share", "runs", "empty"]
    return pd.DataFrame(rows, columns=columns)


def classes(lines: Lines) -> pd.DataFrame:
    """A row per class and series: mean accuracies in the class of the ``dense`` and the ``pruned``
    networks, their difference ``change``, and its ``mean`` over the series; ``fewest`` and ``most``
    test images of the class in one of the ``runs``. Classes are in the order of that mean, from the
    largest loss to the largest gain. Results without counts by class, and classes without test
    images, are left out."""
    cells: dict[str, dict[str, list[tuple[int, float, float]]]] = {}
    for series, results in lines.items():
        for result in results:
            if not (counts := result.per_class):
                continue
            of = (counts["images"], counts[DENSE], counts[PRUNED])
            for name, tested, *correct in zip(result.data.classes, *of, strict=True):
                if tested:
                    cell = (tested, correct[0] / tested, correct[1] / tested)
                    cells.setdefault(name, {}).setdefault(series, []).append(cell)
    groups = []
    for name, by_series in cells.items():
        rows = []
        for series, several in by_series.items():
            images, dense, pruned = zip(*several, strict=True)
            means = fmean(dense), fmean(pruned)
            rows.append((name, series, *means, means[1] - means[0], min(images), max(images),
                         len(several)))  # fmt: skip
        # Equal changes must stay equal, or rounding would decide the order.
        groups.append((round(fmean(row[4] for row in rows), 12), rows))
    groups.sort(key=lambda group: group[0])
    columns = ["name", "series", "dense", "pruned", "change", "fewest", "most", "runs", "mean"]
    return pd.DataFrame([(*row, mean) for mean, rows in groups for row in rows], columns=columns)


def by_seed(accuracies: Mapping[str, Mapping[str, Sequence[float]]]) -> pd.DataFrame:
    """From the values over the seeds, by name and sparsity, a row for each of both: ``name``,
    ``sparsity``, the ``mean``, the ``lowest`` and the ``highest``."""
    rows = [
        (name, float(sparsity), fmean(values), min(values), max(values))
        for name, by_sparsity in accuracies.items()
        for sparsity, values in by_sparsity.items()
    ]
    return pd.DataFrame(rows, columns=["name", "sparsity", "mean", "lowest", "highest"])


def mean_between(values: Sequence[float], keys: Sequence[float], low: float, high: float) -> float:
    """The mean of those values of which the key is at least ``low`` and less than ``high``."""
    return fmean(v for v, key in zip(values, keys, strict=True) if low <= key < high)


def ahead(first: Sequence[float], second: Sequence[float]) -> bool:
    """Is the mean of the first, over several seeds, larger than that of the second over the same
    seeds by more than chance explains?"""
    differences = [one - other for one, other in zip(first, second, strict=True)]
    limit = paired_limit(differences)
    return limit is not None and fmean(differences) > limit


def _by_epoch(
    network: str, series: str, histories: Sequence[Sequence[EpochEnded]]
) -> list[tuple[Any, ...]]:
    by_epoch: dict[int, list[float]] = {}
    for history in histories:
        for epoch in history:
            by_epoch.setdefault(epoch.epoch, []).append(epoch.validation_accuracy)
    return [(network, series, n, fmean(v), len(v)) for n, v in sorted(by_epoch.items())]
