"""What can be done with the runs that are ticked: compare, rename, delete."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import access, pages
from app.runs.library import pick
from app.services import NAME_LENGTH, EngineError, Run
from app.services import runs as service
from app.ui.findings import plain, show_error
from app.ui.format import counted, size
from app.ui.titles import title

MOST_LISTED = 6  # runs by name in a question
ASKED, TOLD = "library-asked", "library-told"


def show_actions(runs: Sequence[Run], visitor: str) -> None:
    """A bar at the foot of the window, for the ``runs`` that are ticked."""
    if not runs:
        return
    mine = all(access.owns(run, visitor) for run in runs)
    theirs = None if mine else "Runs of the command line are renamed and deleted there."
    ids = [run.id for run in runs]
    with st.bottom, st.container(horizontal=True, vertical_alignment="center", key="chosen"):
        st.markdown(f"**{counted(len(runs), 'run')} chosen**", width="content")
        if st.button(
            "Compare",
            type="primary",
            icon=":material/compare:",
            key="primary-compare",
            disabled=len(runs) < 2,
            help=None if len(runs) > 1 else "Choose two runs or more.",
        ):
            st.switch_page(pages.COMPARE, query_params=pages.to_comparison(ids))
        st.button(
            "Rename",
            icon=":material/edit:",
            key="rename",
            disabled=len(runs) != 1 or not mine,
            help=theirs or (None if len(runs) == 1 else "Choose one run."),
            on_click=_ask,
            args=("rename", ids),
        )
        st.button(
            "Delete",
            icon=":material/delete:",
            key="delete",
            disabled=not mine,
            help=theirs,
            on_click=_ask,
            args=("delete", ids),
        )
        st.button(
            "Clear selection", type="tertiary", key="none", on_click=choose_none, args=(list(runs),)
        )


def choose_none(runs: Sequence[Run]) -> None:
    """Take the ticks away."""
    for run in runs:
        st.session_state[pick(run)] = False


def asking() -> bool:
    """Is a question on screen?"""
    return ASKED in st.session_state


def show_question(runs: Sequence[Run], visitor: str) -> None:
    """The question that is open, if one is, and what came of the last one."""
    if TOLD in st.session_state:
        st.toast(st.session_state.pop(TOLD), icon=":material/check_circle:")
    what, ids = st.session_state.get(ASKED, ("", []))
    chosen = [run for run in runs if run.id in ids]
    if not chosen:
        _answered()  # nothing was asked, or the runs went meanwhile
    elif what == "rename":
        st.dialog("Rename", on_dismiss=_answered)(_rename)(chosen[0], visitor)
    else:
        name = f"Delete {counted(len(chosen), 'run')}?"
        st.dialog(name, on_dismiss=_answered)(_delete)(chosen, visitor)


def _ask(what: str, ids: Sequence[str]) -> None:
    st.session_state[ASKED] = (what, list(ids))


def _answered() -> None:
    st.session_state.pop(ASKED, None)


def _rename(run: Run, visitor: str) -> None:
    with st.form("rename-form", border=False):
        name = st.text_input(
            "Name",
            value=run.name,
            max_chars=NAME_LENGTH,
            placeholder=title(run),
            help="Without a name, a run is listed by its model and data.",
            key=f"name-{run.id}",
        )
        if not st.form_submit_button("Save", icon=":material/check:", key="save"):
            return
    try:
        service.rename(run, visitor, name or "")
    except EngineError as error:
        show_error(error)
    else:
        _close("Renamed.")


def _delete(runs: Sequence[Run], visitor: str) -> None:
    names = [f"- {plain(title(run))}" for run in runs[:MOST_LISTED]]
    if runs[MOST_LISTED:]:
        names.append(f"- and {len(runs) - MOST_LISTED:,} more")
    st.markdown("\n".join(names))
    st.markdown(_loss(runs))
    with st.container(horizontal=True):
        sure = st.button("Delete", icon=":material/delete:", key="sure")
        if st.button("Keep", key="keep"):
            _answered()
            st.rerun()
    if not sure:
        return
    faults = []
    for run in runs:
        try:
            service.delete(run, visitor)
        except EngineError as error:
            faults.append(error)
    if faults:
        show_error(faults[0])
        if len(faults) < len(runs):
            st.caption(f"{counted(len(runs) - len(faults), 'run')} deleted anyway.")
    else:
        _close(f"{counted(len(runs), 'run')} deleted.")


def _loss(runs: Sequence[Run]) -> str:
    """What goes with the runs."""
    one, bytes = len(runs) == 1, sum(run.bytes for run in runs)
    told = []
    live = sum(run.live for run in runs)
    if live:
        subject = "It is" if one else counted(live, "run is", "runs are")
        waiting = all(run.state == "queued" for run in runs if run.live)
        told.append(f"{subject} still {'waiting' if waiting else 'running'} and will be stopped.")
    if bytes:
        told.append(
            f"Results, curves, masks and model files ({size(bytes)}) are deleted permanently."
        )
    told.append("Links to it stop working." if one else "Links to them stop working.")
    told.append("The same settings give the same numbers again.")
    return " ".join(told)


def _close(told: str) -> None:
    """The question is answered: draw the page without it."""
    _answered()
    st.session_state[TOLD] = told
    st.rerun()
