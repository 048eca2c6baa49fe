"""The figures of a result, one row each.

A row says what the figure is called, what it measures, where it stands in ``result.json`` and in
the summary that the store keeps, how it is averaged over seeds, and where it is shown. The summary,
the table of a sweep and its CSV file, the means over seeds, the tables in the terminal, and the
table and axes of the Compare page are generated from these rows. A new figure is a row here and the
line in the pipeline that computes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from prospr_engine.metrics.row import TYPES, Axis, Column, Fact, Metric, Pair, Source
from prospr_engine.metrics.table import FACTS, METRICS
from prospr_engine.registry import resolve

__all__ = [
    "FACTS",
    "METRICS",
    "TYPES",
    "Axis",
    "Column",
    "Fact",
    "Metric",
    "Pair",
    "averaged",
    "axes",
    "columns",
    "figures",
    "listed",
    "of_run",
    "paired",
    "result_figures",
    "summary",
]


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a list of runs shows without opening the result: its figures and ``FACTS``, from what
    ``result.json`` holds. Accuracies and sparsities are fractions, losses nats, sizes bytes,
    ``seconds`` wall time. What an earlier version did not write is None.

    Raises ``KeyError`` or ``TypeError`` if ``result`` is not that of a run.
    """
    entries = [(m.path, m.source, m.required) for m in METRICS if m.path]
    entries += [(fact.key, fact.source, fact.required) for fact in FACTS]
    kept: dict[str, Any] = {}
    for path, source, required in entries:
        *groups, name = path.split(".")
        place = kept
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = _found(result, source, required)
    return kept


def figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a run's figures, from the ``summary`` of any version. What is not known is
    None, text ""."""
    return _row(lambda metric: _found(summary, metric.path, required=False))


def result_figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """The same from what ``result.json`` holds, of any version."""
    return _row(lambda metric: _found(result, metric.source, required=False))


def _row(value: Callable[[Metric], Any]) -> dict[str, Any]:
    row = {metric.name: value(metric) for metric in columns() if metric.derive is None}
    for metric in columns():
        if metric.unit == "text":
            row[metric.name] = row[metric.name] or ""
    derived = {metric.name: metric.derive(row) for metric in METRICS if metric.derive}
    return {metric.name: {**row, **derived}[metric.name] for metric in columns()}


def columns() -> Iterator[Metric]:
    """The figures that have a column of their own."""
    for metric in METRICS:
        if metric.column:
            yield metric
            if metric.of_file:
                yield from _in_other_encodings(metric)


def _in_other_encodings(metric: Metric) -> Iterator[Metric]:
    """The figure of a file, of each further file that a run can write."""
    primary = resolve("prospr_engine.export.encodings:PRIMARY")
    for row in resolve("prospr_engine.export.encodings:ENCODINGS").values():
        if row.name == primary:
            continue
        own = f" ({row.label.lower()})"
        compare, pair = metric.compare, metric.pair
        yield dataclasses.replace(
            metric,
            name=f"{metric.name}_{row.name.replace('-', '_')}",
            label=metric.label + own,
            source=f"exports.{row.name}.{metric.of_file}",
            key=f"exports.{row.name}.{metric.of_file}",
            required=False,
            partial=True,
            axis=metric.axis and metric.axis.of(row.name, row.label),
            compare=compare and dataclasses.replace(compare, heading=compare.heading + own),
            pair=pair and dataclasses.replace(pair, name=pair.name + own),
        )


def averaged(how: Literal["interval", "mean"]) -> list[Metric]:
    """The figures that are averaged over seeds in that way."""
    return [metric for metric in columns() if metric.seeds == how]


def paired() -> list[tuple[Metric, Pair]]:
    """The lines of the table of two runs, in their order."""
    found = [(metric, metric.pair) for metric in columns() if metric.pair]
    return sorted(found, key=lambda line: not line[1].leading)


def of_run() -> list[tuple[str, Metric, Pair | None]]:
    """What the command line shows of one run, by name: the lines of the table of two runs, and what
    the list of runs shows besides."""
    lines: list[tuple[str, Metric, Pair | None]] = [
        (pair.name, metric, pair) for metric, pair in paired()
    ]
    return lines + [(metric.label, metric, None) for metric in listed() if not metric.pair]


def listed() -> list[Metric]:
    """What the command line's list of runs shows: that of the dense network before the other."""
    by_name = {metric.name: metric for metric in columns()}
    shown = [metric for metric in by_name.values() if metric.terminal]
    references = [metric.reference for metric in shown]
    return [
        by_name[name]
        for metric in shown
        if metric.name not in references
        for name in (metric.reference, metric.name)
        if name
    ]


def axes() -> dict[str, tuple[Metric, Axis]]:
    """What Compare can draw accuracy against, by the name of the axis."""
    every = [*METRICS, *(metric for metric in columns() if metric not in METRICS)]
    return {metric.axis.name: (metric, metric.axis) for metric in every if metric.axis}


def _found(values: Mapping[str, Any], source: Source, required: bool) -> Any:
    if callable(source):
        try:
            return source(values)
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            if required:
                raise
            return None
    found: Any = values
    for name in source.split("."):
        if not required and not (isinstance(found, Mapping) and name in found):
            return None
        found = found[name]
    return found
