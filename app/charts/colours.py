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


def colours(dark: bool) -> Colours:
    """The colours of a theme."""
    return DARK if dark else LIGHT
