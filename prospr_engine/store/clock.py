"""Whether the clock of this machine can be believed when something is deleted for its age.

A clock that is wrong for a minute, as after a start without network or battery, would otherwise
delete all that is kept. Each clean-up notes the time and for how long the machine has been up. The
clock has jumped if the two have not advanced alike, or, after a restart, if it is further than a
day from where it was. Then nothing is deleted for its age until the machine has been up for an hour
in which the clock was right about how time passes. What ends in the meantime counts as new when the
clock is believed again: nobody knows when it ended.
"""

from __future__ import annotations

import logging
import sqlite3
import time

log = logging.getLogger(__name__)
JUMP = 24 * 3600.0  # seconds by which a clock may be set without being doubted
PROOF = 3600.0  # seconds after which a clock that jumped is believed
UNKNOWN = 1e11
"""For the time, in the year 5138, of what ended or was used while the clock was in doubt."""


def believed(c: sqlite3.Connection) -> float | None:
    """The time, in seconds since 1970, and note it; None while the clock is in doubt."""
    now, up = time.time(), uptime()
    row = c.execute("SELECT * FROM clock").fetchone()
    if _agrees(now - row["time"], _passed(up, row["uptime"])):
        return _note(c, now, up)
    passed = _passed(up, row["doubted_uptime"])
    if passed is None or not _agrees(now - row["doubted_time"], passed):
        log.warning(
            "The clock of this machine has jumped: nothing is deleted for its age until the clock "
            "has been consistent for an hour."
        )
        c.execute("UPDATE clock SET doubted_time = ?, doubted_uptime = ?", (now, up))
        return None
    return _note(c, now, up) if passed >= PROOF else None


def kept_from(c: sqlite3.Connection) -> float | None:
    """From when what ends now is kept: None, from its end, unless the clock is in doubt."""
    row = c.execute("SELECT * FROM clock").fetchone()
    right = _agrees(time.time() - row["time"], _passed(uptime(), row["uptime"]))
    return None if right else UNKNOWN


def uptime() -> float:
    """Seconds since this machine was started, the same in all processes."""
    if hasattr(time, "CLOCK_BOOTTIME"):  # goes on while the machine sleeps
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _passed(up: float, before: float | None) -> float | None:
    """Seconds that have truly passed; None if the machine was started again since."""
    return None if before is None or up < before else up - before


def _agrees(by_clock: float, passed: float | None) -> bool:
    return abs(by_clock - (passed or 0.0)) <= JUMP


def _note(c: sqlite3.Connection, now: float, up: float) -> float:
    c.execute(
        "UPDATE clock SET time = ?, uptime = ?, doubted_time = NULL, doubted_uptime = NULL",
        (now, up),
    )
    c.execute("UPDATE runs SET kept_from = ? WHERE kept_from = ?", (now, UNKNOWN))
    c.execute("UPDATE uploads SET created = ? WHERE created = ?", (now, UNKNOWN))
    return now
