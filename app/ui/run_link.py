"""The name of a run or study as the link to its page."""

from __future__ import annotations

import streamlit as st

from app import pages
from app.services import Run
from app.ui.findings import plain
from app.ui.titles import title

KEY = "link-"

# Streamlit cuts a link to one line, indents it, and does not make it look like a link.
STYLE = f"""
<style>
[class*="st-key-{KEY}"] a {{ padding-left: 0; }}
[class*="st-key-{KEY}"] a p {{
  white-space: normal; overflow-wrap: anywhere; line-height: 1.5;
  font-weight: 600; text-decoration: underline; text-underline-offset: 0.2em;
}}
</style>
"""


def style() -> None:
    """Call once per page with such links."""
    st.html(STYLE)


def show_link(run: Run, letter: str = "") -> None:
    """The name of ``run``, after its ``letter`` if it is one of two side by side."""
    name = plain(title(run))
    with st.container(key=f"{KEY}{run.id}"):
        st.page_link(
            pages.RUN,
            label=f"{letter}: {name}" if letter else name,
            query_params=pages.to_run(run.id),
        )


def to_study(id: str, title: str) -> None:
    """The name of a study."""
    with st.container(key=f"{KEY}{id}"):
        st.page_link(pages.COMPARE, label=plain(title), query_params=pages.to_study(id))
