"""Numbers as people read and write them: on screen, in the terminal, in messages.

Inside the project every share is a fraction between 0 and 1, every size is in bytes and every
duration in seconds. Whatever a person types or reads is converted here and nowhere else.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"

KILO, MEGA, GIGA = 10**3, 10**6, 10**9  # bytes
MINUTE, HOUR, DAY = 60, 3600, 86_400  # seconds

Unit = Literal["share", "difference", "count", "bytes", "seconds", "ms", "nats", "flag", "text"]
"""A share is a fraction of 1, shown in percent; a difference is one of two shares, shown in
points."""
SCALES: Mapping[Unit, tuple[float, str, str]] = {
    "share": (100, ".1f", f"{SPACE}%"),
    "difference": (100, "+.1f", f"{SPACE}points"),
    "count": (1, ",.0f", ""),
    "bytes": (1e-3, ",.1f", f"{SPACE}kB"),
    "seconds": (1, ".3g", f"{SPACE}s"),
    "ms": (1, ".3g", f"{SPACE}ms"),
    "nats": (1, ".3f", ""),
}
"""What a number is multiplied by before it is shown, its format, and what follows it."""

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 80
_BRIEF.maxlevel = 3

_UNITS = {"": 1, "b": 1, "kb": KILO, "mb": MEGA, "gb": GIGA}
_SIZE = re.compile(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)", re.IGNORECASE)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


# Percent and fraction


def to_percent(fraction: float) -> float:
    """``0.07`` is 7.0, not 7.000000000000001: the inverse of ``to_fraction``."""
    return round(100 * fraction, 10)


def to_fraction(percent: float) -> float:
    """``99.9`` is 0.999, not 0.9990000000000001. Settings are compared and hashed, so the same
    percentage must always give the same fraction."""
    return round(percent / 100, 12)


def read_percent(text: str) -> float | None:
    """The number before a percent sign: ``"95 %"`` and ``"95%"`` are 95.0, ``"0.95"`` is None."""
    number, sign, rest = text.strip().partition("%")
    if not sign or rest:
        return None
    try:
        return float(number)
    except ValueError:
        return None


def read_share(text: str) -> float | None:
    """The share of 1 that an address or a list says: ``"95"``, ``"95%"`` and ``"0.95"`` are 0.95,
    ``"0.5%"`` is 0.005. A number below 1 is a fraction unless a percent sign follows. None if it
    is not a number from 0 to below 100."""
    percent = read_percent(text)
    if percent is None:
        try:
            number = float(text)
        except ValueError:
            return None
        percent = 100 * number if number < 1 else number
    return to_fraction(percent) if 0 <= percent < 100 else None


def percent(fraction: float) -> str:
    """At most one digit, "90 %", "97.2 %"; but never "100 %" or "0 %" for what is only close."""
    for digits in range(1, 7):
        text = f"{100 * fraction:.{digits}f}"
        if float(text) not in (0.0, 100.0) or fraction in (0.0, 1.0):
            break
    return f"{_trimmed(text)}{SPACE}%"


def exact_percent(fraction: float) -> str:
    """Every digit, for settings: ``0.9684`` is "96.84 %". Two of them may differ in the last."""
    return f"{percent_number(fraction)}{SPACE}%"


def percent_number(fraction: float) -> str:
    """Every digit without the sign, for names and addresses: ``0.95`` is "95"."""
    return f"{to_percent(fraction):.12g}"


def fraction_number(fraction: float) -> str:
    """Every digit of the fraction itself, for addresses: "0.95"."""
    return f"{fraction:.12g}"


def percentages(fractions: Iterable[float]) -> str:
    """With one sign for all: "80, 90, 95 %"."""
    return ", ".join(percent(one).removesuffix(f"{SPACE}%") for one in fractions) + f"{SPACE}%"


def fixed_percent(fraction: float, digits: int = 1) -> str:
    """Always so many digits, so that they can stand below each other."""
    return f"{100 * fraction:.{digits}f}{SPACE}%"


def accuracy(fraction: float) -> str:
    """Always one digit, so that two of them can be compared: "97.0 %"."""
    return fixed_percent(fraction)


def accuracy_range(low: float, high: float) -> str:
    """``95.1 – 96.3 %``"""
    return f"{100 * low:.1f} \N{EN DASH} {accuracy(high)}"


def confidence(fraction: float) -> str:
    """``0.983`` is "98 %"; never all or nothing, since a network that is certain can be wrong."""
    if fraction > 0.995:
        return f"over{SPACE}99{SPACE}%"
    if fraction < 0.005:
        return f"under{SPACE}1{SPACE}%"
    return fixed_percent(fraction, 0)


def noise(fraction: float) -> str:
    """Two significant digits, "0.14 %", "14 %": more of a rounding error means nothing. Below
    0.1 %, only that."""
    if fraction < 0.001:
        return f"less than 0.1{SPACE}%"
    if fraction < 0.995:
        return f"{100 * fraction:.2g}{SPACE}%"
    return fixed_percent(fraction, 0)


def cell_percent(fraction: float) -> str:
    """For narrow cells, without the sign: 43, 7.1, 0.3; a little is "<0.1", not nothing."""
    if 0 < fraction < 0.0005:
        return "<0.1"
    return f"{100 * fraction:.0f}" if fraction >= 0.0995 else f"{100 * fraction:.1f}"


# Percentage points


def points_between(before: float, after: float) -> float:
    """Percentage points between two accuracies *as they are shown*, so that a table adds up."""
    return round(round(100 * after, 1) - round(100 * before, 1), 1)


def signed(number: float, digits: int = 1) -> str:
    """With its sign, a typographic one: "−1.1", "+0.3"."""
    return f"{number:+,.{digits}f}".replace("-", MINUS)


def signed_points(number: float) -> str:
    """``-1.1`` is "−1.1 points", ``1.0`` "+1.0 point"."""
    return f"{signed(number)} {points_unit(round(number, 1))}"


def points(number: float) -> str:
    """Without a sign, for what "lost" or "apart" gives the direction of: "1.1 points"."""
    return f"{abs(number):.1f} {points_unit(round(number, 1))}"


def points_unit(shown: float) -> str:
    """ "point" for ±1, "points" for any other number, as it is shown."""
    return plural(abs(shown), "point")


# Sizes


def size(bytes: float) -> str:
    """``254422`` is "254 kB", ``1_300_000`` "1.3 MB". 1 kB is 1,000 bytes."""
    if bytes >= MEGA:
        return f"{bytes / MEGA:,.1f}{SPACE}MB"
    return f"{max(1, round(bytes / KILO))}{SPACE}kB"


def exact_kilobytes(bytes: float) -> str:
    """Every digit, for a limit that somebody set: "100.5 kB"."""
    return f"{bytes / KILO:,.10g}{SPACE}kB"


def megabytes(bytes: float, digits: int = 0) -> str:
    """Always in megabytes, for limits and what they are compared with: "1,200 MB"."""
    return f"{bytes / MEGA:,.{digits}f}{SPACE}MB"


def gigabytes(bytes: float) -> str:
    """For memory and disks: "2.1 GB"."""
    return f"{bytes / GIGA:,.1f}{SPACE}GB"


def read_size(text: str) -> int | None:
    """``"100kB"``, ``"0.1 MB"`` and ``"100000"`` are 100000 bytes; None if it is not a size of at
    least a byte."""
    match = _SIZE.fullmatch(text.strip())
    if not match or match[2].lower() not in _UNITS:
        return None
    return round(float(match[1]) * _UNITS[match[2].lower()]) or None


# Durations


def duration(seconds: float) -> str:
    """As measured: ``75`` is "1 min 15 s"."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole}{SPACE}s"
    if whole < HOUR:
        return f"{whole // MINUTE}{SPACE}min {whole % MINUTE}{SPACE}s"
    return f"{whole // HOUR}{SPACE}h {whole % HOUR // MINUTE}{SPACE}min"


