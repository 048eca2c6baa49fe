"""What the Vega-Lite specs of all charts have in common.

The specs are plain dicts (https://vega.github.io/vega-lite/docs/spec.html): this package does not
need Altair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Spec = dict[str, Any]

SOURCE = "source"
"""The name of the data of every chart, as Streamlit has it."""

CONFIG = {"mark": {"aria": False}}
"""Screen readers would read every mark as an unnamed image; the chart's alternative text is
enough."""

GROWS = {"type": "fit-x", "contains": "padding"}
"""The size of a chart to whose height axes and legends are added."""

VERSION = "6.4"  # of Vega-Lite, as Streamlit has it

TYPES = {"N": "nominal", "O": "ordinal", "Q": "quantitative"}


def layered(layers: Sequence[Spec], height: int, **more: Any) -> Spec:
    """The spec of ``layers`` over each other, ``height`` pixels high with axes and legends."""
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VERSION}.json",
        "config": CONFIG,
        "data": {"name": SOURCE},
        "height": height,
        "layer": list(layers),
        **more,
    }


def channel(field: str, **more: Any) -> Spec:
    """An encoding of ``field``, a column with its type: ``"share:Q"``."""
    name, _, kind = field.rpartition(":")
    return {"field": name, "type": TYPES[kind], **more}


def tooltip(*lines: tuple[str, str] | tuple[str, str, str]) -> list[Spec]:
    """A line for each column and its title, and the format of its numbers if there is one."""
    return [
        channel(field, title=title, **({"format": form[0]} if form else {}))
        for field, title, *form in lines
    ]


def line_legend(**more: Any) -> Spec:
    """A legend above the chart with a stretch of each line."""
    return {
        "title": None,
        "orient": "top",
        "symbolType": "stroke",
        "symbolSize": 250,
        "symbolStrokeWidth": 2.5,
        **more,
    }
