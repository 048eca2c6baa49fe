"""The list of studies: what each is of, how far it is, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from app import access, session
from app.runs.search import has_all
from app.services import NAME_LENGTH, EngineError, Study
from app.services import studies as service
from app.ui import run_link, when
from app.ui import studies as words
from app.ui.findings import plain, show_error
from app.ui.format import counted

MOST = 5  # studies that are listed before somebody asks for all
ALL = "all-studies"
ASKED, TOLD, PROBLEM = "study-asked", "study-told", "study-problem"


def show_studies(studies: Sequence[Study], visitor: str, query: str = "") -> None:
    """The ``studies`` in which every word of ``query`` occurs, the newest first."""
    found = [s for s in studies if has_all(f"{words.title(s)} {words.of(s)}", query)]
    if not found:
        return
    st.markdown("### Sweeps and searches")
    if PROBLEM in st.session_state:
        show_error(st.session_state.pop(PROBLEM))
    run_link.style()
    now = time.time()
    everything = st.session_state.get(ALL, False)
    for study in found if everything else found[:MOST]:
        _row(study, access.owns(study, visitor), now)
    if len(found) > MOST and not everything:
        st.button(f"Show all {len(found):,}", key=f"{ALL}-button", on_click=_show_all)


def asking() -> bool:
    """Is a question on screen?"""
    return ASKED in st.session_state


def show_question(studies: Sequence[Study], visitor: str) -> None:
    """The question that is open, if one is, and what came of the last one."""
    if TOLD in st.session_state:
        st.toast(st.session_state.pop(TOLD), icon=":material/check_circle:")
    what, id = st.session_state.get(ASKED, ("", ""))
    study = next((study for study in studies if study.id == id), None)
    if study is None:
        _answered()  # nothing was asked, or the study went meanwhile
    elif what == "rename":
        st.dialog("Rename", on_dismiss=_answered)(_rename)(study, visitor)
    else:
        kind = words.KINDS[study.kind].lower()
        st.dialog(f"Delete this {kind}?", on_dismiss=_answered)(_delete)(study, visitor)


def _row(study: Study, mine: bool, now: float) -> None:
    state = words.state(study)
    with st.container(border=True):
        left, right = st.columns([0.55, 0.45], vertical_alignment="center")
        with left.container(gap=None):
            run_link.to_study(study.id, words.title(study))
            st.caption(
                f"{words.ICONS[state]} {state} · {words.progress(study)} · "
                f"{when.ago(study.created, now)}"
                + ("" if study.owner else " · :material/terminal: command line")
            )
            st.caption(plain(words.of(study)))
        with right:
            if study.live:
                st.progress(words.share(study))
            if mine:
                _actions(study)


def _actions(study: Study) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        if study.live:
            st.button(
                "Stop",
                icon=":material/stop_circle:",
                key=f"study-stop-{study.id}",
                disabled=study.stopped,
                on_click=_change,
                args=("stop", study),
            )
        elif study.counts["stopped"] or study.counts["failed"] or study.stopped:
            st.button(
                "Resume",
                icon=":material/play_arrow:",
                key=f"study-resume-{study.id}",
                help="Restarts runs that failed or were stopped; finished runs stay.",
                on_click=_change,
                args=("resume", study),
            )
        st.button(
            "Rename",
            icon=":material/edit:",
            key=f"study-rename-{study.id}",
            on_click=_ask,
            args=("rename", study.id),
        )
        st.button(
            "Delete",
            icon=":material/delete:",
            key=f"study-delete-{study.id}",
            on_click=_ask,
            args=("delete", study.id),
        )


def _change(what: str, study: Study) -> None:
    try:
        {"stop": service.stop, "resume": service.resume}[what](study, session.visitor())
    except EngineError as error:
        st.session_state[PROBLEM] = str(error)


def _show_all() -> None:
    st.session_state[ALL] = True


def _ask(what: str, id: str) -> None:
    st.session_state[ASKED] = (what, id)


def _answered() -> None:
    st.session_state.pop(ASKED, None)


def _rename(study: Study, visitor: str) -> None:
    with st.form("rename-study", border=False):
        name = st.text_input(
            "Name",
            value=study.name,
            max_chars=NAME_LENGTH,
            placeholder=words.title(study),
            help="Without a name, it is listed by its settings.",
            key=f"study-name-{study.id}",
        )
        if not st.form_submit_button("Save", icon=":material/check:", key="study-save"):
            return
    try:
        service.rename(study, visitor, name or "")
    except EngineError as error:
        show_error(error)
    else:
        _close("Renamed.")


def _delete(study: Study, visitor: str) -> None:
    st.markdown(f"- {plain(words.title(study))}")
    told = "It is not done yet and will be stopped. " if study.live else ""
    st.markdown(
        f"{told}{counted(study.cells, 'run')} with results, masks and model files go for "
        "good, and links to them stop working. The same settings give the same numbers again."
    )
    with st.container(horizontal=True):
        sure = st.button("Delete", icon=":material/delete:", key="study-sure")
        if st.button("Keep", key="study-keep"):
            _answered()
            st.rerun()
    if not sure:
        return
    try:
        service.delete(study, visitor)
    except EngineError as error:
        show_error(error)
    else:
        _close("Deleted.")


def _close(told: str) -> None:
    """The question is answered: draw the page without it."""
    _answered()
    st.session_state[TOLD] = told
    st.rerun()
