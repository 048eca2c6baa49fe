"""The forms of runs, sweeps and searches: from the engine's tables and settings to a config.

A new model, data set, criterion or setting in the engine appears here by itself. Only the
everyday choices are laid out by hand; all others are under "Advanced". Every widget is bound to
the address of the page, so settings can be shared by copying it.
"""

from __future__ import annotations

from app.forms.prefill import expect, read_address, show_unusable
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
    "show_unusable",
    "values_of",
]
