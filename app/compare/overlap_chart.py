"""The overlap of the masks of several series, and what chance alone would give.

Takes the ``MaskOverlap`` of ``services.overlap.mask_overlaps``: of each two series, for the whole
network (``layer`` "") and for its layers. ``rows = table(found, names)`` with the names of
all series in order, ``chart(names, theme())``, ``description(rows)``; of two of them,
``layers_table(found, first, second)``, ``layers_chart(layers)``, ``layers_description(rows)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from app.charts import heat_map
from app.charts.heat_map import Grid
from app.charts.spec import DATA, Spec, spec
from app.ui.format import SPACE, fixed_percent, percent
from prospr_engine.report.charts import expressions
from prospr_engine.report.charts.colours import Colours
from prospr_engine.report.charts.layers import axis, height, label

if TYPE_CHECKING:
    from app.services.overlap import MaskOverlap

COLUMNS = (
    "row",
    "column",
    "value",
    "text",
    "sign",
    "pair",
    "measured",
    "chance",
    "jaccard",
    "by_chance",
    "seeds",
)
TOOLTIPS = {
    "pair": "Masks of",
    "measured": "In common",
    "chance": "By chance",
    "seeds": "Pairs of runs",
}
PERCENT = expressions.percent(3)
AROUND = 105  # pixels for axis and legend
KINDS = ["in common", "by chance"]


def table(found: Iterable[MaskOverlap], names: Sequence[str]) -> pd.DataFrame:
    """A row per cell of the square of ``names``: above the diagonal the overlap of two masks,
    below it the overlap by chance; empty for pairs not compared or without weights."""
    pairs = {(one.first, one.second): one for one in found if not one.layer}
    pairs |= {(second, first): one for (first, second), one in pairs.items()}
    rows = []
    for i, row in enumerate(names):
        for j, column in enumerate(names):
            one = pairs.get((row, column))
            if one is None or one.jaccard is None:
                rows.append(_empty(row, column))
            else:
                rows.append(_cell(row, column, one, measured=j > i))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def chart(names: tuple[str, ...], colours: Colours) -> Spec:
    """The square of ``names``."""
    shades = alt.Color(
        "value:Q",
        scale=alt.Scale(
            domain=[0, 1],
            range=[heat_map.palest(colours), colours.most],
            interpolate="rgb",
        ),
        legend=heat_map.shades_legend("Kept by both / kept by either", PERCENT, [0, 0.5, 1]),
    )
    strong = f"datum.value > {heat_map.ink_switch(colours.most, colours)}"
    return heat_map.chart(Grid(names, names, TOOLTIPS), shades, strong, colours)


def description(rows: pd.DataFrame) -> str:
    """The square in words: the pairs with the most and the least overlap."""
    known = rows.dropna(subset=["jaccard"]).drop_duplicates("pair")
    if known.empty:
        return "Overlap of masks: no two could be compared."
    ranked = known.sort_values("jaccard")
    most, least = ranked.iloc[-1], ranked.iloc[0]
    return (
        f"Overlap of the masks of {len(known)} pairs: most between {most['pair']} "
        f"({most['measured']}; by chance {most['chance']}), least between {least['pair']} "
        f"({least['measured']}; by chance {least['chance']})."
    )


def layers_table(found: Iterable[MaskOverlap], first: str, second: str) -> pd.DataFrame:
    """A row per layer: the overlap of the masks of two series, in the network's order."""
    wanted = ({first, second},)
    layers = [one for one in found if one.layer and {one.first, one.second} in wanted]
    rows: list[dict[str, Any]] = [
        {
            "order": number,
            "layer": label(one.layer, number),
            "name": one.layer,
            "jaccard": one.jaccard,
            "by_chance": one.chance,
            "measured": _percent(one.jaccard),
            "chance": _percent(one.chance),
        }
        for number, one in enumerate(layers, 1)
    ]
    columns = ["order", "layer", "name", "jaccard", "by_chance", "measured", "chance"]
    return pd.DataFrame(rows, columns=columns)


def layers_chart(layers: tuple[str, ...], colours: Colours) -> Spec:
    """A bar per layer (by label) for the overlap, and a line across it at the overlap by chance."""
    base = alt.Chart(DATA).encode(
        y=alt.Y(
            "layer:N",
            title=None,
            scale=alt.Scale(domain=list(layers)),
            axis=alt.Axis(**axis(len(layers))),
        ),
        tooltip=[
            alt.Tooltip("name:N", title="Parameter"),
            alt.Tooltip("measured:N", title="In common"),
            alt.Tooltip("chance:N", title="By chance"),
        ],
    )
    across: dict[str, Any] = {
        "title": "Kept by both / kept by either",
        "scale": alt.Scale(domain=[0, 1]),
        "axis": alt.Axis(labelExpr=PERCENT, values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
    }
    bars = base.mark_bar(height={"band": 0.7}, color=colours.kept).encode(
        x=alt.X("jaccard:Q", **across)
    )
    lines = base.mark_tick(thickness=3, color=colours.danger, height={"band": 0.95}).encode(
        x=alt.X("by_chance:Q", **across)
    )
    chart = alt.LayerChart(layer=[bars, lines])
    return spec(chart.properties(height=height(len(layers), AROUND)))


def layers_description(rows: pd.DataFrame) -> str:
    """The bars in words."""
    known = rows.dropna(subset=["jaccard"])
    if known.empty:
        return "Overlap by layer: nothing to compare."
    ranked = known.sort_values("jaccard")
    most, least = ranked.iloc[-1], ranked.iloc[0]
    return (
        f"Overlap of two masks in each of {len(rows)} layers: most in {most['layer']} "
        f"({most['measured']}; by chance {most['chance']}), least in {least['layer']} "
        f"({least['measured']}; by chance {least['chance']})."
    )


def _cell(row: str, column: str, one: MaskOverlap, measured: bool) -> dict[str, Any]:
    value = one.jaccard if measured else one.chance
    assert value is not None
    return {
        "row": row,
        "column": column,
        "value": value,
        "text": fixed_percent(value, 0).removesuffix(f"{SPACE}%"),
        "sign": "",
        "pair": f"{one.first} and {one.second}",
        "measured": _percent(one.jaccard),
        "chance": _percent(one.chance),
        "jaccard": one.jaccard,
        "by_chance": one.chance,
        "seeds": str(one.seeds),
    }


def _empty(row: str, column: str) -> dict[str, Any]:
    same = row == column
    return {
        "row": row,
        "column": column,
        "value": None,
        "text": "",
        "sign": "",
        "pair": row if same else f"{row} and {column}",
        "measured": "the same series" if same else "not compared",
        "chance": "",
        "jaccard": None,
        "by_chance": None,
        "seeds": "",
    }


def _percent(share: float | None) -> str:
    return "none kept" if share is None else percent(round(share, 3))
