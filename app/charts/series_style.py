"""How the lines of a comparison are told apart: a colour, a shape and a dash for each series.

A method has the same look in every comparison. Its controls have its colour and shape, dashed and
hollow; what is random is grey, so that the eye finds what it has to beat.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from app.charts.colours import DARK, Colours
from app.charts.rows import records

HUES_LIGHT = (
    "#0072B2",  # blue
    "#C2410C",  # vermilion
    "#00875F",  # green
    "#B0417F",  # purple red
    "#A87300",  # ochre
    "#6A4FB3",  # violet
    "#0891B2",  # teal blue
    "#8C1D40",  # maroon
    "#4D5B16",  # olive
    "#7B8791",  # grey
    "#4B5862",  # dark grey
)
HUES_DARK = (
    "#56B4E9",
    "#FF7F45",
    "#3FC39E",
    "#F08CC0",
    "#F0C04B",
    "#B39DF2",
    "#7FE3F0",
    "#FF6B7F",
    "#B9CC5A",
    "#8796A1",
    "#BAC5CD",
)
"""By place, on light and on dark ground, each with a contrast of at least 3 to it. The last two
are of what is random."""

SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "M-1,-1L1,1M-1,1L1,-1M-0.99,-1L1.01,1",  # an x; a shape without area has no fill
    "triangle-right",
    "triangle-left",
    "M0,-1.2L0.35,-0.35L1.2,-0.35L0.5,0.2L0.75,1.1L0,0.55L-0.75,1.1L-0.5,0.2L-1.2,-0.35L-0.35,-0.35Z",
    "M-0.5,-0.9L0.5,-0.9L1,0L0.5,0.9L-0.5,0.9L-1,0Z",  # a hexagon
)

GREYS = (len(HUES_LIGHT) - 2, len(HUES_LIGHT) - 1)
PLACES = {
    "prospr": 0,
    "snip": 1,
    "grasp": 2,
    "synflow": 3,
    "magnitude": 4,
    "prospr_first_order": 5,
    "prospr_published": 6,
    "iterative_snip": 7,
    "force": 8,
    "random": GREYS[0],
    "random_erk": GREYS[1],
}
"""Of a method, in the colours and in the shapes."""

SOLID = (1, 0)
DASHES = {"shuffle": (6, 3), "reinit": (2, 2), "random": (7, 2, 2, 2)}
"""By control; solid without one."""
GREY_DASHES = {GREYS[0]: (4, 3), GREYS[1]: (10, 3)}
OTHER_DASH = (9, 4)

LETTER, SYMBOL = 6.6, 36  # pixels that a letter of a legend takes, and what goes before a name
MOST_LISTED = 12  # names, of which a narrow screen has one per line

KEYS = ("model", "data", "method", "steps", "options", "epochs")
"""What a series and its controls have in common."""


@dataclass(frozen=True)
class Look:
    """``hue`` and ``shape`` are places in the tables above."""

    series: str
    hue: int
    shape: int
    dash: tuple[int, ...] = SOLID
    hollow: bool = False


def looks(frame: pd.DataFrame) -> tuple[Look, ...]:
    """One look per series of ``frame``, in their order; no two are the same. ``frame``: the
    columns of a sweep, with ``series`` and ``order``."""
    firsts = frame.sort_values("order", kind="stable").drop_duplicates("series")
    rows = records(firsts)
    own = {PLACES[row["method"]] for row in rows if row["method"] in PLACES}
    free = list(_free([place for place in range(GREYS[0]) if place not in own]))
    found: dict[str, Look] = {}
    bases: dict[tuple[Any, ...], Look] = {}
    for row in sorted(rows, key=lambda row: not _plain(row)):
        place = PLACES.get(row["method"])
        wanted = [bases[_key(row)]] if _key(row) in bases else []
        wanted += [] if place is None else [Look("", place, place)]
        wanted += [Look("", hue, shape) for hue, shape in free]
        look = _first_unused([_dressed(look, row) for look in wanted], found.values())
        found[row["series"]] = look
        bases.setdefault(_key(row), look)
    return tuple(found[row["series"]] for row in rows)


def colour(colours: Colours, look: Look) -> str:
    """The look's colour on the ground of that theme."""
    return (HUES_DARK if colours == DARK else HUES_LIGHT)[look.hue]


def colour_scale(seen: Sequence[Look], colours: Colours) -> alt.Scale:
    """Of lines and outlines."""
    return alt.Scale(domain=_names(seen), range=[colour(colours, look) for look in seen])


def fill_scale(seen: Sequence[Look], colours: Colours) -> alt.Scale:
    """Of the inside of points."""
    inside = ["transparent" if look.hollow else colour(colours, look) for look in seen]
    return alt.Scale(domain=_names(seen), range=inside)


def shape_scale(seen: Sequence[Look]) -> alt.Scale:
    """Of points."""
    return alt.Scale(domain=_names(seen), range=[SHAPES[look.shape] for look in seen])


def dash_scale(seen: Sequence[Look]) -> alt.Scale:
    """Of lines."""
    return alt.Scale(domain=_names(seen), range=[list(look.dash) for look in seen])


def legend(names: Sequence[str]) -> alt.Legend:
    """Of all channels at once, under the chart, in as many columns as there is room for."""
    column = round(SYMBOL + LETTER * max(map(len, names), default=0))
    least = 1 if len(names) <= MOST_LISTED else 2
    return alt.Legend(
        title=None,
        orient="bottom",
        columns={"expr": f"max({least}, floor(width / {column}))"},
        symbolSize=90,
        symbolStrokeWidth=1.5,
        labelLimit=column if least == 1 else {"expr": f"max(130, min({column}, width / 2))"},
    )


def _names(seen: Sequence[Look]) -> list[str]:
    return [look.series for look in seen]


def _plain(row: Mapping[str, Any]) -> bool:
    return row["control"] in ("", "none")


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    values = (row.get(name) for name in KEYS)
    return tuple(None if pd.isna(value) else value for value in values)


def _free(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of a hue and a shape: the same place in both first, and then any."""
    yield from ((place, place) for place in places)
    for turn in range(1, len(SHAPES)):
        yield from ((hue, (hue + turn) % len(SHAPES)) for hue in range(GREYS[0]))


def _dressed(look: Look, row: Mapping[str, Any]) -> Look:
    """``look`` as that of the series of ``row``, which may be a control."""
    if _plain(row):
        return Look(row["series"], look.hue, look.shape, GREY_DASHES.get(look.hue, SOLID))
    dash = DASHES.get(row["control"], OTHER_DASH)
    return Look(row["series"], look.hue, look.shape, dash, hollow=True)


def _first_unused(wanted: Sequence[Look], used: Iterable[Look]) -> Look:
    """The first that looks like none of ``used``; the last, if there are more series than looks."""
    taken = {dataclasses.replace(look, series="") for look in used}
    unused = (look for look in wanted if dataclasses.replace(look, series="") not in taken)
    return next(unused, wanted[-1])
