"""The name, settings and owner of a run, and the buttons to reuse, share, name and delete it."""

from __future__ import annotations

import streamlit as st

from app import access, pages, session
from app.services import NAME_LENGTH, ConfigError, EngineError, Run, runs
from app.ui import titles
from app.ui.findings import plain, show_error


def mine(run: Run) -> bool:
    """Whether this visitor owns the run, and so may name, stop and delete it."""
    return access.owns(run, session.visitor())


def ownership(run: Run) -> str:
    """Who started the run: ``Your run``, …"""
    if mine(run):
        return "Your run"
    return "Somebody else's run" if run.owner else "Started on the command line"


def show_about(run: Run) -> None:
    """Name, settings and owner in a line."""
    name = f"**{plain(run.name)}** · " if run.name else ""
    st.caption(f"{name}{plain(titles.of(run))} · {ownership(run)}")


def show_again(run: Run, label: str = "Use these settings") -> None:
    """A button that opens the form with the settings of ``run``."""
    try:
        config = run.config
    except ConfigError as error:
        st.caption(plain(f"These settings cannot be used again. {error}"))
        return
    if st.button(label, icon=":material/tune:", key="again"):
        session.prefill(config)
        st.switch_page(pages.NEW, query_params={})


def show_study(run: Run) -> None:
    """A link to the study that the run belongs to, if any."""
    if run.study:
        st.page_link(
            pages.COMPARE,
            label="Compare with its sweep or search",
            icon=":material/stacked_line_chart:",
            query_params=pages.to_study(run.study),
        )


def show_share(run: Run) -> None:
    """The link to the run."""
    with st.popover("Share", icon=":material/link:"):
        st.markdown(
            "The address of this page is the link. Anyone with it can view the run and download "
            "its files, but cannot change it."
        )
        if st.context.url:
            st.code(f"{st.context.url}?{pages.ID}={run.id}", language=None, wrap_lines=True)


def show_manage(run: Run) -> None:
    """Name and delete the run, for its owner."""
    if not mine(run):
        return
    with st.popover("Name", icon=":material/edit:"):
        with st.form("name", border=False):
            name = st.text_input(
                "Name of this run",
                value=run.name,
                placeholder=titles.title(run),
                key=f"name-{run.id}",
            )
            saved = st.form_submit_button("Save", key="save-name")
        # With ``max_chars`` the browser would silently drop a longer name.
        if saved and len(name) > NAME_LENGTH:
            show_error(f"This name has {len(name):,} characters; use at most {NAME_LENGTH}.")
        elif saved and _done(runs.rename, run, name):
            st.rerun()
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown("Delete this run and its files? This cannot be undone.")
        if st.button("Delete permanently", key="delete") and _done(runs.delete, run):
            st.switch_page(pages.RUNS, query_params={})


def _done(change: object, run: Run, *more: str) -> bool:
    """Whether ``change`` succeeded; shows the error if not."""
    assert callable(change)
    try:
        change(run, session.visitor(), *more)
    except EngineError as error:
        show_error(error)
        return False
    return True
