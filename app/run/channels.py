"""A run that removed channels: the width of each layer before and after, and what that saves."""

from __future__ import annotations

import streamlit as st

from app.services import Amount, PruningRecord, StructureRecord
from app.ui.findings import show_findings
from app.ui.format import percent, rough_number
from app.ui.glossary import TERMS
from app.ui.plots import show_widths


def show_channels(pruning: PruningRecord) -> None:
    """The section of a finished run's page."""
    structure = pruning.structure
    assert structure
    st.markdown("### Channels kept in each layer", help=TERMS["channel"])
    st.markdown(_kept(structure))
    show_widths(structure.widths, key="layers")
    show_findings(pruning)


def _kept(structure: StructureRecord) -> str:
    return (
        f"**{_of(structure.channels)} channels kept.** The network that is left has "
        f"{_of(structure.parameters)} weights and computes {_rough(structure.operations)} "
        "multiply-adds per image."
    )


def _of(amount: Amount) -> str:
    share = percent(amount.after / amount.before)
    return f"{amount.after:,} of {amount.before:,} ({share})"


def _rough(amount: Amount) -> str:
    after, before = rough_number(amount.after), rough_number(amount.before)
    return f"{after} of {before} ({percent(amount.after / amount.before)})"
