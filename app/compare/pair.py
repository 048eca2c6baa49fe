"""Which two runs stand side by side: chosen by the address, or here."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import access, pages, session
from app.services import Run
from app.services import runs as service
from app.ui.titles import short

PLACES = (pages.FIRST, pages.SECOND)
KEPT = "pair"


def repair_address() -> None:
    """On the way back from a run, the pair comes back too."""
    # See ``library.repair_address``; this page's own parameters are in no widget and went.
    if pages.ID in st.query_params:
        del st.query_params[pages.ID]
        st.query_params.update(st.session_state.get(KEPT, {}))


def chosen() -> list[Run | None]:
    """The runs that the address names, as far as there are such. Raises ``StoreError``."""
    st.session_state[KEPT] = {p: id for p in PLACES if (id := session.run_id(p))}
    runs = [service.find(session.run_id(place)) for place in PLACES]
    return [run and access.as_seen(run, session.visitor()) for run in runs]


def show_choice(runs: Sequence[Run | None], mine: Sequence[Run]) -> None:
    """Two boxes to choose from all runs of the visitor that are done, and from those at hand."""
    known = {run.id: run for run in (*filter(None, runs), *mine)}
    names = _names(list(known.values()))
    left, middle, right = st.columns([0.44, 0.12, 0.44], vertical_alignment="bottom")
    for column, letter, place, run in zip((left, right), ("A", "B"), PLACES, runs, strict=True):
        st.session_state[_key(place)] = run.id if run else None
        column.selectbox(
            letter,
            list(known),
            index=None,
            format_func=names.__getitem__,
            placeholder="Choose a run that is done",
            key=_key(place),
            on_change=_choose,
            args=(place,),
        )
    middle.button("Swap", icon=":material/swap_horiz:", key="swap", on_click=_swap, width="stretch")


def _names(runs: Sequence[Run]) -> dict[str, str]:
    """What the runs are called in the boxes, no two the same."""
    names: dict[str, str] = {}
    for run in runs:
        name = short(run)
        names[run.id] = f"{name} ({run.id[:6]})" if name in names.values() else name
    return names


def _key(place: str) -> str:
    return f"pair-{place}"


def _choose(place: str) -> None:
    id = st.session_state[_key(place)]
    if id:
        st.query_params[place] = id
    else:
        st.query_params.pop(place, None)


def _swap() -> None:
    ids = [session.run_id(place) for place in PLACES]
    for place, id in zip(PLACES, reversed(ids), strict=True):
        if id:
            st.query_params[place] = id
        else:
            st.query_params.pop(place, None)
