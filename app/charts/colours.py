"""What the theme's colours do not cover: pictures, and marks that have one meaning.

Blue and orange of Okabe and Ito (https://jfly.uni-koeln.de/color/), each light enough or dark
enough for its ground.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colours:
    """``kept`` and ``removed`` weights (``ground`` where these are the ground of a picture),
    ``least`` and ``most`` of a shade between them, layers in ``danger``, and ``ink`` for lines
    over all of it."""

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
    """Those of the theme on show."""
    return DARK if dark else LIGHT
