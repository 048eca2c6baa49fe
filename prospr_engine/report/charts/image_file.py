"""A chart as an SVG or PNG file, with a title and its source.

Made without a browser by vl-convert (https://github.com/vega/vl-convert), which bundles the
libraries that draw the charts of the page. Pass a spec in the light theme: the background is white.
"""

from __future__ import annotations

import copy
import json
import re
import textwrap
from typing import Any, Literal

import pandas as pd

from prospr_engine.report.charts.colours import LIGHT
from prospr_engine.report.charts.spec import GROWS, SOURCE, VERSION, Spec

Kind = Literal["svg", "png"]
MIMES: dict[Kind, str] = {"svg": "image/svg+xml", "png": "image/png"}
WIDTH = 900  # pixels
SCALE = 2  # pixels of the PNG to one of the chart
FONT = "DejaVu Sans, Liberation Sans, Arial, Helvetica, sans-serif"
GREY = "#E4E9ED"
COLUMNS = re.compile(r'\{"expr": "max\(\d+, floor\(width / (\d+)\)\)"\}')
"""The columns of a legend, see ``series_style.legend``."""

CONFIG: dict[str, Any] = {
    "background": "#FFFFFF",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": LIGHT.ink,
        "titleColor": LIGHT.ink,
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "gridColor": GREY,
        "domain": False,
        "tickColor": GREY,
    },
    "legend": {
        "labelColor": LIGHT.ink,
        "titleColor": LIGHT.ink,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "title": {
        "anchor": "start",
        "color": LIGHT.ink,
        "fontSize": 17,
        "fontWeight": 600,
        "subtitleColor": "#52616B",
        "subtitleFontSize": 12,
        "offset": 14,
    },
}


def picture(spec: Spec, data: pd.DataFrame, kind: Kind, title: str, source: str) -> bytes:
    """``spec`` drawn with ``data``, under ``title`` and ``source``: what it shows and how it was
    made (settings, no date, so the same comparison gives the same file)."""
    import vl_convert

    whole = copy.deepcopy(spec)
    whole["datasets"] = {SOURCE: json.loads(data.to_json(orient="records"))}
    whole["title"] = {"text": title, "subtitle": _wrapped(source)}
    whole["width"] = WIDTH
    whole["autosize"] = GROWS
    whole["padding"] = 16
    # The mark settings of the chart win; the rest of its config is meant for the page.
    whole["config"] = {**CONFIG, "mark": spec.get("config", {}).get("mark", {})}
    # Vega measures the legend before it evaluates columns that depend on the width.
    text = COLUMNS.sub(lambda found: str(max(1, WIDTH // int(found[1]))), json.dumps(whole))
    if kind == "svg":
        return vl_convert.vegalite_to_svg(text, vl_version=VERSION).encode()
    return vl_convert.vegalite_to_png(text, vl_version=VERSION, scale=SCALE)


def _wrapped(text: str, width: int = 125) -> list[str]:
    """Lines of at most ``width`` characters."""
    return textwrap.wrap(text, width)
