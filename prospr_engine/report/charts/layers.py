"""Weights kept in each layer: a horizontal bar each, and a sign at layers in danger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from prospr_engine.format import SPACE, listed, percent
from prospr_engine.overrides import setting_words
from prospr_engine.pipeline.pruning_record import LayerRecord
from prospr_engine.report.charts.colours import Colours
from prospr_engine.report.charts.spec import Spec, channel, layered, tooltip

BELOW = 55  # pixels for the axis, which Streamlit takes from the chart's height
PERCENT = f"round(100 * datum.value) + '{SPACE}%'"
MOST_ROOMY = 16  # layers; with more of them the rows are closer
MOST_NAMED = 6  # layers of one setting in a sentence

FINE, THIN, CUT_OFF, EMPTY = "fine", "thin", "cut off", "empty"
SIGNS = {
    # state: (its sign as text, the same as a path, what it means)
    EMPTY: ("✕", "M-0.8,-0.8L0.8,0.8M-0.8,0.8L0.8,-0.8", "no weights left"),
    CUT_OFF: ("◇", "diamond", "has weights, but all are cut off from the input or the output"),
    THIN: ("△", "triangle-up", "fewer weights than output channels, so some channels are silent"),
}


def table(layers: Sequence[LayerRecord]) -> pd.DataFrame:
    """One row per layer, in the network's order. ``effective`` may be None: connections are not
    examined yet."""
    rows = [
        {
            "order": number,
            "layer": label(layer.name, number),
            "name": layer.name,
            "kept": layer.kept,
            "total": layer.total,
            "share": layer.density,
            "percent": percent(layer.density),
            "works": "unknown" if layer.effective is None else f"{layer.effective:,}",
            "state": state(layer),
            # The right axis shows what follows the bar; the number keeps equal counts apart.
            "counts": f"{number}|{layer.kept:,} of {layer.total:,}",
        }
        for number, layer in enumerate(layers, 1)
    ]
    return pd.DataFrame(rows)


def state(layer: LayerRecord) -> str:
    """The state of a layer: ``FINE`` or one of ``SIGNS``."""
    if not layer.kept:
        return EMPTY
    if layer.effective == 0:
        return CUT_OFF
    return THIN if layer.kept < layer.channels else FINE


def axis(count: int, **more: Any) -> Spec:
    """The axis with the names of ``count`` layers, one per row."""
    return {
        "labelLimit": 150,
        "labelOverlap": False,
        "labelFlush": False,
        "labelFontSize": 13 if count <= MOST_ROOMY else 11,
        "labelPadding": 6,
        "ticks": False,
        "domain": False,
        **more,
    }


def rows_by(field: str, axis: Spec | None) -> Spec:
    """The encoding of a row per layer, in the network's order, by ``field``."""
    return channel(f"{field}:N", sort={"field": "order"}, title=None, axis=axis)


def counted(count: int, tips: list[Spec]) -> Spec:
    """The column ``counts`` to the right of ``count`` rows, "number|text" each. Its marks are
    invisible and as wide as the plot: a short bar is hard to point at."""
    right = axis(
        count, orient="right", labelExpr="split(datum.label, '|')[1]", labelLimit=170, grid=False
    )
    return {
        "mark": {"type": "rect", "opacity": 0},
        "encoding": {
            "x": {"value": 0},
            "x2": {"value": "width"},
            "y": rows_by("counts", right),
            "tooltip": tips,
        },
    }


def height(count: int, around: int) -> int:
    """Pixels of a chart with a row for each of ``count`` layers and ``around`` for the rest."""
    return (26 if count <= MOST_ROOMY else 14) * count + around


def chart(count: int, colours: Colours) -> Spec:
    """Share of weights kept in each of ``count`` layers, the counts to the right of the bars."""
    share = channel(
        "share:Q",
        title="Share of the layer's weights kept",
        axis={"labelExpr": PERCENT, "values": [0, 0.2, 0.4, 0.6, 0.8, 1], "grid": True},
        scale={"domain": [0, 1]},
    )
    tips = tooltip(
        ("name:N", "Parameter"),
        ("kept:Q", "Weights kept", ","),
        ("total:Q", "of", ","),
        ("percent:N", "Share kept"),
        ("works:N", "Connected to both ends"),
    )
    states = [FINE, *SIGNS]
    hues = [colours.kept, *[colours.danger] * len(SIGNS)]
    colour = channel("state:N", scale={"domain": states, "range": hues}, legend=None)
    # The sign of a fine layer has an opacity of zero.
    paths = ["circle", *(path for _, path, _ in SIGNS.values())]
    bars = {
        "mark": {"type": "bar", "cornerRadiusEnd": 2, "height": {"band": 0.72}},
        "encoding": {
            "x": share,
            "y": rows_by("layer", axis(count)),
            "color": colour,
            "tooltip": tips,
        },
    }
    signs = {
        "mark": {"type": "point", "size": 70, "strokeWidth": 2, "xOffset": 10, "filled": False},
        "encoding": {
            "x": share,
            "y": rows_by("layer", None),
            "color": colour,
            "shape": channel("state:N", scale={"domain": states, "range": paths}, legend=None),
            "opacity": {
                "condition": {"test": f"datum.state != '{FINE}'", "value": 1},
                "value": 0,
            },
            "tooltip": tips,
        },
    }
    return layered(
        [bars, signs, counted(count, tips)],
        height(count, BELOW),
        resolve={"scale": {"y": "independent"}},
    )


def legend(rows: pd.DataFrame) -> str:
    """The signs in the chart, explained in Markdown; empty if there are none."""
    seen = set(rows["state"])
    return "  \n".join(
        f":orange[{sign}] {words}" for state, (sign, _, words) in SIGNS.items() if state in seen
    )


def description(rows: pd.DataFrame) -> str:
    """The chart in words, for screen readers."""
    records = rows.to_dict("records")
    least, most = (pick(records, key=lambda row: row["share"]) for pick in (min, max))
    text = (
        f"Share of weights kept in each of {len(rows)} layers: most in {most['layer']} "
        f"({most['percent']}), least in {least['layer']} ({least['percent']})."
    )
    for state, (_, _, meaning) in SIGNS.items():
        named = [row["layer"] for row in records if row["state"] == state]
        if named:
            text += f" {', '.join(named)}: {meaning}."
    return text


def set_by_hand(layers: Sequence[LayerRecord]) -> str:
    """The layers with a setting of their own: ``Set by hand: conv1 dense; fc 98 % removed.``"""
    by_setting: dict[str, list[str]] = {}
    for number, layer in enumerate(layers, 1):
        if layer.setting is not None:
            name = label(layer.name, number)
            by_setting.setdefault(setting_words(layer.setting), []).append(name)
    parts = [f"{listed(names, MOST_NAMED)} {words}" for words, names in by_setting.items()]
    return f"Set by hand: {'; '.join(parts)}." if parts else ""


def label(name: str, number: int) -> str:
    """The label of layer ``number``: ``layer1.0.conv1`` for ``layer1.0.conv1.weight``, or
    ``Layer 3`` if the name is only a position."""
    name = name.removesuffix(".weight")
    return name if any(c.isalpha() for c in name) else f"Layer {number}"
