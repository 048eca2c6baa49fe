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
from dataclasses import dataclass
from typing import Any, Literal

from prospr_engine.format import Unit
from prospr_engine.registry import resolve

Source = str | Callable[[Mapping[str, Any]], Any]
"""A path in ``result.json`` ("onnx.zipped"), or a function of all of it."""

TYPES: Mapping[Unit, str] = {
    "share": "float64",
    "difference": "float64",
    "count": "Int64",
    "bytes": "Int64",
    "seconds": "float64",
    "ms": "float64",
    "nats": "float64",
    "flag": "boolean",
    "text": "str",
}
"""The pandas type of a column. Text is never missing ("" where there is none)."""


@dataclass(frozen=True)
class Axis:
    """How Compare draws accuracy against a figure. ``name`` stands in addresses, ``label`` on the
    switch, ``title`` along the axis. A ``complement`` is a share of which the rest is drawn. Every
    axis reads from dense to sparse, left to right: ``descending`` says that what is drawn falls on
    the way. ``log`` None: only if the largest value is several times the smallest. ``varies``: it
    is offered only where runs differ in it."""

    name: str
    label: str
    title: str
    log: bool | None = None
    descending: bool = True
    complement: bool = False
    varies: bool = False

    def of(self, encoding: str, label: str) -> Axis:
        """The axis of the same figure of the file in another encoding, which has this label."""
        own, (start, bracket, end) = label.lower(), self.title.partition(" (")
        return dataclasses.replace(
            self,
            name=f"{self.name}-{encoding}",
            label=f"{self.label} ({own})",
            title=f"{start}, {own}{bracket}{end}",
            varies=True,
        )


@dataclass(frozen=True)
class Column:
    """How the figure's mean is shown in Compare's table: its heading, the help of the heading and
    the number of ``digits`` after the point (None: as many as ``SCALES`` says). A ``leading``
    column stands before those that are not; ``spread`` adds half of the interval."""

    heading: str
    help: str = ""
    digits: int | None = None
    leading: bool = False
    spread: bool = False


@dataclass(frozen=True)
class Pair:
    """The figure's line in Compare's table of two runs, and its ``name`` there. ``leading`` lines
    stand before those that are not. A figure of the ``task`` is not compared between two tasks, and
    its shares always have one digit."""

    name: str
    leading: bool = False
    task: bool = False


@dataclass(frozen=True)
class Metric:
    """A figure of a result, and a column of the table of a sweep under the same ``name``.

    ``source`` is where ``result.json`` holds it, ``key`` the path under which the summary keeps it
    (``name`` by default). A figure that ``derive`` computes from the others of its row stands in
    neither. The result of every version has what is ``required``; anything else may be missing.
    ``seeds`` says what is known of it over several seeds: the mean with its interval, the mean
    alone, or nothing. ``reference`` names the same figure of the dense network. ``terminal`` is its
    name where the command line lists runs, and ``terminal_means`` gives it a table of means after a
    sweep. A figure ``of_file`` is that entry of the ONNX file that every run writes; the files in
    other encodings, which the settings choose, have columns of their own.
    """

    name: str
    label: str
    unit: Unit
    source: Source = ""
    key: str = ""
    derive: Callable[[Mapping[str, Any]], Any] | None = None
    required: bool = False
    column: bool = True
    """False: a setting of the run has that column already, or no table shows it."""
    seeds: Literal["interval", "mean"] | None = None
    axis: Axis | None = None
    compare: Column | None = None
    pair: Pair | None = None
    reference: str = ""
    partial: bool = False
    """Only some runs have it; tables in which no run has it leave it out."""
    terminal: str = ""
    terminal_means: bool = False
    of_file: str = ""

    @property
    def type(self) -> str:
        """The pandas type of the column."""
        return TYPES[self.unit]

    @property
    def path(self) -> str:
        """Where the summary keeps it; "" if it does not."""
        return "" if self.derive else self.key or self.name


@dataclass(frozen=True)
class Fact:
    """What else the summary keeps of a run, under ``key``."""

    key: str
    source: Source
    required: bool = True


def _sum_over_layers(name: str) -> Callable[[Mapping[str, Any]], int]:
    return lambda result: sum(layer[name] for layer in result["layers"])


def _change(row: Mapping[str, Any]) -> float | None:
    pruned, dense = row["accuracy"], row["dense_accuracy"]
    return None if pruned is None or dense is None else pruned - dense


def _commonest(result: Mapping[str, Any]) -> float:
    images = result["per_class"]["images"]
    return max(images) / sum(images)


def _rarest(result: Mapping[str, Any]) -> int:
    return min(images for images in result["per_class"]["images"] if images)


