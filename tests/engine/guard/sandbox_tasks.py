"""What the tests of the sandbox compute in it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from prospr_engine.errors import DataError


def double(number):
    print("noise on standard output")
    return {"number": 2 * number}


def refuse(text):
    raise DataError(text)


def hoard(size):
    return len(bytearray(size))


def spin():
    while True:
        pass


def abort():
    os.kill(os.getpid(), signal.SIGSEGV)


def write(path):
    Path(path).write_text("x" * 10_000_000)


def blunder():
    raise KeyError("a fault of ours")
