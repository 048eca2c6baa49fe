"""The list of studies: name, settings, progress and actions of each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import streamlit as st

from app import access, session
from app.runs import dialogs
from app.runs.search import has_all
from app.services import EngineError, Study
from app.services import studies as service
from app.ui import run_link, when
from app.ui import studies as words
from app.ui.findings import plain, show_error
from app.ui.format import counted

MOST = 5  # studies listed at first
ALL = "all-studies"
SUBJECT = "studies"
PROBLEM = "study-problem"  # in the session: why an action failed


def show_studies(studies: Sequence[Study], visitor: str, query: str = "") -> None:
    """The ``studies`` that match ``query``, newest first."""
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


def show_dialog(studies: Sequence[Study], visitor: str) -> None:
    """The open dialog, if it is about a study."""
    dialog = dialogs.current()
    if dialog is None or dialog.subject != SUBJECT:
        return
    study = next((study for study in studies if study.id in dialog.ids), None)
    if study is None:  # it was deleted meanwhile
        dialogs.dismiss()
    elif dialog.action == "rename":
        st.dialog("Rename", on_dismiss=dialogs.dismiss)(_rename)(study, visitor)
    else:
        kind = words.KINDS[study.kind].lower()
        st.dialog(f"Delete this {kind}?", on_dismiss=dialogs.dismiss)(_delete)(study, visitor)


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
                help="Restarts runs that failed or were stopped; finished runs are kept.",
                on_click=_change,
                args=("resume", study),
            )
        st.button(
            "Rename",
            icon=":material/edit:",
            key=f"study-rename-{study.id}",
            on_click=dialogs.open_dialog,
            args=(SUBJECT, "rename", [study.id]),
        )
        st.button(
            "Delete",
            icon=":material/delete:",
            key=f"study-delete-{study.id}",
            on_click=dialogs.open_dialog,
            args=(SUBJECT, "delete", [study.id]),
        )


def _change(what: str, study: Study) -> None:
    try:
        {"stop": service.stop, "resume": service.resume}[what](study, session.visitor())
    except EngineError as error:
        st.session_state[PROBLEM] = str(error)


def _show_all() -> None:
    st.session_state[ALL] = True


def _rename(study: Study, visitor: str) -> None:
    dialogs.rename(
        study.id,
        study.name,
        words.title(study),
        "Without a name, it is listed by its settings.",
        lambda name: service.rename(study, visitor, name),
    )


def _delete(study: Study, visitor: str) -> None:
    running = "It is not done yet and will be stopped. " if study.live else ""
    loss = (
        f"{running}{counted(study.cells, 'run')} with results, masks and model files will be "
        "deleted permanently, and links to them stop working. The same settings give the same "
        "results again."
    )
    deletion = partial(service.delete, study, visitor)
    dialogs.delete([plain(words.title(study))], loss, [deletion], "Deleted.", "")
