"""Vega expressions for the labels of axes and legends, evaluated in the browser."""

from prospr_engine.format import SPACE


def percent(digits: int = 4, share: str = "datum.value") -> str:
    """``share``, a fraction, as percent with at most ``digits`` significant digits."""
    return f"format(100 * {share}, '.{digits}~g') + '{SPACE}%'"


SIZE = (
    f"datum.value >= 1e6 ? format(datum.value / 1e6, '.3~g') + '{SPACE}MB' "
    f": format(datum.value / 1e3, '.3~g') + '{SPACE}kB'"
)
"""Bytes: "254 kB", "1.3 MB"."""
