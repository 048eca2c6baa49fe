"""The trail of a budget search: every sparsity that was tried, in order, against the goal.

Takes the probes of the search, its ``Goal``, and the ``limit`` of that.
``rows = table(trail, limit, goal)``, ``chart(plan(rows, goal), theme())``, ``description(rows)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import altair as alt
import pandas as pd

from app.charts.spec import DATA, Spec, spec
from app.compare.axes import LABELS, PERCENT_REMOVED, ROUND
from app.services import Goal
from app.ui.format import figure, percent, points, rough_number, signed_points, to_percent
from prospr_engine.report.charts.colours import Colours

MET, MISSED, FAILED, GOAL = "goal met", "goal missed", "failed", "goal"
STATES = [MET, MISSED, FAILED]
SHAPES = ["circle", "diamond", "cross"]
COLUMNS = ("kind", "number", "x", "value", "removed", "shown", "label", "error")
HEIGHT = 320  # pixels, with axes and legend
POINTS = "format(datum.value, '.3~g')"


class Probe(Protocol):
    """A sparsity that was tried: ``value`` is the accuracy lost (a fraction) or another figure
    of the goal, None if the run failed."""

    @property
    def sparsity(self) -> float: ...
    @property
    def met(self) -> bool: ...
    @property
    def value(self) -> float | None: ...
    @property
    def error(self) -> str: ...


@dataclass(frozen=True)
class Plan:
    """``density`` and ``value`` from least to most; ``title`` and ``labels`` (a Vega expression)
    are of the axis of values, ``removed`` is the title of the other. ``under``: points at the
    sparse end lie above the goal."""

    title: str
    labels: str
    removed: str
    under: bool
    density: tuple[float, float]
    value: tuple[float, float]


def table(trail: Sequence[Probe], limit: float, goal: Goal) -> pd.DataFrame:
    """A row per probe, in order, and one for the goal. A failed probe has no value and is drawn
    on the goal's line."""
    unit = 100 if goal.of_accuracy else 1
    rows = []
    for number, probe in enumerate(trail, 1):
        failed = probe.value is None
        value = limit if probe.value is None else probe.value
        rows.append(
            {
                "kind": FAILED if failed else MET if probe.met else MISSED,
                "number": str(number),
                "x": 1 - probe.sparsity,
                "value": unit * value,
                "removed": percent(probe.sparsity),
                "shown": "no result" if failed else _value(value, goal),
                "label": "",
                "error": probe.error,
            }
        )
    most = _value(limit, goal).removeprefix("+")
    label = f"Goal: at most {most}" + (" lost" if goal.of_accuracy else "")
    rows.append(
        {"kind": GOAL, "value": unit * limit, "label": label, "shown": most}
        | dict.fromkeys(("number", "removed", "error"), "")
    )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def plan(rows: pd.DataFrame, goal: Goal, counted: str = "weights") -> Plan:
    """How to draw ``rows``."""
    densities = rows["x"].dropna()
    low, high = (densities.min(), densities.max()) if len(densities) else (0.01, 1.0)
    least, most = rows["value"].min(), rows["value"].max()
    margin = 0.1 * (most - least) or 0.1 * abs(most) or 1.0
    bottom = least - margin if goal.of_accuracy else max(0.0, least - margin)
    return Plan(
        title=goal.title,
        labels=POINTS if goal.of_accuracy else LABELS[goal.unit],
        removed=f"{counted.capitalize()} removed",
        under=goal.of_accuracy,
        density=(low / 1.3, min(1.0, high * 1.3)),
        value=(bottom, most + margin),
    )


def chart(plan: Plan, colours: Colours) -> Spec:
    """A numbered point per probe, the goal as a line across."""
    ticks = [1 - s for s in ROUND if plan.density[0] <= 1 - s <= plan.density[1]]
    y = alt.Y(
        "value:Q",
        title=plan.title,
        scale=alt.Scale(domain=list(plan.value), nice=False, zero=False),
        axis=alt.Axis(labelExpr=plan.labels, tickCount=5),
    )
    base = alt.Chart(DATA).encode(y=y)
    probes = base.transform_filter(f"datum.kind != '{GOAL}'").encode(
        x=alt.X(
            "x:Q",
            title=plan.removed,
            scale=alt.Scale(
                type="log", domain=list(plan.density), reverse=True, nice=False, padding=10
            ),
            axis=alt.Axis(
                labelExpr=PERCENT_REMOVED,
                grid=False,
                labelOverlap="greedy",
                labelSeparation=4,
                **({"values": ticks} if len(ticks) > 1 else {"tickCount": 4}),
            ),
        )
    )
    seen = alt.Legend(title=None, orient="top", symbolSize=110)
    inks = [colours.kept, colours.danger, colours.removed]
    points = probes.mark_point(filled=True, size=130, opacity=1).encode(
        color=alt.Color("kind:N", scale=alt.Scale(domain=STATES, range=inks), legend=seen),
        shape=alt.Shape("kind:N", scale=alt.Scale(domain=STATES, range=SHAPES), legend=seen),
        tooltip=[
            alt.Tooltip("number:N", title="Try"),
            alt.Tooltip("removed:N", title="Removed"),
            alt.Tooltip("shown:N", title="Lost" if plan.under else "Figure"),
            alt.Tooltip("kind:N", title="Outcome"),
        ],
    )
    numbers = probes.mark_text(dy=-14, fontSize=12, color=colours.ink).encode(text="number:N")
    goal = base.transform_filter(f"datum.kind == '{GOAL}'")
    rule = goal.mark_rule(color=colours.ink, strokeDash=[6, 4], opacity=0.7)
    # On the side of the line that has no points at the sparse end.
    under = plan.under
    label = goal.mark_text(
        align="right",
        baseline="top" if under else "bottom",
        dx=-4,
        dy=5 if under else -4,
        fontSize=12,
        color=colours.ink,
    ).encode(x=alt.value("width"), text="label:N")
    layers = [rule, label, points, numbers]
    return spec(alt.LayerChart(layer=layers).properties(height=HEIGHT))


def description(rows: pd.DataFrame) -> str:
    """The trail in words."""
    tried = [
        f"{row['removed']} ({row['shown']}, {row['kind']})"
        for row in rows.to_dict("records")
        if row["kind"] != GOAL
    ]
    goal = rows.loc[rows["kind"] == GOAL, "label"].iloc[0]
    return f"{goal}. Tried in this order: {', '.join(tried) or 'nothing yet'}."


def _value(value: float, goal: Goal) -> str:
    if not goal.of_accuracy:
        return rough_number(value) if goal.unit == "count" else figure(goal.unit, value)
    lost = to_percent(value)
    return points(lost) if round(lost, 1) >= 0 else signed_points(lost)