def milliseconds(value: float) -> str:
    """To the microsecond at most: "12.3 ms", "0.412 ms", "0.052 ms"."""
    return f"{_three(value)}{SPACE}ms"


def rough_duration(seconds: float) -> str:
    """In the terminal, where nothing is updated: ``200`` is "3 min", ``9000`` "2 h 30 min"."""
    if seconds < 90:
        return f"{math.ceil(seconds)}{SPACE}s"
    hours, minutes = divmod(round(seconds / MINUTE), 60)
    if not hours:
        return f"{minutes}{SPACE}min"
    return f"{hours}{SPACE}h {minutes}{SPACE}min" if minutes else f"{hours}{SPACE}h"


def estimated(seconds: float) -> str:
    """Rounded so that nobody takes it for more than an estimate: ``37`` is "≈ 35 s"."""
    if seconds < 10:
        return f"under 10{SPACE}s"
    for most, unit, step, word in (
        (57, 1, 5, "s"),
        (9.5 * MINUTE, MINUTE, 1, "min"),
        (57 * MINUTE, MINUTE, 5, "min"),
        (9.75 * HOUR, HOUR, 0.5, "h"),
        (1.5 * DAY, HOUR, 1, "h"),
    ):
        if seconds < most:
            rounded = max(1.0, round(seconds / unit / step) * step)
            return f"≈ {rounded:g}{SPACE}{word}"
    return f"≈ {seconds / DAY:,.0f} days"


