"""The look of the series of a comparison: a colour, a shape and a dash each.

A method looks the same in every comparison. Its controls have its colour and shape, dashed and
hollow; where it removes channels, it has its colour, in long dashes with bars for points. Random
methods are grey, as the baseline to beat.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from app.charts.rows import records
from app.services import CHANNELS, CONTROLS, METHODS, SHARED_WITH_CONTROLS, is_control
from prospr_engine.report.charts.colours import DARK, HUES_DARK, HUES_LIGHT, Colours

SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "M-1,-1L1,1M-1,1L1,-1M-0.99,-1L1.01,1",  # an x; a shape needs an area to have a fill
    "triangle-right",
    "triangle-left",
    "M-1.1,-0.4L1.1,-0.4L1.1,0.4L-1.1,0.4Z",  # a flat bar
    "M0,-1.2L0.35,-0.35L1.2,-0.35L0.5,0.2L0.75,1.1L0,0.55L-0.75,1.1L-0.5,0.2L-1.2,-0.35L-0.35,-0.35Z",
    "M-0.5,-0.9L0.5,-0.9L1,0L0.5,0.9L-0.5,0.9L-1,0Z",  # a hexagon
)

BARS = len(SHAPES)
"""The shape of channels: two bars side by side."""
BARS_PATH = "M-1,-1L-0.35,-1L-0.35,1L-1,1ZM0.35,-1L1,-1L1,1L0.35,1Z"

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
    "magnitude_trained": 9,
    "random": GREYS[0],
    "random_erk": GREYS[1],
}
"""The place of a method among colours and shapes. Methods that are not listed get mixtures of
colour, shape and dash, in the order of their table."""

SOLID = (1, 0)
CONTROL_DASHES = ((6, 3), (2, 2), (7, 2, 2, 2), (9, 4), (5, 2, 1, 2), (3, 5), (11, 2, 5, 2))
"""By the place of a control in its table; the last for all others."""
CHANNELS_DASH = (8, 3)
GREY_DASHES = {GREYS[0]: (4, 3), GREYS[1]: (10, 3)}
MIXED_DASHES = ((12, 3, 2, 3), (5, 5), (14, 4), (3, 2, 3, 6))
"""For lines that share the colour of another line."""

LETTER, SYMBOL = 6.6, 36  # pixels of a letter in a legend, and of the symbol before a name
MOST_LISTED = 12  # names with a line each on a narrow screen


@dataclass(frozen=True)
class Look:
    """``hue`` and ``shape`` are indices into the tables above; ``BARS`` is a shape of its own."""

    series: str
    hue: int
    shape: int
    dash: tuple[int, ...] = SOLID
    hollow: bool = False


def looks(frame: pd.DataFrame) -> tuple[Look, ...]:
    """A unique look for each series of ``frame``, in order. ``frame`` has the columns of a sweep,
    and ``series`` and ``order``."""
    firsts = frame.sort_values("order", kind="stable").drop_duplicates("series")
    rows = records(firsts)
    of_methods = _of_methods()
    own = {method: of_methods[method] for row in rows if (method := row["method"]) in of_methods}
    free = [look for look in _free() if look not in own.values()]
    found: dict[str, Look] = {}
    bases: dict[tuple[Any, ...], Look] = {}
    for row in sorted(rows, key=lambda row: not _plain(row)):
        preferred = (bases.get(_key(row)), own.get(row["method"]))
        wanted = [look for look in preferred if look is not None] + free
        look = _first_unused((_for_row(look, row) for look in wanted), found.values())
        found[row["series"]] = look
        bases.setdefault(_key(row), look)
    return tuple(found[row["series"]] for row in rows)


def looks_of_methods(labels: Mapping[str, str]) -> tuple[Look, ...]:
    """The looks of methods by themselves, given their ``labels`` by name."""
    known = _of_methods()
    return tuple(dataclasses.replace(known[name], series=label) for name, label in labels.items())


def colour(colours: Colours, look: Look) -> str:
    """The colour of the look in that theme."""
    return (HUES_DARK if colours == DARK else HUES_LIGHT)[look.hue]


def colour_scale(seen: Sequence[Look], colours: Colours) -> alt.Scale:
    """The scale for lines and outlines."""
    return alt.Scale(domain=_names(seen), range=[colour(colours, look) for look in seen])


def fill_scale(seen: Sequence[Look], colours: Colours) -> alt.Scale:
    """The scale for the inside of points."""
    inside = ["transparent" if look.hollow else colour(colours, look) for look in seen]
    return alt.Scale(domain=_names(seen), range=inside)


def shape_scale(seen: Sequence[Look]) -> alt.Scale:
    """The scale for the shapes of points."""
    return alt.Scale(domain=_names(seen), range=[(*SHAPES, BARS_PATH)[look.shape] for look in seen])


def dash_scale(seen: Sequence[Look]) -> alt.Scale:
    """The scale for the dashes of lines."""
    return alt.Scale(domain=_names(seen), range=[list(look.dash) for look in seen])


def legend(names: Sequence[str]) -> alt.Legend:
    """One legend for all channels, under the chart, in as many columns as fit."""
    column = round(SYMBOL + LETTER * max(map(len, names), default=0))
    least = 1 if len(names) <= MOST_LISTED else 2
    return alt.Legend(
        title=None,
        orient="bottom",
        columns={"expr": f"max({least}, floor(width / {column}))"},
        symbolSize=90,
        symbolOpacity=1,  # also where some of the marks are pale
        symbolStrokeWidth=1.5,
        labelLimit=column if least == 1 else {"expr": f"max(130, min({column}, width / 2))"},
    )


def _names(seen: Sequence[Look]) -> list[str]:
    return [look.series for look in seen]


def _plain(row: Mapping[str, Any]) -> bool:
    return not is_control(row["control"]) and row.get("kind") != CHANNELS


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Equal for a series, its controls, and the same where channels are removed."""
    values = (row.get(name) for name in SHARED_WITH_CONTROLS if name != "kind")
    return tuple(None if pd.isna(value) else value for value in values)


