"""Accuracy against sparsity or another axis: a line of means per series, with intervals.

Takes the means and intervals of ``services.analysis``; ``plots.accuracy_data`` combines them and
caches each step.

A click puts ``{"series", "sparsity", "run"}`` into the selection ``CLICK``; ``run`` is "" where
the point is a mean of several runs. Clicks on the legend stay in the browser and rerun nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from app.charts.rows import records
from app.charts.series_style import (
    Look,
    colour_scale,
    dash_scale,
    fill_scale,
    legend,
    looks,
    shape_scale,
)
from app.charts.spec import DATA, Spec, spec
from app.compare import axes
from app.compare.axes import Ends, encoding, ends
from app.ui.format import accuracy, accuracy_range, counted, percent, rough_number, size
from app.ui.labels import BUDGETS
from app.ui.titles import data_label, model_label
from prospr_engine.report.charts import expressions
from prospr_engine.report.charts.colours import Colours

SPARSITY = "sparsity"
WHOLE = next(iter(BUDGETS))
"""What sparsities are shares of where single weights are removed."""
CLICK, HOVER, LEGEND = "click", "hover", "legend"
"""The names of the selections."""
MEAN, CELL, DENSE = "mean", "cell", "dense"
"""Kinds of rows."""
PERCENT = expressions.percent()
HEIGHT = 320  # pixels of the inside
MARGIN = 0.04  # of the range of accuracies, above and below
WIDEST_DODGE = 20  # pixels over which the error bars of one sparsity are spread


@dataclass(frozen=True)
class Plan:
    """Everything that decides the chart, except the data and the theme."""

    looks: tuple[Look, ...]
    axis: str
    across: Ends
    accuracy: tuple[float, float]
    removed: str = ""
    """What the sparsities are shares of, where that is not the weights."""


def table(points: pd.DataFrame, dense: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """A row per series and sparsity (``points``), one per dense network (``dense``), and one per
    run that is drawn as a point of its own (``cells``)."""
    dodges = _dodges(points)
    rows = [_band_row(row) for row in records(dense)]
    rows += [_cell(row, dodges[row["series"]]) for row in records(cells)]
    rows += [_mean(row, dodges[row["series"]]) for row in records(points)]
    rows.sort(key=lambda row: (row["order"], row["sparsity"]))
    return pd.DataFrame(rows, columns=[*_row(MEAN, "", 0.0)])


def plan(frame: pd.DataFrame, rows: pd.DataFrame, axis: str = SPARSITY) -> Plan:
    """How to draw ``rows``. ``frame`` is the whole comparison, so that a series keeps its look
    when others are filtered out."""
    points = rows[rows["kind"] != DENSE]
    span = ends(axes.known()[axis], points["x"], points["sparsity"] if axis == SPARSITY else ())
    known = pd.concat([rows["accuracy"], rows["low"], rows["high"]]).dropna()
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    margin = MARGIN * (high - low) or 0.01
    # Rounded, so that a new run within these limits needs no new chart.
    bottom, top = max(0.0, round(low - margin, 3)), min(1.0, round(high + margin, 3))
    seen = tuple(look for look in looks(frame) if look.series in set(points["series"]))
    budgets = set(frame["channel_budget"].replace("", WHOLE))
    removed = " or ".join(text for name, text in BUDGETS.items() if name in budgets)
    return Plan(seen, axis, span, (bottom, top), removed if budgets - {WHOLE} else "")


def chart(plan: Plan, colours: Colours) -> Spec:
    """Lines, points and error bars over the band of the dense network."""
    y = alt.Y(
        "accuracy:Q",
        title="Test accuracy",
        scale=alt.Scale(domain=list(plan.accuracy), nice=False, zero=False),
        axis=alt.Axis(labelExpr=PERCENT, tickCount=6),
    )
    base = alt.Chart(DATA).encode(y=y)
    names = [look.series for look in plan.looks]
    under = legend(names)
    chosen = alt.selection_point(
        name=LEGEND,
        fields=["series"],
        bind="legend",
        toggle="true",
        value=[{"series": name} for name in names],
    )
    hover = alt.selection_point(
        name=HOVER,
        fields=["series"],
        on="pointerover",
        nearest=True,
        clear="pointerout",
        empty=False,
    )
    # Never cleared: the page opens the point clicked last. Only clicks near a point count; any
    # other, such as one on the legend, would select nothing and so clear it.
    click = alt.selection_point(
        name=CLICK,
        fields=["series", "sparsity", "run"],
        on="click[event.item && event.item.isVoronoi]",
        toggle=False,
        clear=False,
        empty=False,
    )
    drawn = base.transform_filter(chosen).encode(
        x=encoding(_axis(plan.axis, plan.removed), plan.across),
        color=alt.Color(
            "series:N", scale=colour_scale(plan.looks, colours), legend=under, sort=None
        ),
    )
    means = drawn.transform_filter(f"datum.kind == '{MEAN}'")
    dodge: dict[str, Any] = {"xOffset": {"expr": "datum.dodge"}}
    bars = means.mark_rule(strokeWidth=1.5, strokeOpacity=0.55, **dodge).encode(
        y="low:Q", y2="high:Q"
    )
    lines = means.mark_line(**dodge).encode(
        strokeDash=alt.StrokeDash("series:N", scale=dash_scale(plan.looks), legend=under),
        # The only channel for the width of a line.
        size=alt.condition(hover, alt.value(4), alt.value(2)),
    )
    points = drawn.transform_filter(f"datum.kind != '{DENSE}'").mark_point(
        strokeWidth=1.5, cursor="pointer", **dodge
    )
    points = points.encode(
        fill=alt.Fill("series:N", scale=fill_scale(plan.looks, colours), legend=under),
        shape=alt.Shape("series:N", scale=shape_scale(plan.looks), legend=under),
        size=alt.condition(f"datum.kind == '{MEAN}'", alt.value(60), alt.value(14)),
        opacity=alt.condition(f"datum.kind == '{MEAN}'", alt.value(1), alt.value(0.4)),
        tooltip=[
            alt.Tooltip("series:N", title="Series"),
            alt.Tooltip("removed:N", title="Removed"),
            alt.Tooltip("shown:N", title="Accuracy"),
            alt.Tooltip("interval:N", title="95\N{NO-BREAK SPACE}% interval"),
            alt.Tooltip("seeds:N", title="Seeds"),
            alt.Tooltip("kept:N", title="Weights kept"),
            alt.Tooltip("operations:N", title="Multiply-adds"),
            alt.Tooltip("size:N", title="Zipped file"),
        ],
    )
    layers = [*_band(base, colours), bars, lines, points.add_params(hover, click, chosen)]
    return spec(alt.LayerChart(layer=layers).properties(height=HEIGHT), grows=True)


def _axis(name: str, removed: str) -> axes.Axis:
    """The axis of that name, which says what the sparsities are shares of."""
    axis = axes.known()[name]
    if name != SPARSITY or not removed:
        return axis
    return dataclasses.replace(axis, title=axis.title.replace("Weights", removed.capitalize()))


def description(rows: pd.DataFrame, axis: str = SPARSITY, removed: str = "") -> str:
    """The chart in words: where each line starts and ends."""
    lines = []
    for series, group in rows[rows["kind"] == MEAN].groupby("series", sort=False):
        first, last = group.iloc[0], group.iloc[-1]
        text = f"{series} {first['shown']} at {first['removed']} removed"
        if len(group) > 1:
            text += f", {last['shown']} at {last['removed']}"
        lines.append(text)
    dense = [row["label"] for row in records(rows[rows["kind"] == DENSE])]
    title = _axis(axis, removed).title.partition(" (")[0]
    against = title if title.startswith("ONNX") else title[:1].lower() + title[1:]
    listed = "; ".join([*lines, *dense]) or "nothing yet"
    return f"Test accuracy against {against}: {listed}."


def _row(kind: str, series: str, value: float, **more: Any) -> dict[str, Any]:
    """All columns of the table."""
    return {
        "kind": kind,
        "series": series,
        "order": -1,
        "sparsity": 0.0,
        "x": None,
        "accuracy": value,
        "low": None,
        "high": None,
        "dodge": 0.0,
        "run": "",
        "removed": "",
        "shown": accuracy(value),
        "interval": "",
        "seeds": "",
        "kept": "",
        "operations": "",
        "size": "",
        "label": "",
    } | more


def _mean(row: dict[str, Any], dodge: float) -> dict[str, Any]:
    low, high = row["low"], row["high"]
    return _row(
        MEAN,
        row["series"],
        row["accuracy"],
        **_figures(row),
        order=row["order"],
        sparsity=row["sparsity"],
        x=row["x"],
        low=low,
        high=high,
        dodge=dodge,
        run=row["run"],
        interval="unknown (one run)" if low is None else between(low, high),
        seeds=", ".join(map(str, row["seeds"])),
    )


def _cell(row: dict[str, Any], dodge: float) -> dict[str, Any]:
    return _row(
        CELL,
        row["series"],
        row["accuracy"],
        **_figures(row),
        order=row["order"],
        sparsity=row["sparsity"],
        x=row["x"],
        dodge=dodge,
        run=str(row["run"]),
        interval="a single run",
        seeds=str(row["seed"]),
    )


def _figures(row: dict[str, Any]) -> dict[str, str]:
    def shown(name: str, show: Callable[[float], str]) -> str:
        value = row[name]
        return "unknown" if value is None or pd.isna(value) else show(value)

    return {
        "removed": percent(row["sparsity"]),
        "kept": shown("kept_weights", "{:,.0f}".format),
        "operations": shown("operations", rough_number),
        "size": shown("zipped_bytes", size),
    }


def between(low: float | None, high: float | None) -> str:
    """``95.1 – 96.3 %``"""
    if low is None or high is None:
        return "unknown"
    return accuracy_range(low, high)


def _band_row(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a dense network."""
    settings = [
        _label(name, row[name]) for name in ("model", "data", "epochs") if row[name] is not None
    ]
    suffix = f" ({', '.join(settings)})" if settings else ""
    label = f"Dense{suffix} {accuracy(row['accuracy'])}"
    return _row(DENSE, "", row["accuracy"], low=row["low"], high=row["high"], label=label)


