"""What the run on show is of, and the way back to its settings."""

from __future__ import annotations

import streamlit as st

from app import forms
from app.components.findings import plain
from app.services import Job, RunConfig
from app.text.summary import summary


def show_about(job: Job, form: RunConfig | None) -> None:
    """The settings of ``job`` in a line; a button that brings them back if ``form``, which is
    what the form shows (None: nothing usable), differs."""
    st.caption(plain(summary(job.config)))
    if form == job.config:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("The form shows other settings.", width="content")
        if st.button(
            "Use these settings",
            type="tertiary",
            icon=":material/undo:",
            on_click=forms.fill,
            args=(job.config,),
            key="use-settings",
        ):
            st.rerun()  # the form too, where only a part of the page was to be drawn
