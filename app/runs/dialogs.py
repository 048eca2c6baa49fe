"""Dialogs of the Runs page: at most one is open, and its outcome is shown as a toast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from app.services import NAME_LENGTH, EngineError
from app.ui.findings import show_error

DIALOG, DONE = (
    "dialog",
    "dialog-done",
)  # in the session: the dialog to open, the outcome of the last


@dataclass(frozen=True)
class Dialog:
    """The dialog to open: ``action`` on the runs or studies (``subject``) with these ``ids``."""

    subject: str
    action: str
    ids: tuple[str, ...]


def open_dialog(subject: str, action: str, ids: Sequence[str]) -> None:
    """A callback: open that dialog when the page is drawn."""
    st.session_state[DIALOG] = Dialog(subject, action, tuple(ids))


def current() -> Dialog | None:
    """The open dialog, if there is one."""
    dialog: Dialog | None = st.session_state.get(DIALOG)
    return dialog


def dismiss() -> None:
    """Forget the open dialog."""
    st.session_state.pop(DIALOG, None)


def show_outcome() -> None:
    """The outcome of the last dialog, once."""
    if DONE in st.session_state:
        st.toast(st.session_state.pop(DONE), icon=":material/check_circle:")


def rename(key: str, name: str, default: str, help: str, save: Callable[[str], None]) -> None:
    """The contents of a rename dialog. ``default`` is shown if there is no name; ``save`` may raise
    ``EngineError``."""
    with st.form(f"rename-{key}", border=False):
        typed = st.text_input(
            "Name",
            value=name,
            max_chars=NAME_LENGTH,
            placeholder=default,
            help=help,
            key=f"name-{key}",
        )
        if not st.form_submit_button("Save", icon=":material/check:", key="save"):
            return
    try:
        save(typed or "")
    except EngineError as error:
        show_error(error)
    else:
        _close("Renamed.")


def delete(
    names: Sequence[str], loss: str, deletions: Sequence[Callable[[], None]], done: str, some: str
) -> None:
    """The contents of a delete dialog: a list of ``names``, and the ``loss``. Each of the
    ``deletions`` may raise ``EngineError``. ``done`` is the outcome if none does; ``some``, with
    a count, the message if only some do."""
    st.markdown("\n".join(f"- {name}" for name in names))
    st.markdown(loss)
    with st.container(horizontal=True):
        confirmed = st.button("Delete", icon=":material/delete:", key="sure")
        if st.button("Keep", key="keep"):
            dismiss()
            st.rerun()
    if not confirmed:
        return
    errors = []
    for deletion in deletions:
        try:
            deletion()
        except EngineError as error:
            errors.append(error)
    if not errors:
        _close(done)
    show_error(errors[0])
    if len(errors) < len(deletions):
        st.caption(some.format(len(deletions) - len(errors)))


def _close(outcome: str) -> None:
    dismiss()
    st.session_state[DONE] = outcome
    st.rerun()
