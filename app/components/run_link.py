"""The name of a run or study as the link to its page."""

from __future__ import annotations

import streamlit as st

from app import links
from app.components.findings import plain
from app.services import Run
from app.text.summary import title

KEY = "link-"

# Streamlit cuts the text of a link to one line, indents it and shows it as any other text.
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
    """Once per page that has such links."""
    st.html(STYLE)


def show_link(run: Run, letter: str = "") -> None:
    """The name of ``run``, after its ``letter`` if it stands beside another one."""
    name = plain(title(run))
    with st.container(key=f"{KEY}{run.id}"):
        st.page_link(
            links.RUN,
            label=f"{letter}: {name}" if letter else name,
            query_params=links.to_run(run.id),
        )


def to_study(id: str, title: str) -> None:
    """The name of a study."""
    with st.container(key=f"{KEY}{id}"):
        st.page_link(links.COMPARE, label=plain(title), query_params=links.to_study(id))