def _balanced(network: str) -> Callable[[Mapping[str, Any]], float | None]:
    """The mean of the accuracies in each class, where classes are unbalanced."""

    def mean(result: Mapping[str, Any]) -> float | None:
        counts = result["per_class"]
        tested = [
            (n, right) for n, right in zip(counts["images"], counts[network], strict=True) if n
        ]
        if _commonest(result) * len(tested) < UNBALANCED:
            return None
        return sum(right / n for n, right in tested) / len(tested)

    return mean


def _validated(network: str) -> Callable[[Mapping[str, Any]], float | None]:
    """On the validation images, after the last epoch."""

    def last(result: Mapping[str, Any]) -> float | None:
        epochs = [each for each in result["history"] if each["network"] == network]
        return epochs[-1]["validation_accuracy"] if epochs else None

    return last


UNBALANCED = 1.5
"""Classes are unbalanced if the commonest has this many times the mean number of test images."""

METRICS: tuple[Metric, ...] = (
    Metric(
        "sparsity",
        "Weights removed (target)",
        "share",
        source="sparsity.requested",
        key="sparsity.requested",
        column=False,
        axis=Axis("sparsity", "Sparsity", "Weights removed (target)", log=True, complement=True),
    ),
    Metric(
        "achieved_sparsity",
        "Weights removed",
        "share",
        source="sparsity.achieved",
        key="sparsity.achieved",
        seeds="mean",
        compare=Column("Removed", "Share of the weights that was removed.", 2, leading=True),
        pair=Pair("Weights removed", leading=True),
    ),
    Metric(
        "effective_sparsity",
        "Weights removed or cut off",
        "share",
        source="sparsity.effective",
        key="sparsity.effective",
        seeds="mean",
        axis=Axis(
            "effective",
            "Effective sparsity",
            "Weights removed or cut off (effective sparsity)",
            log=True,
            complement=True,
        ),
        compare=Column(
            "Effective sparsity",
            "Counts the weights as removed that are cut off from the input or the output.",
            2,
        ),
        pair=Pair("Effective sparsity"),
    ),
    Metric(
        "total_weights",
        "Weights that can be pruned",
        "count",
        source=_sum_over_layers("total"),
        key="total",
        required=True,
    ),
    Metric(
        "kept_weights",
        "Weights kept",
        "count",
        source=_sum_over_layers("kept"),
        key="kept",
        required=True,
        seeds="mean",
        axis=Axis("kept", "Weights kept", "Weights kept (fewer to the right)", log=True),
        compare=Column("Weights kept"),
        pair=Pair("Weights kept", leading=True),
    ),
    Metric(
        "operations",
        "Multiply-adds for one image",
        "count",
        source="operations.pruned",
        key="operations.pruned",
        seeds="mean",
        axis=Axis(
            "operations",
            "Multiply-adds",
            "Multiply-adds for one image (fewer to the right)",
            varies=True,
        ),
        compare=Column("Multiply-adds", "For one image. Zeros among the weights do not save any."),
        pair=Pair("Multiply-adds"),
        reference="dense_operations",
        partial=True,
    ),
    Metric(
        "dense_operations",
        "Multiply-adds of the dense network for one image",
        "count",
        source="operations.dense",
        key="operations.dense",
    ),
    Metric(
        "accuracy",
        "Test accuracy",
        "share",
        source="accuracy.pruned",
        key="accuracy.pruned",
        required=True,
        seeds="interval",
        compare=Column(
            "Accuracy", "On the test images, mean over the seeds.", 1, leading=True, spread=True
        ),
        pair=Pair("Accuracy, pruned", task=True),
        reference="dense_accuracy",
        terminal="pruned",
        terminal_means=True,
    ),
    Metric(
        "dense_accuracy",
        "Test accuracy of the dense network",
        "share",
        source="accuracy.dense",
        key="accuracy.dense",
        required=True,
        seeds="interval",
        pair=Pair("Accuracy, dense", task=True),
        terminal="dense",
    ),
    Metric(
        "accuracy_before_pruning",
        "Test accuracy before pruning",
        "share",
        source="accuracy_at_pruning.dense",
        key="at_pruning.dense",
        partial=True,
        seeds="mean",
        pair=Pair("Accuracy before pruning", task=True),
    ),
    Metric(
        "accuracy_after_pruning",
        "Test accuracy right after pruning",
        "share",
        source="accuracy_at_pruning.pruned",
        key="at_pruning.pruned",
        partial=True,
        seeds="mean",
        compare=Column(
            "Right after pruning",
            "Accuracy of a trained network when it was just pruned, before it is trained again.",
            1,
        ),
        pair=Pair("Accuracy right after pruning", task=True),
    ),
    Metric(
        "balanced_accuracy",
        "Balanced test accuracy",
        "share",
        source=_balanced("pruned"),
        key="balanced.pruned",
        partial=True,
        seeds="mean",
        compare=Column(
            "Balanced accuracy",
            "Mean of the accuracies in each class; classes are unbalanced.",
            1,
            leading=True,
        ),
        pair=Pair("Balanced accuracy, pruned", task=True),
    ),
    Metric(
        "dense_balanced_accuracy",
        "Balanced test accuracy of the dense network",
        "share",
        source=_balanced("dense"),
        key="balanced.dense",
        partial=True,
        pair=Pair("Balanced accuracy, dense", task=True),
    ),
    Metric(
        "commonest_share",
        "Test images of the commonest class",
        "share",
        source=_commonest,
    ),
    Metric(
        "rarest_images",
        "Test images of the rarest class",
        "count",
        source=_rarest,
    ),
    Metric(
        "dense_right_alone",
        "Test images only the dense network gets right",
        "count",
        source="right_alone.dense",
        key="right_alone.dense",
    ),
    Metric(
        "pruned_right_alone",
        "Test images only the pruned network gets right",
        "count",
        source="right_alone.pruned",
        key="right_alone.pruned",
    ),
    Metric(
        "validation_accuracy",
        "Validation accuracy",
        "share",
        source=_validated("pruned"),
        key="validation.pruned",
    ),
    Metric(
        "dense_validation_accuracy",
        "Validation accuracy of the dense network",
        "share",
        source=_validated("dense"),
        key="validation.dense",
    ),
    Metric(
        "change",
        "Change of test accuracy by pruning",
        "difference",
        derive=_change,
        seeds="interval",
        compare=Column("Change", "Points against the dense network.", 1, leading=True),
        pair=Pair("Change by pruning", task=True),
    ),
    Metric(
        "loss",
        "Test loss",
        "nats",
        source="loss.pruned",
        key="loss.pruned",
        seeds="interval",
        reference="dense_loss",
    ),
    Metric(
        "dense_loss",
        "Test loss of the dense network",
        "nats",
        source="loss.dense",
        key="loss.dense",
    ),
    Metric(
        "file_bytes",
        "ONNX file",
        "bytes",
        source="onnx.bytes",
        key="bytes",
        required=True,
        seeds="mean",
        axis=Axis(
            "bytes",
            "File size, not zipped",
            "ONNX file, not zipped (smaller to the right)",
            varies=True,
        ),
        pair=Pair("Model file"),
        of_file="bytes",
    ),
    Metric(
        "zipped_bytes",
        "ONNX file, zipped",
        "bytes",
        source="onnx.zipped",
        key="zipped",
        seeds="mean",
        axis=Axis("size", "File size", "ONNX file, zipped (smaller to the right)"),
        compare=Column("Zipped file", digits=1),
        pair=Pair("Model file, zipped"),
        of_file="zipped",
    ),
    Metric(
        "latency_ms",
        "Latency of the ONNX file",
        "ms",
        source="onnx.latency_ms",
        key="latency_ms",
        seeds="mean",
        axis=Axis(
            "latency",
            "Latency",
            "Latency of the ONNX file, one image (less to the right)",
            varies=True,
        ),
        compare=Column(
            "Latency", "Median time for one image in ONNX Runtime, on the machine of the run."
        ),
        pair=Pair("Latency, one image"),
        partial=True,
        of_file="latency_ms",
    ),
    Metric("seconds", "Wall time", "seconds", source="seconds", required=True, pair=Pair("Time")),
    Metric("trusted", "Ranking can be trusted", "flag", source="trust.trusted", required=True),
    Metric(
        "test_images",
        "Test images",
        "count",
        source="data.split.test",
        required=True,
    ),
    Metric("digest", "Digest of the data", "text", source="data.digest", required=True),
)


def _files(exports: Mapping[str, Any]) -> dict[str, Any]:
    """By encoding, the size of the ONNX file and of its zip, and its latency if it is known."""
    names = [metric.of_file for metric in METRICS if metric.of_file]
    return {
        encoding: {name: file[name] for name in names if name in file}
        for encoding, file in exports.items()
    }


FACTS: tuple[Fact, ...] = (
    Fact("seconds_of", "seconds_of", required=False),
    Fact("exports", lambda result: _files(result["exports"]), required=False),
    Fact("shape", "data.shape"),
    Fact("classes", lambda result: len(result["data"]["classes"])),
    Fact("train_images", "data.split.train"),
    Fact("validation_images", "data.split.validation"),
    Fact("epochs", "config.epochs"),
    Fact("device", "environment.device"),
    Fact("device_name", "environment.device_name"),
    Fact("threads", "environment.threads"),
)


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
