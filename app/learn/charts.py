"""The charts of the page "Learn"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from app.charts import series_style
from app.charts.spec import Spec, spec
from app.ui.format import accuracy, exact_percent
from prospr_engine.report.charts import expressions
from prospr_engine.report.charts.colours import Colours

Facts = Mapping[str, Any]
PERCENT = expressions.percent()
DASHES = [[1, 0], [6, 3]]  # not by colour alone
DENSE, DOTTED = "Dense", [1, 3]
WAYS = {"joins": "kept because of the look-ahead", "leaves": "removed because of it"}


def layers_table(facts: Facts, labels: Mapping[str, str]) -> pd.DataFrame:
    """One row per criterion and layer."""
    total = facts["setting"]["layers"]
    rows = [
        {
            "criterion": label,
            "layer": f"Layer {i}",
            "share": kept / of,
            "percent": accuracy(kept / of),
            "counts": f"{kept:,} of {of:,}",
        }
        for method, label in labels.items()
        for i, (kept, of) in enumerate(zip(facts["layers"][method], total, strict=True), 1)
    ]
    return pd.DataFrame(rows)


def layers_chart(labels: Sequence[str], layers: int, colours: Colours) -> Spec:
    """Share of the weights kept in each of the layers, a group of bars per criterion."""
    # Domains by name: until its data are there, Vega would make one up.
    names = [f"Layer {i}" for i in range(1, layers + 1)]
    base = alt.Chart().encode(
        y=alt.Y(
            "criterion:N",
            title=None,
            scale=alt.Scale(domain=list(labels)),
            axis=alt.Axis(ticks=False),
        ),
        yOffset=alt.YOffset("layer:N", scale=alt.Scale(domain=names)),
        x=alt.X("share:Q", title="Weights kept", axis=alt.Axis(labelExpr=PERCENT, tickCount=4)),
    )
    bars = base.mark_bar().encode(
        color=alt.Color(
            "layer:N",
            # Shades of one colour: other colours stand for criteria.
            scale=alt.Scale(domain=names, range=[colours.least, colours.kept, colours.most]),
            legend=alt.Legend(title=None, orient="top", symbolType="square"),
        ),
        tooltip=[
            alt.Tooltip("criterion:N", title="Criterion"),
            alt.Tooltip("layer:N", title="Layer"),
            alt.Tooltip("counts:N", title="Weights kept"),
            alt.Tooltip("percent:N", title="Share kept"),
        ],
    )
    words = base.mark_text(align="left", dx=4, fontSize=11).encode(text="percent:N")
    return spec(alt.LayerChart(layer=[bars, words]).properties(height=380))


def layers_description(rows: pd.DataFrame) -> str:
    """The chart in words."""
    parts = [
        f"{name}: {', '.join(f'{r.layer} {r.percent}' for r in group.itertuples())}"
        for name, group in rows.groupby("criterion", sort=False)
    ]
    return f"Share of the weights kept in each layer. {'. '.join(parts)}."


def ahead_table(facts: Facts) -> pd.DataFrame:
    """One row per weight and number of steps looked ahead."""
    rows = [
        {"weight": number, "way": WAYS[line["way"]], "steps": steps, "place": place,
         "percent": accuracy(place)}
        for number, line in enumerate(facts["look_ahead"]["lines"])
        for steps, place in enumerate(line["places"])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def ahead_chart(steps: int, threshold: float, colours: Colours) -> Spec:
    """Where weights stand among all, by steps looked ahead; kept is what is above the line."""
    domain, shades = list(WAYS.values()), [colours.kept, colours.danger]
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", columns=1, labelLimit=260)
    base = alt.Chart().encode(
        x=alt.X(
            "steps:O",
            title="Look-ahead steps",
            scale=alt.Scale(domain=list(range(steps + 1))),
            axis=alt.Axis(labelAngle=0, ticks=False),
        ),
        y=alt.Y(
            "place:Q",
            title="Weights that score lower",
            # The upper part is where weights are kept or not; a power spreads it out.
            scale=alt.Scale(type="pow", exponent=4, domain=[0, 1], nice=False),
            axis=alt.Axis(labelExpr=PERCENT, values=[0.5, 0.8, 0.9, 0.95, 1]),
        ),
        color=alt.Color("way:N", scale=alt.Scale(domain=domain, range=shades), legend=legend),
        detail="weight:N",
    )
    dash = alt.Scale(domain=domain, range=DASHES)
    lines = base.mark_line(strokeWidth=2).encode(
        strokeDash=alt.StrokeDash("way:N", scale=dash, legend=legend)
    )
    points = base.mark_circle(size=45, opacity=1).encode(
        tooltip=[
            alt.Tooltip("way:N", title="This weight is"),
            alt.Tooltip("steps:O", title="Look-ahead steps"),
            alt.Tooltip("percent:N", title="Weights that score lower"),
        ]
    )
    rule = alt.Chart().mark_rule(color=colours.ink, strokeDash=[5, 3]).encode(
        y=alt.YDatum(threshold)
    )  # fmt: skip
    return spec(alt.LayerChart(layer=[rule, lines, points]).properties(height=360))


def ahead_description(facts: Facts) -> str:
    """The chart in words."""
    ahead, lines = facts["look_ahead"], facts["look_ahead"]["lines"]
    counts = {way: sum(line["way"] == way for line in lines) for way in WAYS}
    return (
        f"Where {len(lines)} weights stand in the ranking by the number of steps looked ahead. "
        f"{counts['joins']}, drawn by chance from {ahead['joins']:,}, rise above the line and are "
        f"kept; {counts['leaves']} of {ahead['leaves']:,} fall below it and are removed."
    )


def accuracy_table(means: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """A row per criterion and sparsity: mean, lowest and highest of the seeds. ``means`` is that of
    ``words.accuracies``; what has no label is the dense network."""
    return means.assign(
        criterion=means["name"].map(lambda name: labels.get(name, DENSE)),
        removed=means["sparsity"].map(exact_percent),
        percent=means["mean"].map(accuracy),
        span=means["lowest"].map(accuracy) + " to " + means["highest"].map(accuracy),
    ).drop(columns=["name", "sparsity"])


def accuracy_chart(
    labels: Mapping[str, str], sparsities: Sequence[float], colours: Colours
) -> Spec:
    """Test accuracy by the share of weights removed; the criteria look as in a comparison."""
    looks = series_style.looks_of_methods(labels)
    names = [*labels.values(), DENSE]
    legend = series_style.legend(names)
    shades = alt.Scale(
        domain=names, range=[*(series_style.colour(colours, look) for look in looks), colours.ink]
    )
    base = alt.Chart().encode(
        x=alt.X(
            "removed:O",
            title="Weights removed",
            scale=alt.Scale(domain=[exact_percent(at) for at in sparsities]),
            axis=alt.Axis(labelAngle=0, ticks=False),
        ),
        color=alt.Color("criterion:N", scale=shades, legend=legend),
    )
    accuracy = alt.Y(
        "mean:Q",
        title="Test accuracy",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(labelExpr=PERCENT, tickCount=5),
    )
    dash = alt.Scale(domain=names, range=[*(list(look.dash) for look in looks), DOTTED])
    shape = alt.Scale(
        domain=names, range=[*(series_style.SHAPES[look.shape] for look in looks), "circle"]
    )
    lines = base.mark_line(strokeWidth=2.5).encode(
        y=accuracy, strokeDash=alt.StrokeDash("criterion:N", scale=dash, legend=None)
    )
    ranges = base.mark_rule(opacity=0.5).encode(y=alt.Y("lowest:Q"), y2="highest:Q")
    points = base.mark_point(size=60, opacity=1, filled=True).encode(
        y=accuracy,
        shape=alt.Shape("criterion:N", scale=shape, legend=legend),
        tooltip=[
            alt.Tooltip("criterion:N", title="Criterion"),
            alt.Tooltip("removed:O", title="Weights removed"),
            alt.Tooltip("percent:N", title="Mean test accuracy"),
            alt.Tooltip("span:N", title="Lowest to highest seed"),
        ],
    )
    return spec(alt.LayerChart(layer=[ranges, lines, points]).properties(height=340))


def accuracy_description(rows: pd.DataFrame) -> str:
    """The chart in words."""
    parts = [
        f"{name}: {', '.join(f'{r.percent} with {r.removed} removed' for r in group.itertuples())}"
        for name, group in rows[rows["criterion"] != DENSE].groupby("criterion", sort=False)
    ]
    dense = rows.loc[rows["criterion"] == DENSE, "percent"].iloc[0]
    return f"Mean test accuracy. {'. '.join(parts)}. Dense: {dense}."
