"""Times in words."""

from __future__ import annotations

from datetime import UTC, datetime

from app.ui.format import DAY, HOUR, MINUTE, counted

FEW_DAYS = 7


def ago(then: float, now: float) -> str:
    """Seconds since 1970 as "10 minutes ago"; after a week, as the date in UTC."""
    passed = now - then
    if passed < MINUTE:  # or in the future, by the clock of another machine
        return "just now"
    if passed < HOUR:
        return f"{counted(int(passed / MINUTE), 'minute')} ago"
    if passed < DAY:
        return f"{counted(int(passed / HOUR), 'hour')} ago"
    if passed < FEW_DAYS * DAY:
        return f"{counted(int(passed / DAY), 'day')} ago"
    return day(then)


def day(then: float) -> str:
    """``22 November 2026``, in UTC."""
    moment = datetime.fromtimestamp(then, UTC)
    return f"{moment.day} {moment:%B %Y}"


def exactly(then: float) -> str:
    """``22 November 2026, 16:28:05 UTC``."""
    return f"{day(then)}, {datetime.fromtimestamp(then, UTC):%H:%M:%S} UTC"
