"""A slider in percent whose place in the address is a fraction, as in files, flags and Python.

Addresses that were shared before 0.5 hold percentages: ``sparsity=95`` and ``sparsity=0.95`` are
the same. A number below 1 is a fraction, unless a percent sign follows it.
"""

from __future__ import annotations

import streamlit as st

from app.ui.format import SPACE, fraction_number, read_share, to_fraction, to_percent


def addressed(name: str) -> float | None:
    """What the parameter ``name`` of the address says, in percent; None if it says no share."""
    share = read_share(st.query_params.get(name, ""))
    return None if share is None else to_percent(share)


def take_address(name: str, default: float) -> float:
    """What the slider ``name`` shows, in percent: what it showed before, else what the address
    says, else ``default``. Before the slider is drawn."""
    if name not in st.session_state:
        said = addressed(name)
        st.session_state[name] = default if said is None else said
    shown: float = st.session_state[name]
    return shown


def share_slider(
    label: str, name: str, most: float, default: float, help: str, digits: int = 8
) -> float:
    """The share chosen, in percent from 0 to ``most``. The address names it unless it is
    ``default``."""
    if take_address(name, default) > most:
        st.session_state[name] = default
    percent: float = st.slider(
        label, 0.0, most, step=0.1, format=f"%.{digits}g{SPACE}%%", key=name, help=help
    )
    wanted = None if percent == default else fraction_number(to_fraction(percent))
    if wanted is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != wanted:
        st.query_params[name] = wanted
    return percent