def _label(setting: str, value: Any) -> str:
    if setting == "model":
        return model_label(value)
    if setting == "data":
        return data_label(value)
    return counted(value, "epoch")


def _dodges(found: pd.DataFrame) -> dict[str, float]:
    """How far each series is moved sideways, in pixels, so that error bars do not overlap."""
    names = list(found.sort_values("order", kind="stable")["series"].unique())
    step = min(4.0, WIDEST_DODGE / max(1, len(names) - 1))
    return {name: round(step * (i - (len(names) - 1) / 2), 2) for i, name in enumerate(names)}


def _band(base: alt.Chart, colours: Colours) -> list[alt.Chart]:
    """The dense networks, behind the lines: mean, interval and label across the whole width."""
    dense = base.transform_filter(f"datum.kind == '{DENSE}'").encode(
        x=alt.value(0), x2=alt.value("width")
    )
    return [
        dense.mark_rect(color=colours.ink, opacity=0.1).encode(y="low:Q", y2="high:Q"),
        dense.mark_rule(color=colours.ink, strokeDash=[1, 0], opacity=0.6),
        base.transform_filter(f"datum.kind == '{DENSE}'")
        .mark_text(align="right", baseline="bottom", dx=-4, dy=-3, fontSize=12, color=colours.ink)
        .encode(x=alt.value("width"), text="label:N"),
    ]
