"""Numbers as people read them."""

from __future__ import annotations


def percent(fraction: float) -> str:
    """``0.9`` is "90 %"; never "100 %" or "0 %" for what is only close to it."""
    for digits in range(1, 7):
        text = f"{100 * fraction:.{digits}f}"
        if float(text) not in (0.0, 100.0) or fraction in (0.0, 1.0):
            break
    return f"{text.rstrip('0').rstrip('.')}\N{NO-BREAK SPACE}%"


def accuracy(fraction: float) -> str:
    """Always one digit, so that two of them can be compared: "97.0 %"."""
    return f"{100 * fraction:.1f}\N{NO-BREAK SPACE}%"


def signed(number: float) -> str:
    """With its sign, a typographic one: "−1.1", "+0.3"."""
    return f"{number:+.1f}".replace("-", "\N{MINUS SIGN}")


def size(bytes: int) -> str:
    """``254422`` is "254 kB"."""
    return f"{bytes / 1e6:.1f} MB" if bytes >= 1e6 else f"{max(1, round(bytes / 1e3))} kB"


def duration(seconds: float) -> str:
    """``75`` is "1 min 15 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
