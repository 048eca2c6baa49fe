"""The form of a new run: from the engine's tables and settings to a ``RunConfig``.

A new model, data set, criterion or setting in the engine appears here by itself. Only the
everyday choices are laid out by hand; all others stand under "Advanced". Every widget lives in
the address of the page, so a set-up can be sent to somebody by copying it.
"""

from __future__ import annotations

from app.forms.asked import expect, read_address, show_unmet
from app.forms.form import show
from app.forms.held import address, fill

__all__ = ["address", "expect", "fill", "read_address", "show", "show_unmet"]
