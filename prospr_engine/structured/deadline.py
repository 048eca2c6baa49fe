"""A time limit around Python code, in any thread."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class DeadlineError(BaseException):
    """The time is over. Not an ``Exception``, so that no ``except Exception`` on the way eats
    it."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise ``DeadlineError`` in this block once it has run for that many seconds.

    It is checked at every call of a function, which works in any thread, unlike signals; one long
    call of compiled code is not interrupted. Under a profiler, of which a thread has one, there is
    no limit.
    """
    if sys.getprofile() is not None:
        yield
        return
    end = time.monotonic() + seconds

    def check(frame: Any, event: str, argument: Any) -> None:
        if time.monotonic() > end:
            raise DeadlineError

    sys.setprofile(check)
    try:
        yield
    finally:
        sys.setprofile(None)