def time_left(seconds: float) -> str:
    """``37`` is "about 40 s left": rounded upwards, and too coarse to flicker."""
    if seconds <= 10:
        return "a few seconds left"
    if seconds <= 90:
        return f"about {10 * math.ceil(seconds / 10)}{SPACE}s left"
    minutes = math.ceil(seconds / MINUTE)
    if minutes < 100:
        return f"about {minutes}{SPACE}min left"
    return f"about {math.ceil(seconds / HOUR)}{SPACE}h left"


# Numbers


def plain_number(number: float) -> str:
    """``100.0`` is "100", and a large whole number has all its digits."""
    return str(int(number)) if number == int(number) else f"{number:g}"


def rough_number(number: float) -> str:
    """Two digits of it: ``40_551_040`` is "41 million", ``30_477`` "30,000"."""
    rounded = float(f"{number:.2g}")
    for one, word in ((10**9, "billion"), (10**6, "million")):
        if rounded >= one:
            return f"{rounded / one:,.{int(rounded < 10 * one)}f} {word}"
    return f"{rounded:,.0f}"


def scientific(value: float) -> str:
    """``0.00023`` is "2.3 · 10⁻⁴"; what is easily read stays as it is."""
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.3g}".replace("-", MINUS)
    digits, power = f"{value:.1e}".split("e")
    raised = str(int(power)).translate(_SUPERSCRIPT)
    return f"{digits}{SPACE}·{SPACE}10{raised}".replace("-", MINUS)


def quantity(unit: Unit, value: float, half: float | None = None) -> str:
    """A number of that unit, or a mean and half of its interval: "93.1 %", "93.1 ± 0.4 %"."""
    scale, digits, suffix = SCALES[unit]
    spread = "" if half is None else f" ± {scale * half:{digits.lstrip('+')}}"
    return f"{scale * value:{digits}}{spread}{suffix}"


def figure(unit: Unit, value: Any, fixed: bool = False) -> str:
    """A figure of one run, in the words and digits that suit its size: "99.97 %", "254 kB",
    "1 min 15 s". A ``fixed`` share has one digit, as accuracies have."""
    if unit == "difference":
        change = round(to_percent(value), 1)
        return signed_points(change) if change else "same"
    if unit == "share" and fixed:
        return accuracy(value)
    return _FIGURES[unit](value)


_FIGURES: Mapping[Unit, Callable[[Any], str]] = {
    "share": percent,
    "count": "{:,}".format,
    "bytes": size,
    "seconds": duration,
    "ms": milliseconds,
    "nats": "{:.3f}".format,
    "flag": lambda value: "yes" if value else "no",
    "text": str,
}


# Words


def brief(value: object) -> str:
    """``repr(value)``, cut in the middle if it is long, for messages that repeat what was given."""
    return _BRIEF.repr(value)


def plural(number: float, one: str, many: str | None = None) -> str:
    """The word alone: "image" for 1, "images" for any other number; ``many`` if it is irregular,
    also of verbs (``plural(n, "is", "are")``)."""
    return one if number == 1 else many or f"{one}s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 image``, ``2,000 images``, ``2 criteria``."""
    return f"{number:,} {plural(number, one, many)}"


def listed(words: Iterable[str], most: int | None = None) -> str:
    """``a, b and c``; of more than ``most``, the rest as a number: ``a, b and 3 more``. Three or
    more words with commas of their own are separated by semicolons."""
    names = list(words)
    if most and len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1:,} more"]
    if len(names) < 2:
        return "".join(names)
    if len(names) > 2 and any("," in name for name in names):
        return f"{'; '.join(names[:-1])}; and {names[-1]}"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def either(words: Iterable[str]) -> str:
    """``a, b or c``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _three(number: float) -> str:
    """Three significant digits and no more than three decimals, unless nothing would be left, and
    never a power of ten: "1,234", "1.83", "0.045"."""
    if not number:
        return "0"
    digits = 2 - math.floor(math.log10(abs(number)))
    most = 3 if abs(number) >= 0.0005 else 6
    return f"{number:,.{min(max(digits, 0), most)}f}"


def _trimmed(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
