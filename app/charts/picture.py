"""A picture of many weights in a chart, under invisible cells.

Half a million rectangles take a browser ten seconds; an image is drawn at once. The cells over it,
far fewer, have the tooltips and take the clicks.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from app.charts.spec import DATA, Spec, spec

PICTURE, CELL, FRAME = "picture", "cell", "frame"
"""Kinds of rows."""
CLICK = "click"
"""The name of the selection of a click, with the cell's top and left."""
HEIGHT = 420  # pixels, with axis and title


def png(shades: NDArray[np.uint8], colours: NDArray[np.uint8], clear: bool = False) -> str:
    """``shades`` (rows, columns) in ``colours`` (shades, 3) as the data URL of a PNG. ``clear``:
    shade 0 is transparent."""
    image = Image.fromarray(shades, "P")
    image.putpalette(colours.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1, **({"transparency": 0} if clear else {}))
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def palette(*colours: str) -> NDArray[np.uint8]:
    """One row per colour, red, green and blue."""
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], np.uint8)


def ramp(ground: str, low: str, high: str) -> NDArray[np.uint8]:
    """A palette of 256 colours: 0 is ``ground``, 1 to 255 go from ``low`` to ``high``."""
    ends = palette(low, high).astype(np.float64)
    share = np.linspace(0, 1, 255)[:, None]
    shades = (1 - share) * ends[0] + share * ends[1]
    return np.vstack([palette(ground), shades.round().astype(np.uint8)])


def over(url: str, top: int, bottom: int, left: int, right: int) -> pd.DataFrame:
    """The row of the picture, with the ranges of the axes that it covers."""
    return frame(top, bottom, left, right).assign(kind=PICTURE, url=url)


def frame(top: int, bottom: int, left: int, right: int) -> pd.DataFrame:
    """The row of a frame around a part of the picture."""
    ends = {"top": top, "bottom": bottom, "left": left, "right": right}
    return pd.DataFrame([{"kind": FRAME, **ends}])


def chart(
    axes: tuple[str, str], tooltips: dict[str, str], ink: str, clickable: bool = False
) -> Spec:
    """A chart of rows of the ``kind`` picture (one), cell (many) and frame (one or none), each
    from ``top`` to ``bottom`` and from ``left`` to ``right``. ``axes`` are the titles of the
    vertical and the horizontal axis, ``tooltips`` those of the cells by column."""
    whole = alt.Scale(nice=False, zero=False, padding=0)
    rows = alt.Scale(nice=False, zero=False, padding=0, reverse=True)
    plain: dict[str, Any] = {"grid": False, "tickMinStep": 1, "format": "d", "tickCount": 6}
    base = alt.Chart(DATA).encode(
        x=alt.X("left:Q", scale=whole, title=axes[1], axis=alt.Axis(**plain)),
        x2="right:Q",
        y=alt.Y("top:Q", scale=rows, title=axes[0], axis=alt.Axis(**plain)),
        y2="bottom:Q",
    )
    image = (
        base.transform_filter(f"datum.kind == '{PICTURE}'")
        .mark_image(aspect=False, smooth=False)
        .encode(url="url:N")
    )
    cells = (
        base.transform_filter(f"datum.kind == '{CELL}'")
        .mark_rect(fillOpacity=0, strokeOpacity=0, cursor="pointer" if clickable else "default")
        .encode(tooltip=[alt.Tooltip(f"{column}:N", title=t) for column, t in tooltips.items()])
    )
    if clickable:
        # Never cleared: a second click would undo the selection.
        click = alt.selection_point(
            name=CLICK, fields=["top", "left"], on="click", toggle=False, clear=False, empty=False
        )
        cells = cells.add_params(click)
    frame = base.transform_filter(f"datum.kind == '{FRAME}'").mark_rect(
        fillOpacity=0, stroke=ink, strokeWidth=2, tooltip=None
    )
    # The frame lies under the cells, which take the pointer.
    return spec(alt.LayerChart(layer=[image, frame, cells]).properties(height=HEIGHT))
