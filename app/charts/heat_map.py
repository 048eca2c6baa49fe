"""A heat map with a column per series.

Eleven lines over a hundred layers would be unreadable; a grid of shades is not, and contains
numbers where they fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt

from app.charts.spec import DATA, Spec, spec
from prospr_engine.report.charts.colours import DARK, Colours

ROOMY, CLOSE = 24, 14  # pixels per row
MOST_ROOMY = 20  # rows; with more of them they are closer and have no numbers
OWN_INK = "own_ink"
"""In the names of marks whose text keeps its own colour. All other chart text gets the colour of
the page's text, see ``ui.style``."""
NARROWEST = 24  # pixels of a cell that has room for a number


@dataclass(frozen=True)
class Grid:
    """``rows`` and ``columns`` by name, in order. The table has one line per cell, with the
    columns ``row``, ``column``, ``value`` (its shade, None for no shade), ``text`` (the number in
    it) and ``sign`` (a sign in place of the number, or "")."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    tooltips: Mapping[str, str] = field(hash=False)


def chart(grid: Grid, shades: alt.Color, strong: str, colours: Colours) -> Spec:
    """The heat map in ``shades`` of ``value``. ``strong`` is a Vega expression: whether the shade
    of ``datum.value`` is so strong that a number on it needs the second ink, see
    ``ink_switch``."""
    base = alt.Chart(DATA).encode(
        x=alt.X(
            "column:N",
            title=None,
            scale=alt.Scale(domain=list(grid.columns), paddingInner=0.04, paddingOuter=0),
            axis=alt.Axis(
                orient="top",
                labelAngle=-60 if len(grid.columns) > 2 else 0,
                labelLimit=200,
                labelOverlap=False,
                labelFlush=False,
                ticks=False,
                domain=False,
                grid=False,
            ),
        ),
        y=alt.Y(
            "row:N",
            title=None,
            scale=alt.Scale(domain=list(grid.rows), paddingInner=0.06, paddingOuter=0),
            axis=alt.Axis(
                labelLimit={"expr": "width > 500 ? 200 : 110"},
                labelOverlap=False,
                labelFlush=False,
                labelFontSize=12 if len(grid.rows) <= MOST_ROOMY else 10,
                ticks=False,
                domain=False,
                grid=False,
            ),
        ),
        tooltip=[alt.Tooltip(f"{name}:N", title=title) for name, title in grid.tooltips.items()],
    )
    cells = base.mark_rect(cornerRadius=2).encode(color=shades)
    near, far = inks(colours)
    ink = alt.condition(strong, alt.value(far), alt.value(near))
    fits = f"width / {max(1, len(grid.columns))} >= {NARROWEST} ? 1 : 0"
    numbers = base.mark_text(fontSize=11, opacity={"expr": fits}).encode(text="text:N", color=ink)
    numbers = numbers.properties(name=f"{OWN_INK}_numbers")
    signs = base.mark_text(fontSize=12, fontWeight="bold").encode(text="sign:N", color=ink)
    signs = signs.properties(name=f"{OWN_INK}_signs")
    roomy = len(grid.rows) <= MOST_ROOMY
    layers = [cells, numbers, signs] if roomy else [cells, signs]
    height = (ROOMY if roomy else CLOSE) * len(grid.rows)
    return spec(alt.LayerChart(layer=layers).properties(height=height), grows=True)


def shades_legend(title: str, labels: str, values: Sequence[float] | None = None) -> alt.Legend:
    """The legend of the shades, under the chart."""
    more: dict[str, Any] = {} if values is None else {"values": list(values)}
    return alt.Legend(
        title=title,
        orient="bottom",
        direction="horizontal",
        gradientLength={"expr": "min(260, width)"},
        gradientThickness=10,
        titleLimit=320,
        labelExpr=labels,
        **more,
    )


def ink_switch(end: str, colours: Colours) -> float:
    """The fraction of the range from the palest shade to ``end`` above which the second of ``inks``
    has the higher contrast."""
    steps = [step / 100 for step in range(101)]
    return next((step for step in steps if _far_is_clearer(end, step, colours)), 1.0)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    light, dark = sorted((_luminance(_parts(one)), _luminance(_parts(other))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    """The colour at ``share`` of the way between two, as in Vega's "rgb" interpolation."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02X}" for a, b in pairs)


def _far_is_clearer(end: str, share: float, colours: Colours) -> bool:
    near, far = inks(colours)
    shade = mixed(palest(colours), end, share)
    return contrast(shade, far) > contrast(shade, near)


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _luminance(parts: Sequence[int]) -> float:
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in
              (part / 255 for part in parts)]  # fmt: skip
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def inks(colours: Colours) -> tuple[str, str]:
    """Text colours for the palest and the strongest shades. Only black and white have a contrast of
    4.5 with every shade in between."""
    return ("#FFFFFF", "#000000") if colours == DARK else ("#000000", "#FFFFFF")


def ground(colours: Colours) -> str:
    """The colour behind the chart."""
    return "#12191F" if colours == DARK else "#FFFFFF"


def palest(colours: Colours) -> str:
    """The palest shade, for values close to zero."""
    return "#1E2C37" if colours == DARK else "#EAF1F6"