def _of_methods() -> dict[str, Look]:
    """The look of each method."""
    mixed, grey = _mixed(range(GREYS[0])), _mixed(GREYS)
    found = {}
    for name, spec in METHODS.items():
        place = PLACES.get(name)
        if place is not None:
            found[name] = Look("", place, place, GREY_DASHES.get(place, SOLID))
        else:
            found[name] = next(grey if spec.by_chance else mixed)
    return found


def _free() -> Iterator[Look]:
    """Looks for lines that have none of their own, the most distinct first."""
    yield from (Look("", place, place) for place in range(GREYS[0]))
    yield from _mixed(range(GREYS[0]))


def _mixed(hues: Sequence[int]) -> Iterator[Look]:
    """Every colour with every shape except its own, dashed."""
    dashes, shapes = len(MIXED_DASHES), len(SHAPES)
    for turn in range(shapes * dashes):
        if turn % shapes:
            dash = MIXED_DASHES[(turn + turn // shapes) % dashes]
            yield from (Look("", hue, (hue + turn) % shapes, dash) for hue in hues)


def _for_row(look: Look, row: Mapping[str, Any]) -> Look:
    """``look`` for the series of ``row``, which may be a control or of channels."""
    own = look.shape == look.hue  # not a mixture
    if row.get("kind") == CHANNELS and own:
        return Look(row["series"], look.hue, BARS, CHANNELS_DASH)
    if _plain(row) or row.get("kind") == CHANNELS:
        return dataclasses.replace(look, series=row["series"])
    names = list(CONTROLS)
    place = names.index(row["control"]) if row["control"] in names else -1
    dash = CONTROL_DASHES[min(place, len(CONTROL_DASHES) - 1)]
    return Look(row["series"], look.hue, look.shape, dash, hollow=True)


def _first_unused(wanted: Iterable[Look], used: Iterable[Look]) -> Look:
    """The first that is not in ``used``. There are more looks than lines in a chart."""
    taken = {dataclasses.replace(look, series="") for look in used}
    return next(look for look in wanted if dataclasses.replace(look, series="") not in taken)
