"""Output on terminals and in files whose encoding lacks some of our characters."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
import unicodedata
from pathlib import Path
from typing import TextIO

HANDLER = "prospr-plain"
PLAIN = {
    "✓": "ok:",
    "✗": "FAILED:",
    "█": "#",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MIDDLE DOT}": "*",
    "\N{ALMOST EQUAL TO}": "about",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}


def replace_closed() -> None:
    """Let a standard stream that the caller closed (`>&-`), for which Python has None, swallow what
    is written to it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (until the end)
            setattr(sys, name, nowhere)


def make_writable(*streams: TextIO | None) -> None:
    """Let ``streams`` write any text: what their encoding lacks becomes plain ASCII, rather than
    an error after all the work."""
    codecs.register_error(HANDLER, _replace)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError):  # it is closed
                stream.reconfigure(errors=HANDLER)


def plain(text: str) -> str:
    """ASCII that says the same: known marks in words, letters without accents, else ``?``."""
    return "".join(_plain(letter) for letter in text)


def _plain(letter: str) -> str:
    parts = unicodedata.normalize("NFKD", letter)
    text = PLAIN.get(letter) or "".join(PLAIN.get(part, part) for part in parts)
    return text.encode("ascii", "ignore").decode() or "?"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end
