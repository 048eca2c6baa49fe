"""Where the sliders end."""

from __future__ import annotations

MOST_SPARSE = 99.9  # %; the engine takes any fraction below 1, a slider needs an end
