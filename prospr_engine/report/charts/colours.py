"""Colours that the theme lacks: of pictures, and of marks with a fixed meaning.

Blue and orange are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), adjusted for contrast
with the background.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colours:
    """Colours of ``kept`` and ``removed`` weights (``ground`` for those removed in a picture), the
    ``least`` and ``most`` of a range of shades, layers in ``danger``, and ``ink`` for lines."""

    kept: str
    removed: str
    ground: str
    least: str
    most: str
    danger: str
    ink: str


LIGHT = Colours(
    kept="#0072B2",
    removed="#93A3AE",
    ground="#DDE4E9",
    least="#A6CDE6",
    most="#00456E",
    danger="#D55E00",
    ink="#0C161D",
)
DARK = Colours(
    kept="#56B4E9",
    removed="#647885",
    ground="#2A3842",
    least="#2F5F7E",
    most="#B5E1FF",
    danger="#E69F00",
    ink="#E6EDF2",
)

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
    "#7A4A2B",  # brown
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
    "#D8A47F",
    "#8796A1",
    "#BAC5CD",
)
"""By place, for light and dark backgrounds, each with a contrast of at least 3. The last two are
for random methods."""


def colours(dark: bool) -> Colours:
    """The colours of a theme."""
    return DARK if dark else LIGHT
