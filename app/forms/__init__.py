"""The forms of runs, sweeps and searches: from the engine's tables and settings to a config.

A new model, data set, criterion or setting in the engine appears here by itself. Only the
everyday choices are laid out by hand; all others stand under "Advanced". Every widget lives in
the address of the page, so a set-up can be sent to somebody by copying it.
"""

from __future__ import annotations

from app.forms.prefill import expect, read_address, show_unmet
from app.forms.run_form import show
from app.forms.search_form import address as budget_address
from app.forms.sweep_form import address as grid_address
from app.forms.url_state import address, fill, names, values_of

__all__ = [
    "address",
    "budget_address",
    "expect",
    "fill",
    "grid_address",
    "names",
    "read_address",
    "show",
    "show_unmet",
    "values_of",
]
