"""Limits of the sliders."""

from __future__ import annotations

MOST_SPARSE = 99.9  # %; the engine accepts any fraction below 1, but a slider needs an end
