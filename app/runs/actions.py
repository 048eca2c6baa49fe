"""Actions on the selected runs: compare, rename, delete."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from app import access, pages
from app.runs import dialogs
from app.runs.library import pick
from app.services import Run
from app.services import runs as service
from app.ui.findings import plain
from app.ui.format import counted, size
from app.ui.titles import title

MOST_LISTED = 6  # runs by name in a dialog
SUBJECT = "runs"


def show_actions(runs: Sequence[Run], visitor: str) -> None:
    """A bar at the bottom of the window for the selected ``runs``."""
    if not runs:
        return
    mine = all(access.owns(run, visitor) for run in runs)
    reason = None if mine else "Runs from the command line can only be renamed and deleted there."
    ids = [run.id for run in runs]
    with st.bottom, st.container(horizontal=True, vertical_alignment="center", key="chosen"):
        st.markdown(f"**{counted(len(runs), 'run')} selected**", width="content")
        if st.button(
            "Compare",
            type="primary",
            icon=":material/compare:",
            key="primary-compare",
            disabled=len(runs) < 2,
            help=None if len(runs) > 1 else "Select two or more runs.",
        ):
            st.switch_page(pages.COMPARE, query_params=pages.to_comparison(ids))
        st.button(
            "Rename",
            icon=":material/edit:",
            key="rename",
            disabled=len(runs) != 1 or not mine,
            help=reason or (None if len(runs) == 1 else "Select one run."),
            on_click=dialogs.open_dialog,
            args=(SUBJECT, "rename", ids),
        )
        st.button(
            "Delete",
            icon=":material/delete:",
            key="delete",
            disabled=not mine,
            help=reason,
            on_click=dialogs.open_dialog,
            args=(SUBJECT, "delete", ids),
        )
        st.button(
            "Clear selection",
            type="tertiary",
            key="none",
            on_click=clear_selection,
            args=(list(runs),),
        )


def clear_selection(runs: Sequence[Run]) -> None:
    """A callback: clear the boxes of ``runs``."""
    for run in runs:
        st.session_state[pick(run)] = False


def show_dialog(runs: Sequence[Run], visitor: str) -> None:
    """The open dialog, if it is about runs."""
    dialog = dialogs.current()
    if dialog is None or dialog.subject != SUBJECT:
        return
    chosen = [run for run in runs if run.id in dialog.ids]
    if not chosen:  # they were deleted meanwhile
        dialogs.dismiss()
    elif dialog.action == "rename":
        st.dialog("Rename", on_dismiss=dialogs.dismiss)(_rename)(chosen[0], visitor)
    else:
        name = f"Delete {counted(len(chosen), 'run')}?"
        st.dialog(name, on_dismiss=dialogs.dismiss)(_delete)(chosen, visitor)


def _rename(run: Run, visitor: str) -> None:
    dialogs.rename(
        run.id,
        run.name,
        title(run),
        "Without a name, a run is listed by its model and data.",
        lambda name: service.rename(run, visitor, name),
    )


def _delete(runs: Sequence[Run], visitor: str) -> None:
    names = [plain(title(run)) for run in runs[:MOST_LISTED]]
    if runs[MOST_LISTED:]:
        names.append(f"and {len(runs) - MOST_LISTED:,} more")
    deletions = [partial(service.delete, run, visitor) for run in runs]
    dialogs.delete(
        names,
        _loss(runs),
        deletions,
        f"{counted(len(runs), 'run')} deleted.",
        "Runs deleted anyway: {:,}.",
    )


def _loss(runs: Sequence[Run]) -> str:
    """What is lost with the runs."""
    one, bytes = len(runs) == 1, sum(run.bytes for run in runs)
    sentences = []
    live = sum(run.live for run in runs)
    if live:
        subject = "It is" if one else counted(live, "run is", "runs are")
        waiting = all(run.state == "queued" for run in runs if run.live)
        sentences.append(
            f"{subject} still {'waiting' if waiting else 'running'} and will be stopped."
        )
    if bytes:
        sentences.append(
            f"Results, curves, masks and model files ({size(bytes)}) are deleted permanently."
        )
    sentences.append("Links to it stop working." if one else "Links to them stop working.")
    sentences.append("The same settings give the same results again.")
    return " ".join(sentences)
