"""A time limit around Python code, in any thread."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

IMPORT = "<frozen importlib._bootstrap>"
"""Where Python says that it imports."""


class DeadlineError(BaseException):
    """The time is over. Not an ``Exception``, so that no ``except Exception`` on the way eats
    it."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise ``DeadlineError`` in this block once it has run for that many seconds.

    It is checked at every call of a function, which works in any thread, unlike signals; one long
    call of compiled code is not interrupted, and an import neither: half a module would stay, and
    break whatever imports it later. Under a profiler, of which a thread has one, there is no limit.
    """
    if sys.getprofile() is not None:
        yield
        return
    end = time.monotonic() + seconds
    block = sys._getframe(2)  # that of the with statement: the next but one outside of this

    def check(frame: FrameType, event: str, argument: Any) -> None:
        if time.monotonic() > end and not _importing(frame, block):
            raise DeadlineError

    sys.setprofile(check)
    try:
        yield
    finally:
        sys.setprofile(None)


def _importing(frame: FrameType | None, block: FrameType) -> bool:
    """Whether an import is under way that began in ``block``."""
    while frame is not None and frame is not block:
        if frame.f_code.co_filename == IMPORT:
            return True
        frame = frame.f_back
    return False
